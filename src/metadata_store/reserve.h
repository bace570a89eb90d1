// Room on the disk for what must still be possible when it is full: ending, stopping, deleting.
//
// A file holds the room back. When nothing else is left it is removed, and what adds something (Space::Free) is refused
// from then on; the file is made again once there is room for it and a little more. Making it never takes the last
// room. The room is not ours alone after the removal, which is why the log of writes has its blocks beforehand
// (preallocate_log).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/mutex.h"
#include "base/result.h"

namespace millwright::metadata_store {

// Thread-safe.
class Reserve {
  public:
    // `wanted` bytes in `path`, but at most a sixteenth of the file system; 0: none, and low() is never true.
    Reserve(std::string path, uint64_t wanted);

    bool low() const { return low_.load(std::memory_order_relaxed); }
    // Looks at the disk, at most every few milliseconds, and removes or makes the file.
    void look();
    // Something has failed for want of room.
    void release();

  private:
    uint64_t least() const { return bytes_ / 4; }  // free when the file is removed; twice that is left when it is made
    // `free`: of the file system.
    Result<void> make(uint64_t free) REQUIRES(mutex_);

    const std::string path_;
    uint64_t bytes_ = 0;
    std::atomic<bool> low_{false};
    std::atomic<std::chrono::steady_clock::rep> next_look_{0};
    Mutex mutex_;
};

// Lets the file `path` have at least `bytes` (at most a sixteenth of the file system) by adding zeros, durably: writes
// into blocks that are there need no room, and their sync changes no metadata of the file system.
Result<void> preallocate_log(const std::string& path, uint64_t bytes);

}  // namespace millwright::metadata_store
