#include "executors/process/run_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "executors/process/launch_spec.h"

namespace millwright::executors {
namespace {

struct flock lock_of(off_t byte) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    return lock;
}

}  // namespace

Result<Fd> lock_run(const std::string& folder) {
    Fd file = TRY(open_file(folder + "/" + kLaunchFile, O_RDWR));
    struct flock lock = lock_of(0);
    if (fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES)
            return Error{ErrorKind::Conflict, "another process owns the run", folder};
        return error_from_errno("cannot lock the run of " + folder);
    }
    struct stat status {};
    if (fstat(file.get(), &status) != 0 || status.st_nlink == 0)
        return not_found("the run was given up before it began");
    return file;
}

Result<void> show_owner(int lock) {
    struct flock process = lock_of(1);
    if (fcntl(lock, F_SETLK, &process) != 0) return error_from_errno("cannot take the run");
    return {};
}

std::optional<Owner> owner_of_run(const std::string& folder) {
    const auto file = open_file(folder + "/" + kLaunchFile, O_RDWR);
    if (!file) return std::nullopt;
    struct flock file_lock = lock_of(0);
    if (fcntl(file->get(), F_OFD_GETLK, &file_lock) != 0 || file_lock.l_type == F_UNLCK) return std::nullopt;
    struct flock process = lock_of(1);
    if (fcntl(file->get(), F_GETLK, &process) != 0 || process.l_type == F_UNLCK) return Owner{};
    return Owner{process.l_pid};
}

void unlock_layers(const std::string& folder, int hosts, size_t mounts) {
    for (int host = 0; host < hosts; ++host)
        for (size_t mount = 0; mount < mounts; ++mount)
            chmod((folder + "/" + host_name(host) + "/layers/" + std::to_string(mount) + "/work/work").c_str(), 0700);
}

}  // namespace millwright::executors
