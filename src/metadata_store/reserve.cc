#include "metadata_store/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"

namespace millwright::metadata_store {
namespace {

using std::chrono::steady_clock;

constexpr uint64_t kShare = 16;  // of the file system, at most
constexpr auto kPause = std::chrono::milliseconds(10);

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

struct Room {
    uint64_t total = 0, free = 0;
};
Result<Room> room_of(const std::string& folder) {
    struct statvfs status {};
    if (::statvfs(folder.c_str(), &status) != 0) return error_from_errno("cannot examine the file system of " + folder);
    return Room{uint64_t{status.f_blocks} * status.f_frsize, uint64_t{status.f_bavail} * status.f_frsize};
}

}  // namespace

Reserve::Reserve(std::string path, uint64_t wanted) : path_(std::move(path)) {
    if (wanted == 0) return;
    const auto room = room_of(folder_of(path_));
    if (!room) {
        log::warning("reserve of the metadata store", room.error());
        return;
    }
    bytes_ = std::min(wanted, room->total / kShare);
    const MutexLock lock(mutex_);
    if (auto made = make(room->free); !made) {
        low_ = true;
        log::warning("the disk is full: there is room to stop and delete, not to create", made.error());
    }
}

Result<void> Reserve::make(uint64_t free) {
    struct stat status {};
    const bool there = ::stat(path_.c_str(), &status) == 0;
    const uint64_t held = there ? std::min(bytes_, uint64_t{512} * static_cast<uint64_t>(status.st_blocks)) : 0;
    const uint64_t rest = held == bytes_ ? least() : 2 * least();  // for everybody else
    // What asks a file system for more than it has is given all of it first, and for that moment nobody can write.
    int failure = ENOSPC;
    if (free >= bytes_ - held + rest) {
        const Fd file = TRY(open_file(path_, O_RDWR | O_CREAT, 0600));
        failure = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes_));
    }
    if (failure == 0) return {};
    errno = failure;
    const Error error = error_from_errno("cannot hold back " + std::to_string(bytes_) + " bytes in " + path_);
    ::unlink(path_.c_str());
    return error;
}

void Reserve::look() {
    if (bytes_ == 0) return;
    const auto now = steady_clock::now().time_since_epoch().count();
    if (now < next_look_.load(std::memory_order_relaxed)) return;
    next_look_ = now + steady_clock::duration(kPause).count();
    const auto room = room_of(folder_of(path_));
    if (!room) return;
    if (!low()) {
        if (room->free < least()) release();
        return;
    }
    const MutexLock lock(mutex_);
    if (!low() || !make(room->free)) return;
    low_ = false;
    log::info("there is room on the disk again");
}

void Reserve::release() {
    if (bytes_ == 0) return;
    const MutexLock lock(mutex_);
    if (low()) return;
    low_ = true;
    ::unlink(path_.c_str());
    log::warning("the disk is full: there is room to stop and delete, not to create");
}

Result<void> preallocate_log(const std::string& path, uint64_t bytes) {
    if (bytes == 0) return {};
    const auto room = TRY(room_of(folder_of(path)));
    bytes = std::min(bytes, room.total / kShare);
    if (room.free < 2 * bytes) return {};
    const Fd file = TRY(open_file(path, O_RDWR | O_CREAT, 0600));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return error_from_errno("cannot examine " + path);
    const std::string zeros(size_t{1} << 20, '\0');
    for (auto at = static_cast<uint64_t>(status.st_size); at < bytes;) {
        const size_t count = static_cast<size_t>(std::min<uint64_t>(zeros.size(), bytes - at));
        const ssize_t put = ::pwrite(file.get(), zeros.data(), count, static_cast<off_t>(at));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return error_from_errno("cannot make room for the log of writes");
        at += static_cast<uint64_t>(put);
    }
    if (::fdatasync(file.get()) != 0) return error_from_errno("cannot sync the log of writes");
    return {};
}

}  // namespace millwright::metadata_store
