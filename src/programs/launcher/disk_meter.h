// How much disk each host of a run holds, and whether that is too much.
//
// Counted are the blocks of what lies below <folder>/<algo-N> (/opt/ml, /tmp, /root, changes in overlays) and of
// writable mounts from elsewhere in the folder, each file once, and files that were deleted but are still open. Files
// with further names outside (hard links into the object store) are not counted.
//
// A walk through all of it is made only when free space of the disk has fallen by so much that a limit could be
// reached, and every few seconds; walks take at most about a tenth of one CPU, with low priority, in an own thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "executors/process/launch_spec.h"

namespace millwright::launcher {

class DiskMeter {
  public:
    // `inits`: the first process of each host.
    static Result<std::unique_ptr<DiskMeter>> start(const executors::LaunchSpec& spec, std::vector<pid_t> inits);
    ~DiskMeter();

    // Becomes readable when a host is over its limit or eats up the reserve; read it before over_limit().
    int event() const { return event_.get(); }
    // Hosts to be stopped, and why, for people. Each is reported once.
    struct Excess {
        int host = 0;
        std::string reason;
    };
    std::vector<Excess> take_excesses();
    uint64_t bytes(int host) const { return hosts_[static_cast<size_t>(host)]->bytes; }
    // Whether the disk itself had no room at some moment until now.
    bool disk_was_full();

  private:
    struct Host {
        std::vector<std::string> folders;
        pid_t init = -1;
        std::atomic<uint64_t> bytes = 0;
        uint64_t when_there_was_room = 0;  // bytes, when the reserve was last intact
        std::atomic<bool> over = false;
        bool reported = false;
        std::string reason;  // set before `over`
    };
    struct Space {
        uint64_t free = 0, total = 0, inodes = 1, all_inodes = 0;
    };
    DiskMeter() = default;
    void loop(const std::stop_token& stop);
    bool walk_is_due(const Space& space, int64_t time_ns) const;
    void walk(const std::stop_token& stop, const Space& space);
    void judge(const Space& space);
    void condemn(Host& host, std::string reason);
    void publish() const;
    Space space();

    std::string folder_, usage_path_;
    uint64_t limit_ = 0, reserve_ = 0;
    std::vector<std::unique_ptr<Host>> hosts_;
    Fd event_, quit_, folder_fd_;
    std::atomic<bool> full_ = false;
    uint64_t free_at_walk_ = 0;
    int64_t walked_at_ns_ = 0, walk_took_ns_ = 0;
    std::jthread thread_;
};

}  // namespace millwright::launcher
