// A fixed number of threads for work that may block: staging, uploads, commits.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace millwright::jobs {

class WorkerPool {
  public:
    explicit WorkerPool(size_t threads);
    ~WorkerPool();  // drops tasks not yet begun, waits for those that run

    // The queue is bounded by its user: the supervisor keeps at most one task per run in it.
    void post(std::function<void()> task);

  private:
    void work();

    Mutex mutex_;
    Condition changed_;
    std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::vector<std::jthread> threads_;
};

}  // namespace millwright::jobs
