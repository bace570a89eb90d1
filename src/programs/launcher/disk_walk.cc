#include "programs/launcher/disk_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/files.h"

namespace millwright::launcher {
namespace {

constexpr int kMaxDepth = 400;  // one descriptor each
constexpr uint64_t kBlockBytes = 512;
constexpr size_t kMaxLinked = 1'000'000;
constexpr size_t kMaxDescriptors = 20'000;
constexpr size_t kMaxProcesses = 4096;

uint64_t bytes_of(const struct stat& status) { return static_cast<uint64_t>(status.st_blocks) * kBlockBytes; }

// A folder that its owner may not list is made listable: inside, root does not notice.
Fd open_folder(int parent, const char* name) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME;
    for (int attempt = 0; attempt < 3; ++attempt) {
        Fd folder(openat(parent, name, kFlags & (attempt == 1 ? ~O_NOATIME : ~0)));
        if (folder) return folder;
        struct stat status {};
        if (errno == EACCES && fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
            fchmodat(parent, name, (status.st_mode & 07777) | 0700, 0);
    }
    return Fd();
}

}  // namespace

ProcessTree list_processes() {
    ProcessTree processes;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir("/proc"), closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        const auto status = read_file(std::string("/proc/") + entry->d_name + "/stat", 4096);
        const size_t end = status ? status->rfind(')') : std::string::npos;  // names may hold anything
        int parent = 0;
        char state = 0;
        if (end == std::string::npos || std::sscanf(status->c_str() + end + 1, " %c %d", &state, &parent) != 2)
            continue;
        processes.emplace(parent, std::atoi(entry->d_name));
    }
    return processes;
}

void DiskWalk::add_tree(const std::string& folder) {
    struct stat status {};
    Fd top(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!top || fstat(top.get(), &status) != 0) return;
    device_ = status.st_dev;
    bytes_ += bytes_of(status);
    add_folder(top.get(), 0);
}

void DiskWalk::add_folder(int folder, int depth) {
    const int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    const std::unique_ptr<DIR, int (*)(DIR*)> list(copy >= 0 ? fdopendir(copy) : nullptr, closedir);
    if (!list) {
        too_deep_ = too_deep_ || errno == EMFILE;
        if (copy >= 0) close(copy);
        return;
    }
    while (const dirent* entry = readdir(list.get())) {
        if (stop_.stop_requested()) return;
        if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
            add_entry(folder, entry->d_name, depth);
    }
}

void DiskWalk::add_entry(int folder, const char* name, int depth) {
    struct stat status {};
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_dev != device_) return;
    if (!S_ISDIR(status.st_mode)) return add_file(status);
    bytes_ += bytes_of(status);
    if (depth >= kMaxDepth) {
        too_deep_ = true;
        return;
    }
    const Fd below = open_folder(folder, name);
    if (below) return add_folder(below.get(), depth + 1);
    too_deep_ = too_deep_ || errno == EMFILE;
}

void DiskWalk::add_file(const struct stat& status) {
    if (status.st_nlink == 1 || linked_.size() >= kMaxLinked) {
        bytes_ += bytes_of(status);
        return;
    }
    Linked& file = linked_[status.st_ino];
    file.names = status.st_nlink;
    file.bytes = bytes_of(status);
    ++file.seen;
}

uint64_t DiskWalk::total() const {
    uint64_t bytes = bytes_;
    for (const auto& [inode, file] : linked_)
        if (file.seen >= file.names) bytes += file.bytes;
    return bytes;
}

void DiskWalk::add_deleted(pid_t init, const ProcessTree& processes) {
    std::vector<pid_t> pending = {init};
    size_t seen = 0;
    while (!pending.empty() && ++seen < kMaxProcesses && !stop_.stop_requested()) {
        const auto [first, last] = processes.equal_range(pending.back());
        pending.pop_back();
        for (auto child = first; child != last; ++child) {
            add_descriptors(child->second);
            pending.push_back(child->second);
        }
    }
}

void DiskWalk::add_descriptors(pid_t process) {
    const std::string folder = "/proc/" + std::to_string(process) + "/fd";
    const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir(folder.c_str()), closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr) {
        if (entry->d_name[0] == '.') continue;
        if (++descriptors_ > kMaxDescriptors) return;
        char target[64];
        const ssize_t size = readlinkat(dirfd(list.get()), entry->d_name, target, sizeof target);
        if (size <= 0 || target[0] != '/') continue;
        // What lies in memory is counted as memory.
        const std::string_view start(target, static_cast<size_t>(size));
        if (start.starts_with("/memfd:") || start.starts_with("/dev/") || start.starts_with("/SYSV")) continue;
        struct stat status {};
        if (fstatat(dirfd(list.get()), entry->d_name, &status, 0) != 0) continue;
        if (!S_ISREG(status.st_mode) || status.st_nlink != 0) continue;
        Linked& file = linked_[status.st_ino];
        file.bytes = bytes_of(status);
    }
}

}  // namespace millwright::launcher
