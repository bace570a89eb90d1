#include "executors/process/run_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "executors/process/launch_spec.h"

namespace millwright::executors {
namespace {

struct flock whole_file() {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

}  // namespace

Result<Fd> lock_run(const std::string& folder) {
    Fd file = TRY(open_file(folder + "/" + kLaunchFile, O_RDWR));
    struct flock lock = whole_file();
    if (fcntl(file.get(), F_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) return Error{ErrorKind::Conflict, "another process owns the run", folder};
        return error_from_errno("cannot lock the run of " + folder);
    }
    struct stat status {};
    if (fstat(file.get(), &status) != 0 || status.st_nlink == 0) return not_found("the run was given up before it began");
    return file;
}

std::optional<pid_t> owner_of_run(const std::string& folder) {
    const auto file = open_file(folder + "/" + kLaunchFile, O_RDONLY);
    if (!file) return std::nullopt;
    struct flock lock = whole_file();
    if (fcntl(file->get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
    return lock.l_pid;
}

void unlock_layers(const std::string& folder, int hosts, size_t mounts) {
    for (int host = 0; host < hosts; ++host)
        for (size_t mount = 0; mount < mounts; ++mount)
            chmod((folder + "/" + host_name(host) + "/layers/" + std::to_string(mount) + "/work/work").c_str(), 0700);
}

}  // namespace millwright::executors
