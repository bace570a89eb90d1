#include "resources/training_jobs/job_deadlines.h"

#include <algorithm>

namespace millwright::resources {

JobDeadlines::JobDeadlines(std::function<void(int64_t, Deadline)> due) : due_(std::move(due)) {
    thread_ = std::jthread([this] { work(); });
}

JobDeadlines::~JobDeadlines() {
    {
        MutexLock lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
}

void JobDeadlines::set(int64_t job, Deadline deadline, std::chrono::milliseconds in) {
    // Far enough for every limit of the service, near enough for the arithmetic of the clock.
    constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365);
    const auto when = Steady::now() + std::clamp(in, std::chrono::milliseconds(0), kLongest);
    {
        MutexLock lock(mutex_);
        times_[{job, deadline}] = when;
        order_.emplace(when, Key{job, deadline});
    }
    changed_.notify_all();
}

void JobDeadlines::forget(int64_t job) {
    MutexLock lock(mutex_);
    for (const auto deadline : {Deadline::MaxWait, Deadline::MaxPending, Deadline::Interruption}) {
        const auto set = times_.find({job, deadline});
        if (set == times_.end()) continue;
        const auto [first, last] = order_.equal_range(set->second);
        for (auto entry = first; entry != last; ++entry) {
            if (entry->second != set->first) continue;
            order_.erase(entry);
            break;
        }
        times_.erase(set);
    }
}

void JobDeadlines::work() {
    for (;;) {
        Key key;
        {
            MutexLock lock(mutex_);
            while (!stopping_ && (order_.empty() || order_.begin()->first > Steady::now())) {
                if (order_.empty()) {
                    changed_.wait(mutex_);
                } else {
                    changed_.wait_until(mutex_, order_.begin()->first);
                }
            }
            if (stopping_) return;
            const auto [when, next] = *order_.begin();
            order_.erase(order_.begin());
            const auto current = times_.find(next);
            if (current == times_.end() || current->second != when) continue;
            times_.erase(current);
            key = next;
        }
        due_(key.first, key.second);
    }
}

}  // namespace millwright::resources
