// The threads of one pool of the HTTP server, and which of them look for work.
//
// Every thread that waits in epoll_wait(2) is woken by the next event, even when the processors are busy with other
// workers who would take it a moment later; with many of them that costs as much as the requests. So only as many as
// there are processors are awake: they serve, or listen. The others rest. One is called when an awake one blocks
// (Blocking), and nobody listens.
//
// What blocks without saying so, or computes for long, is found by the server's front thread: it looks every 5 ms, from
// the moment that nobody listens, whether events wait and none was taken, and lets one more be awake.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <thread>
#include <vector>

#include "base/blocking.h"
#include "base/mutex.h"

namespace millwright::net {

// Thread-safe.
class Workers final : public Blocking::Pool {
  public:
    // `base` of them can always work, whoever else pauses; at most `most` in all. `run` is what a thread does; it
    // returns when await_turn() is false. `nobody_listens` is called on a worker, rarely: look_after() is to be called
    // soon, and again until it is false.
    Workers(int base, int most, std::function<void()> run, std::function<void()> nobody_listens);
    ~Workers() override;

    void start();
    // No thread is started any more, and none rests; waits for those there are.
    void stop();

    // On a worker, before it listens. False: the thread ends.
    bool await_turn();
    void begin_listening() { ++listening_; }
    void end_listening(bool took_an_event);

    // About every 5 ms; `work_waits` tells whether there are events that nobody has taken. False when it is not needed
    // until nobody_listens is called again.
    bool look_after(const std::function<bool()>& work_waits);
    void join_retired();

    void pause() override;
    void resume() override;
    void block() override;
    void unblock() override;

  private:
    // A worker that is not awake.
    struct Resting {
        Condition called;
        bool is_called = false;
    };

    void start_one() REQUIRES(mutex_);
    void call_one();
    bool retire(Resting& resting) REQUIRES(mutex_);

    const int base_, most_;
    const int fewest_awake_;
    const std::function<void()> run_, nobody_listens_;

    std::atomic<int> listening_ = 0;
    std::atomic<int> awake_ = 0;  // neither resting nor blocked
    std::atomic<int> limit_;      // of those who may look for work
    std::atomic<uint64_t> taken_ = 0;

    // Of the thread that looks after them.
    uint64_t taken_before_ = 0;
    int quiet_ = 0, patience_ = 0;

    Mutex mutex_;
    int total_ GUARDED_BY(mutex_) = 0;
    int pausing_ GUARDED_BY(mutex_) = 0;
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::vector<Resting*> resting_ GUARDED_BY(mutex_);  // the last one to rest is called first: its caches are warm
    std::list<std::jthread> threads_ GUARDED_BY(mutex_);
    std::vector<std::thread::id> retired_ GUARDED_BY(mutex_);
};

}  // namespace millwright::net
