#include "executors/contract/job_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/strings.h"

namespace millwright::executors {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxExtents = 10'000;
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

Result<Fd> open_folder_in(int folder, const std::string& name) {
    Fd fd(openat(folder, name.c_str(), kFolderFlags));
    if (fd) return fd;
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return not_found("no such folder");
    if (errno == EACCES) return Error{ErrorKind::Denied, "a folder in it may not be read", name};
    return error_from_errno("cannot open a folder of the job");
}

int64_t nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
};

Result<std::vector<std::string>> names_in(int folder) {
    Fd own(openat(folder, ".", kFolderFlags));
    if (!own) return error_from_errno("cannot read a folder of the job");
    std::unique_ptr<DIR, CloseDir> dir(fdopendir(own.get()));
    if (!dir) return error_from_errno("cannot read a folder of the job");
    own.release();
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(dir.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
        if (names.size() > kMaxJobFiles) return Error{ErrorKind::LimitExceeded, "too many files", ""};
    }
    if (errno != 0) return error_from_errno("cannot read a folder of the job");
    std::sort(names.begin(), names.end());
    return names;
}

// Where a link at `path` leads, if that is inside the tree by its text alone.
bool stays_inside(std::string_view path, std::string_view target) {
    if (target.empty() || target.front() == '/') return false;
    int depth = static_cast<int>(std::count(path.begin(), path.end(), '/'));
    for (const auto part : split(target, '/')) {
        if (part == "..") {
            if (--depth < 0) return false;
        } else if (!part.empty() && part != ".") {
            ++depth;
        }
    }
    return true;
}

std::string read_link(int folder, const std::string& name) {
    std::array<char, 4096> target{};
    const auto length = readlinkat(folder, name.c_str(), target.data(), target.size());
    if (length <= 0 || static_cast<size_t>(length) == target.size()) return "";
    return {target.data(), static_cast<size_t>(length)};
}

Result<void> walk(int folder, const std::string& prefix, int depth, std::vector<JobFile>& files) {
    if (depth > kMaxDepth) return Error{ErrorKind::LimitExceeded, "folders are nested too deep", ""};
    for (const auto& name : TRY(names_in(folder))) {
        struct stat status {};
        if (fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
        JobFile file;
        file.path = prefix + name;
        file.modified = status.st_mtime;
        file.mode = status.st_mode & 0777;
        file.inode = status.st_ino;
        file.modified_ns = nanoseconds(status.st_mtim);
        file.changed_ns = nanoseconds(status.st_ctim);
        if (S_ISREG(status.st_mode)) {
            file.size = static_cast<uint64_t>(status.st_size);
            file.stored = static_cast<uint64_t>(status.st_blocks) * 512;
        } else if (S_ISDIR(status.st_mode)) {
            file.kind = JobFile::Kind::Folder;
        } else if (S_ISLNK(status.st_mode)) {
            file.kind = JobFile::Kind::Link;
            file.target = read_link(folder, name);
            if (!stays_inside(file.path, file.target)) continue;
        } else {
            continue;
        }
        if (files.size() >= kMaxJobFiles) return Error{ErrorKind::LimitExceeded, "too many files", ""};
        const bool descend = file.kind == JobFile::Kind::Folder;
        files.push_back(std::move(file));
        if (!descend) continue;
        const auto inner = TRY(open_folder_in(folder, name));
        TRY(walk(inner.get(), prefix + name + "/", depth + 1, files));
    }
    return {};
}

}  // namespace

Result<Fd> open_folder_below(const std::string& root, std::string_view relative) {
    Fd folder(open(root.c_str(), kFolderFlags));
    if (!folder) return not_found("no such folder");
    for (const auto part : split(relative, '/')) {
        if (part.empty()) continue;
        folder = TRY(open_folder_in(folder.get(), std::string(part)));
    }
    return folder;
}

Result<Fd> open_regular(int folder, const std::string& name) {
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    Fd fd(openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!fd) {
        if (errno == EACCES) return error_from_errno("cannot read '" + name + "'");
        return not_found("no such file");
    }
    if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return not_found("not a regular file");
    return fd;
}

Result<std::vector<JobFile>> list_job_files(int folder) {
    std::vector<JobFile> files;
    TRY(walk(folder, "", 0, files));
    return files;
}

std::vector<FileExtent> extents_of(int file, uint64_t size) {
    std::vector<FileExtent> extents;
    const auto limit = static_cast<off_t>(size);
    for (off_t at = 0; at < limit;) {
        const auto begin = lseek(file, at, SEEK_DATA);
        if (begin < 0 && errno == ENXIO) break;  // a hole to the end
        const auto end = begin < 0 ? -1 : lseek(file, begin, SEEK_HOLE);
        if (end < 0 || extents.size() == kMaxExtents) return {{0, size}};
        extents.push_back({static_cast<uint64_t>(begin), static_cast<uint64_t>(std::min(end, limit))});
        at = end;
    }
    return extents;
}

Result<void> check_holes(int folder, const std::vector<JobFile>& files) {
    const auto seeming = [](const JobFile& file) { return file.size - std::min(file.size, file.stored); };
    uint64_t holes = 0;
    for (const auto& file : files) holes += std::min(kMaxHoleBytes + 1, seeming(file));
    if (holes <= kMaxHoleBytes) return {};
    // A file system that compresses stores less, too: asked only now, because it means opening the files.
    holes = 0;
    for (const auto& file : files) {
        if (seeming(file) == 0) continue;
        const auto opened = open_job_file(folder, file.path);
        if (!opened) continue;
        uint64_t bytes = 0;
        for (const auto& [begin, end] : extents_of(opened->get(), file.size)) bytes += end - begin;
        holes += std::min(kMaxHoleBytes + 1, file.size - bytes);
    }
    if (holes <= kMaxHoleBytes) return {};
    return invalid_input("there are more than 16 GiB of holes in the files");
}

Result<Fd> open_job_file(int folder, const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return open_regular(folder, path);
    Fd parent(dup(folder));
    for (const auto part : split(std::string_view(path).substr(0, slash), '/')) {
        parent = TRY(open_folder_in(parent.get(), std::string(part)));
    }
    return open_regular(parent.get(), path.substr(slash + 1));
}

}  // namespace millwright::executors
