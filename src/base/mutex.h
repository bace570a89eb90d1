// std::mutex and friends with clang's thread-safety annotations (-Wthread-safety in the clang preset).
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define MW_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define MW_THREAD_ANNOTATION(x)
#endif
#define GUARDED_BY(mutex) MW_THREAD_ANNOTATION(guarded_by(mutex))
#define REQUIRES(mutex) MW_THREAD_ANNOTATION(requires_capability(mutex))
#define EXCLUDES(mutex) MW_THREAD_ANNOTATION(locks_excluded(mutex))

namespace millwright {

class MW_THREAD_ANNOTATION(capability("mutex")) Mutex {
  public:
    void lock() MW_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }
    void unlock() MW_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
    std::mutex& native() { return mutex_; }

  private:
    std::mutex mutex_;
};

class MW_THREAD_ANNOTATION(scoped_lockable) MutexLock {
  public:
    explicit MutexLock(Mutex& mutex) MW_THREAD_ANNOTATION(acquire_capability(mutex)) : mutex_(mutex) { mutex_.lock(); }
    ~MutexLock() MW_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

  private:
    Mutex& mutex_;
};

class Condition {
  public:
    // REQUIRES: `mutex` is held by the caller; it is held again on return. May wake spuriously.
    void wait(Mutex& mutex) REQUIRES(mutex) {
        std::unique_lock<std::mutex> lock(mutex.native(), std::adopt_lock);
        condition_.wait(lock);
        lock.release();
    }
    // False when the deadline passed.
    bool wait_until(Mutex& mutex, std::chrono::steady_clock::time_point deadline) REQUIRES(mutex) {
        std::unique_lock<std::mutex> lock(mutex.native(), std::adopt_lock);
        const bool woken = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
        lock.release();
        return woken;
    }
    void notify_one() { condition_.notify_one(); }
    void notify_all() { condition_.notify_all(); }

  private:
    std::condition_variable condition_;
};

}  // namespace millwright
