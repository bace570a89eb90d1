#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

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

Result<void> remove_tree(const std::string& path) {
    std::error_code failure;
    std::filesystem::remove_all(path, failure);
    if (failure) return Error{ErrorKind::Internal, "cannot remove " + path, failure.message()};
    return {};
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace millwright
