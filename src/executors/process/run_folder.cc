#include "executors/process/run_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>

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

// Nothing runs in there any more, so what is seen stays as it is.
void unlock_below(int folder, int depth) {
    constexpr int kMaxDepth = 400;  // one descriptor each
    const int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    const std::unique_ptr<DIR, int (*)(DIR*)> list(copy >= 0 ? fdopendir(copy) : nullptr, closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr) {
        struct stat status {};
        const std::string_view name = entry->d_name;
        if (name == "." || name == ".." || fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (!S_ISDIR(status.st_mode)) continue;
        if ((status.st_mode & 0700) != 0700) fchmodat(folder, entry->d_name, (status.st_mode & 07777) | 0700, 0);
        const Fd below(openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (below && depth < kMaxDepth) unlock_below(below.get(), depth + 1);
    }
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

void unlock_folders(const std::string& folder, int hosts) {
    if (geteuid() == 0) return;
    for (int host = 0; host < hosts; ++host) {
        const Fd top(open((folder + "/" + host_name(host)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (top) unlock_below(top.get(), 0);
    }
}

}  // namespace millwright::executors
