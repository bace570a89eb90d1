#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <tuple>

namespace millwright {

void Fd::reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
}

Result<Fd> open_file(const std::string& path, int flags, mode_t mode) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd < 0) return error_from_errno("cannot open " + path);
    return Fd(fd);
}

Result<std::string> read_file(const std::string& path, size_t limit) {
    const Fd file = TRY(open_file(path, O_RDONLY));
    std::string content;
    struct stat status {};
    if (fstat(file.get(), &status) == 0 && status.st_size > 0)
        content.reserve(std::min(static_cast<size_t>(status.st_size), limit));
    char buffer[65536];
    for (;;) {
        const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_from_errno("cannot read " + path);
        if (got == 0) return content;
        if (content.size() + static_cast<size_t>(got) > limit)
            return Error{ErrorKind::LimitExceeded, path + " is larger than allowed", ""};
        content.append(buffer, static_cast<size_t>(got));
    }
}

Result<void> write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(fd, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return error_from_errno("cannot write");
        bytes.remove_prefix(static_cast<size_t>(put));
    }
    return {};
}

Result<void> write_file(const std::string& path, std::string_view bytes, mode_t mode) {
    const Fd file = TRY(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
    return write_all(file.get(), bytes);
}

Result<void> replace_file_durably(const std::string& path, std::string_view bytes, mode_t mode) {
    const std::string temporary = path + ".new";
    {
        const Fd file = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode));
        TRY(write_all(file.get(), bytes));
        if (fsync(file.get()) != 0) return error_from_errno("cannot sync " + temporary);
    }
    if (rename(temporary.c_str(), path.c_str()) != 0) return error_from_errno("cannot rename to " + path);
    return sync_directory(std::filesystem::path(path).parent_path().string());
}

Result<void> sync_directory(const std::string& path) {
    const Fd folder = TRY(open_file(path.empty() ? "." : path, O_RDONLY | O_DIRECTORY));
    if (fsync(folder.get()) != 0) return error_from_errno("cannot sync " + path);
    return {};
}

Result<void> make_directories(const std::string& path, mode_t mode) {
    if (path.empty() || ::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
    if (errno != ENOENT) return error_from_errno("cannot create " + path);
    TRY(make_directories(std::filesystem::path(path).parent_path().string(), mode));
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return error_from_errno("cannot create " + path);
    return {};
}

void spread_subfolders(const std::string& path) {
    const Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int flags = 0;
    if (!folder || ioctl(folder.get(), FS_IOC_GETFLAGS, &flags) != 0 || (flags & FS_TOPDIR_FL) != 0) return;
    flags |= FS_TOPDIR_FL;
    std::ignore = ioctl(folder.get(), FS_IOC_SETFLAGS, &flags);
}

namespace {

struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
};

// A folder of the tree that could not be removed at once is moved up to the top under a name like this.
std::string moved_name(uint64_t number) { return ".remove-" + std::to_string(number); }

// What a job made may be closed to its owner. Not through links.
void open_up(int parent, const char* name) {
    const Fd place(openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (place) chmod(("/proc/self/fd/" + std::to_string(place.get())).c_str(), 0700);
}

Fd open_to_remove(int parent, const char* name) {
    open_up(parent, name);
    return Fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// Removes everything in a folder but folders that have something in them, and calls `visit` for those.
Result<void> remove_entries(int folder, const std::function<Result<void>(const char* name)>& visit) {
    Fd own(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own) return error_from_errno("cannot read a folder");
    const std::unique_ptr<DIR, CloseDir> entries(fdopendir(own.get()));
    if (!entries) return error_from_errno("cannot read a folder");
    own.release();
    while (const dirent* entry = readdir(entries.get())) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == ".." || unlinkat(folder, entry->d_name, 0) == 0 || errno == ENOENT) continue;
        if (errno != EISDIR && errno != EPERM) return error_from_errno("cannot remove a file");
        if (unlinkat(folder, entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT) continue;
        if (errno != ENOTEMPTY && errno != EEXIST) return error_from_errno("cannot remove a folder");
        TRY(visit(entry->d_name));
    }
    return {};
}

// Empties a folder of the top, moving the folders in it up. So the depth of the tree needs neither stack nor
// descriptors, and each folder is moved once.
Result<void> empty_folder(int top, const char* name, uint64_t& moved) {
    const Fd folder = open_to_remove(top, name);
    if (!folder && errno == ENOENT) return {};
    if (!folder) return error_from_errno("cannot open a folder");
    return remove_entries(folder.get(), [&](const char* inner) -> Result<void> {
        open_up(folder.get(), inner);
        while (renameat(folder.get(), inner, top, moved_name(moved++).c_str()) != 0) {
            if (errno == ENOENT) return {};
            if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
                return error_from_errno("cannot move a folder");
        }
        return {};
    });
}

Result<void> remove_below(int top) {
    uint64_t moved = 0;
    for (bool any = true; any;) {
        any = false;
        TRY(remove_entries(top, [&](const char* name) -> Result<void> {
            any = true;
            return empty_folder(top, name, moved);
        }));
    }
    return {};
}

}  // namespace

Result<void> remove_tree(const std::string& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
    const auto failed = [&](const Error& error) {
        return Error{ErrorKind::Internal, "cannot remove " + path, error.message + " " + error.detail};
    };
    if (errno != EISDIR && errno != EPERM) return failed(error_from_errno("unlink"));
    const Fd top = open_to_remove(AT_FDCWD, path.c_str());
    if (!top && errno == ENOENT) return {};
    if (!top) return failed(error_from_errno("open"));
    if (auto removed = remove_below(top.get()); !removed) return failed(removed.error());
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return failed(error_from_errno("rmdir"));
    return {};
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace millwright
