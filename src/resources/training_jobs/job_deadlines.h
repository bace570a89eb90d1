// One thread that calls at set times: the end of a job's patience, the next interruption of its spot instance.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "base/mutex.h"

namespace millwright::resources {

enum class Deadline { MaxWait, MaxPending, Interruption };

// Thread-safe.
class JobDeadlines {
  public:
    // `due` is called from the thread of this object, and may call set() and forget().
    explicit JobDeadlines(std::function<void(int64_t job, Deadline deadline)> due);
    ~JobDeadlines();  // waits for a call in progress

    // One per job and kind; a later call replaces it.
    void set(int64_t job, Deadline deadline, std::chrono::milliseconds in);
    void forget(int64_t job);

  private:
    using Steady = std::chrono::steady_clock;
    using Key = std::pair<int64_t, Deadline>;

    void work();

    const std::function<void(int64_t, Deadline)> due_;
    Mutex mutex_;
    Condition changed_;
    std::map<Key, Steady::time_point> times_ GUARDED_BY(mutex_);
    std::multimap<Steady::time_point, Key> order_ GUARDED_BY(mutex_);  // may hold replaced ones
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::jthread thread_;
};

}  // namespace millwright::resources
