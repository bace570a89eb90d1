#include "simulation/disk.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "simulation/threads.h"

namespace millwright::simulation {
namespace {

constexpr int64_t kBlock = 4096;
constexpr int kFirstDescriptor = 64;  // of the simulated process; below are the streams of this one

template <typename F>
F* real(const char* name) {
    return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}
#define BENEATH(name, ...)                                      \
    (*[] {                                                      \
        static auto* const function = real<__VA_ARGS__>(#name); \
        return function;                                        \
    }())

// What a file was when it was last synced, as far as it has changed since.
struct File {
    int64_t size = 0, synced_size = 0;
    std::map<int64_t, std::string> before;  // block -> its synced content
    bool dirty() const { return size != synced_size || !before.empty(); }
};

// A change of a folder that its fsync has not covered yet.
struct FolderChange {
    enum class Kind { Appeared, Vanished, Renamed } kind;
    std::string path, from, saved;  // saved: a link to what was removed or replaced
    ino_t inode = 0;
};

struct Disk {
    DiskSettings settings;
    std::map<ino_t, File> files;
    std::vector<FolderChange> changes;
    std::vector<std::string> paths;  // by descriptor; empty: not watched
    int64_t saved = 0;
    int power_cuts = 0;
};
Disk* disk = nullptr;

bool is_live() { return disk && Scheduler::current() && Scheduler::current()->own_group() != 0; }

bool is_watched(const std::string& path) {
    if (!disk || path.ends_with("-shm")) return false;
    if (path == disk->settings.root) return true;
    return std::any_of(disk->settings.durable.begin(), disk->settings.durable.end(),
                       [&](const std::string& prefix) { return path.starts_with(prefix); });
}

const std::string& path_of(int descriptor) {
    static const std::string none;
    if (!disk || descriptor < 0 || static_cast<size_t>(descriptor) >= disk->paths.size()) return none;
    return disk->paths[static_cast<size_t>(descriptor)];
}

std::string path_at(int folder, const char* name) {
    if (name[0] == '/' || folder == AT_FDCWD) return name;
    const auto& base = path_of(folder);
    return base.empty() ? "" : base + "/" + name;
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

int raw_open(const char* path, int flags, mode_t mode = 0600) {
    return BENEATH(open, int(const char*, int, ...))(path, flags, mode);
}
void raw_close(int fd) { BENEATH(close, int(int))(fd); }

File& file_of(int descriptor) {
    struct stat status {};
    fstat(descriptor, &status);
    const auto [entry, fresh] = disk->files.try_emplace(status.st_ino);
    if (fresh) entry->second.size = entry->second.synced_size = status.st_size;
    return entry->second;
}

// Before bytes [from, to) change.
void keep_before(int descriptor, File& file, int64_t from, int64_t to) {
    for (int64_t block = from / kBlock; block * kBlock < std::min(to, file.synced_size); ++block) {
        if (file.before.contains(block)) continue;
        std::string content(kBlock, '\0');
        const auto name = "/proc/self/fd/" + std::to_string(descriptor);
        const int again = raw_open(name.c_str(), O_RDONLY | O_CLOEXEC);
        const auto got = pread(again, content.data(), content.size(), block * kBlock);
        raw_close(again);
        content.resize(static_cast<size_t>(std::max<ssize_t>(0, got)));
        file.before.emplace(block, std::move(content));
    }
}

void will_write(int descriptor, int64_t at, int64_t count) {
    if (path_of(descriptor).empty()) return;
    auto& file = file_of(descriptor);
    keep_before(descriptor, file, at, at + count);
    file.size = std::max(file.size, at + count);
}

void will_truncate(int descriptor, int64_t size) {
    if (path_of(descriptor).empty()) return;
    auto& file = file_of(descriptor);
    if (size < file.size) keep_before(descriptor, file, size, file.size);
    file.size = size;
}

ino_t inode_of(const std::string& path) {
    struct stat status {};
    return lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

std::string save(const std::string& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return "";
    const auto saved = disk->settings.root + "/.saved/" + std::to_string(disk->saved++);
    return BENEATH(link, int(const char*, const char*))(path.c_str(), saved.c_str()) == 0 ? saved : "";
}

void appeared(const std::string& path) {
    disk->changes.push_back({FolderChange::Kind::Appeared, path, "", "", inode_of(path)});
}

// What a journalling file system keeps with an fsync: the content, how the file came to its name, and what had happened
// in that folder before.
void sync_done(int descriptor) {
    const auto path = path_of(descriptor);
    if (path.empty()) return;
    struct stat status {};
    fstat(descriptor, &status);
    const bool folder = S_ISDIR(status.st_mode);
    const auto covers = [&](const FolderChange& change) {
        return folder ? parent_of(change.path) == path : change.inode == status.st_ino;
    };
    const auto last = std::find_if(disk->changes.rbegin(), disk->changes.rend(), covers).base();
    std::set<std::string> folders;
    for (auto change = disk->changes.begin(); change != last; ++change)
        if (covers(*change)) folders.insert(parent_of(change->path));
    const auto kept = std::remove_if(disk->changes.begin(), last, [&](const FolderChange& change) {
        const bool covered = folders.contains(parent_of(change.path));
        if (covered && !change.saved.empty()) BENEATH(unlink, int(const char*))(change.saved.c_str());
        return covered;
    });
    disk->changes.erase(kept, last);
    if (folder) return;
    auto& file = file_of(descriptor);
    file.before.clear();
    file.synced_size = file.size;
}

// The disk takes its time, and the process may die meanwhile, before or after.
void spend_time() {
    if (!is_live()) return;
    auto& scheduler = *Scheduler::current();
    scheduler.sleep(scheduler.dice().spread(20 * kMicrosecond, disk->settings.longest_sync));
}

int opened(int descriptor, const std::string& path) {
    if (descriptor < 0 || !is_live()) return descriptor;
    if (disk->paths.size() <= static_cast<size_t>(descriptor)) disk->paths.resize(static_cast<size_t>(descriptor) + 64);
    disk->paths[static_cast<size_t>(descriptor)] = is_watched(path) ? path : "";
    return descriptor;
}

// The simulated machine has started as often as its power was cut.
int open_boot_id() {
    const auto path = disk->settings.root + "/.boot-id";
    const int descriptor = raw_open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC);
    const auto text = std::to_string(disk->power_cuts) + "\n";
    static_cast<void>(pwrite(descriptor, text.data(), text.size(), 0) == 1);
    return descriptor;
}

int open_at(int folder, const char* name, int flags, mode_t mode) {
    const auto call = [&] { return BENEATH(openat, int(int, const char*, int, ...))(folder, name, flags, mode); };
    if (!is_live()) return call();
    if (std::strcmp(name, "/proc/sys/kernel/random/boot_id") == 0) return open_boot_id();
    const auto path = path_at(folder, name);
    if (!is_watched(path)) return opened(call(), "");
    Scheduler::current()->preempt();
    const bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    const bool may_make = (flags & O_CREAT) != 0 && !unnamed && access(path.c_str(), F_OK) != 0;
    if ((flags & O_TRUNC) != 0 && !may_make) {
        const int before = opened(raw_open(path.c_str(), O_RDWR | O_CLOEXEC), path);
        if (before >= 0) {
            will_truncate(before, 0);
            raw_close(before);
        }
    }
    const int descriptor = opened(call(), path);
    if (descriptor < 0) return descriptor;
    if (may_make) appeared(path);
    if (may_make || unnamed) file_of(descriptor).synced_size = 0;
    return descriptor;
}

int renamed(int from_folder, const char* from, int to_folder, const char* to, const std::function<int()>& call) {
    if (!is_live()) return call();
    const auto source = path_at(from_folder, from), target = path_at(to_folder, to);
    if (!is_watched(source) && !is_watched(target)) return call();
    Scheduler::current()->preempt();
    const auto saved = save(target);
    const int result = call();
    if (result != 0) return result;
    disk->changes.push_back({FolderChange::Kind::Renamed, target, source, saved, inode_of(target)});
    for (auto& path : disk->paths)
        if (path == source) path = target;
    return 0;
}

int linked(int to_folder, const char* to, const std::function<int()>& call) {
    if (!is_live()) return call();
    Scheduler::current()->preempt();
    const int result = call();
    const auto path = path_at(to_folder, to);
    if (result == 0 && is_watched(path)) appeared(path);
    return result;
}

int removed(int folder, const char* name, const std::function<int()>& call) {
    if (!is_live()) return call();
    const auto path = path_at(folder, name);
    if (!is_watched(path)) return call();
    Scheduler::current()->preempt();
    const auto saved = save(path);
    const int result = call();
    if (result == 0) disk->changes.push_back({FolderChange::Kind::Vanished, path, "", saved, 0});
    return result;
}

void undo(const FolderChange& change) {
    const auto restore = [&] {
        if (!change.saved.empty()) ::rename(change.saved.c_str(), change.path.c_str());
    };
    switch (change.kind) {
        case FolderChange::Kind::Appeared:
            if (::unlink(change.path.c_str()) != 0) ::rmdir(change.path.c_str());
            return;
        case FolderChange::Kind::Vanished:
            return restore();
        case FolderChange::Kind::Renamed:
            ::rename(change.path.c_str(), change.from.c_str());
            return restore();
    }
}

enum class Loss { None, Some, All };

void lose_content(const std::string& path, File& file, Loss loss, Dice& dice) {
    const int descriptor = raw_open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return;
    const auto is_lost = [&] { return loss == Loss::All || dice.chance(0.5); };
    for (const auto& [block, before] : file.before)
        if (is_lost()) BENEATH(pwrite, ssize_t(int, const void*, size_t, off_t))
    (descriptor, before.data(), before.size(), block * kBlock);
    const std::string zeros(kBlock, '\0');
    const int64_t first = (file.synced_size + kBlock - 1) / kBlock;
    for (int64_t block = first; loss == Loss::Some && block * kBlock < file.size; ++block)
        if (is_lost()) BENEATH(pwrite, ssize_t(int, const void*, size_t, off_t))
    (descriptor, zeros.data(), static_cast<size_t>(std::min(kBlock, file.size - block * kBlock)), block * kBlock);
    if (is_lost()) static_cast<void>(BENEATH(ftruncate, int(int, off_t))(descriptor, file.synced_size) == 0);
    raw_close(descriptor);
}

}  // namespace

void mount_disk(const DiskSettings& settings) {
    disk = new Disk{settings, {}, {}, {}, 0, 0};  // for as long as the process
    // The lower descriptors are taken, so that those of the simulated process can be told apart.
    while (::open("/dev/null", O_RDONLY | O_CLOEXEC) < kFirstDescriptor - 1) {
    }
    std::filesystem::create_directories(settings.root + "/.saved");
}

void close_all_files(const std::vector<std::string>& databases) {
    ::syscall(SYS_close_range, kFirstDescriptor, ~0U, 0);
    disk->paths.clear();
    for (const auto& path : databases) {
        struct stat status {};
        if (stat(path.c_str(), &status) != 0) continue;
        const auto copy = path + ".copy";
        std::filesystem::copy_file(path, copy);
        std::filesystem::rename(copy, path);
        if (const auto known = disk->files.find(status.st_ino); known != disk->files.end())
            disk->files[inode_of(path)] = std::move(known->second);
        disk->files.erase(status.st_ino);
        std::filesystem::remove(path + "-shm");
    }
}

void cut_power(Dice& dice) {
    ++disk->power_cuts;
    const auto loss = static_cast<Loss>(dice.below(3));
    if (loss == Loss::None) return;
    const size_t kept = loss == Loss::All ? 0 : dice.below(disk->changes.size() + 1);
    while (disk->changes.size() > kept) {
        undo(disk->changes.back());
        disk->changes.pop_back();
    }
    std::map<std::string, File*> dirty;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(disk->settings.root)) {
        if (!entry.is_regular_file() || !is_watched(entry.path())) continue;
        const auto found = disk->files.find(inode_of(entry.path()));
        if (found != disk->files.end() && found->second.dirty()) dirty[entry.path()] = &found->second;
    }
    for (const auto& [path, file] : dirty) lose_content(path, *file, loss, dice);
    disk->files.clear();
    disk->changes.clear();
}

}  // namespace millwright::simulation

using namespace millwright::simulation;  // NOLINT: the definitions below have no namespace

extern "C" {

int open(const char* path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : mode_t{0};
    va_end(list);
    return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : mode_t{0};
    va_end(list);
    return open_at(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : mode_t{0};
    va_end(list);
    return open_at(folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : mode_t{0};
    va_end(list);
    return open_at(folder, path, flags, mode);
}
int inotify_init1(int flags) noexcept { return opened(BENEATH(inotify_init1, int(int))(flags), ""); }
int eventfd(unsigned int start, int flags) noexcept {
    return opened(BENEATH(eventfd, int(unsigned int, int))(start, flags), "");
}

int close(int descriptor) {
    if (!path_of(descriptor).empty()) disk->paths[static_cast<size_t>(descriptor)].clear();
    return BENEATH(close, int(int))(descriptor);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
    if (is_live() && !path_of(descriptor).empty()) {
        const bool appends = (fcntl(descriptor, F_GETFL) & O_APPEND) != 0;
        will_write(descriptor, lseek(descriptor, 0, appends ? SEEK_END : SEEK_CUR), static_cast<int64_t>(count));
        Scheduler::current()->preempt();
    }
    const auto written = BENEATH(write, ssize_t(int, const void*, size_t))(descriptor, bytes, count);
    something_may_be_readable();
    return written;
}
ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t at) {
    if (is_live() && !path_of(descriptor).empty()) {
        will_write(descriptor, at, static_cast<int64_t>(count));
        Scheduler::current()->preempt();
    }
    return BENEATH(pwrite, ssize_t(int, const void*, size_t, off_t))(descriptor, bytes, count, at);
}
ssize_t pwrite64(int descriptor, const void* bytes, size_t count, off64_t at) {
    return pwrite(descriptor, bytes, count, at);
}

ssize_t copy_file_range(int from, off64_t* from_at, int to, off64_t* to_at, size_t count, unsigned int flags) {
    if (is_live() && !path_of(to).empty())
        will_write(to, to_at ? *to_at : lseek(to, 0, SEEK_CUR), static_cast<int64_t>(count));
    return BENEATH(copy_file_range, ssize_t(int, off64_t*, int, off64_t*, size_t, unsigned int))(from, from_at, to,
                                                                                                 to_at, count, flags);
}

int ftruncate(int descriptor, off_t size) noexcept {
    if (is_live()) will_truncate(descriptor, size);
    return BENEATH(ftruncate, int(int, off_t))(descriptor, size);
}
int ftruncate64(int descriptor, off64_t size) noexcept { return ftruncate(descriptor, size); }
int fallocate(int descriptor, int mode, off_t at, off_t count) {
    const int result = BENEATH(fallocate, int(int, int, off_t, off_t))(descriptor, mode, at, count);
    if (result == 0 && is_live() && !path_of(descriptor).empty()) {
        struct stat status {};
        fstat(descriptor, &status);
        auto& file = file_of(descriptor);
        file.size = status.st_size;
    }
    return result;
}
int fallocate64(int descriptor, int mode, off64_t at, off64_t count) { return fallocate(descriptor, mode, at, count); }
int posix_fallocate(int descriptor, off_t at, off_t count) {
    return fallocate(descriptor, 0, at, count) == 0 ? 0 : errno;
}
int posix_fallocate64(int descriptor, off64_t at, off64_t count) { return posix_fallocate(descriptor, at, count); }

int fsync(int descriptor) {
    spend_time();
    if (is_live()) sync_done(descriptor);
    spend_time();
    return 0;
}
int fdatasync(int descriptor) { return fsync(descriptor); }

int rename(const char* from, const char* to) noexcept {
    return renamed(AT_FDCWD, from, AT_FDCWD, to,
                   [&] { return BENEATH(rename, int(const char*, const char*))(from, to); });
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
    return renamed(from_folder, from, to_folder, to, [&] {
        return BENEATH(renameat, int(int, const char*, int, const char*))(from_folder, from, to_folder, to);
    });
}
int link(const char* from, const char* to) noexcept {
    return linked(AT_FDCWD, to, [&] { return BENEATH(link, int(const char*, const char*))(from, to); });
}
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
    return linked(to_folder, to, [&] {
        return BENEATH(linkat, int(int, const char*, int, const char*, int))(from_folder, from, to_folder, to, flags);
    });
}
int unlink(const char* path) noexcept {
    return removed(AT_FDCWD, path, [&] { return BENEATH(unlink, int(const char*))(path); });
}
int unlinkat(int folder, const char* path, int flags) noexcept {
    return removed(folder, path, [&] { return BENEATH(unlinkat, int(int, const char*, int))(folder, path, flags); });
}
int mkdir(const char* path, mode_t mode) noexcept {
    return linked(AT_FDCWD, path, [&] { return BENEATH(mkdir, int(const char*, mode_t))(path, mode); });
}

}  // extern "C"
