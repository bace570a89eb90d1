// Threads, locks and time of a simulation: every thread is a fiber, exactly one runs, and a seed says which is next.
//
// The product is linked unchanged. threads.cc defines pthread_create, pthread_mutex_lock, clock_gettime and their kin,
// so std::jthread, std::mutex, std::condition_variable, std::future and the clocks of <chrono> all come here while a
// simulation runs. When every fiber waits, time jumps to the next deadline.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millwright::simulation {

constexpr int64_t kMicrosecond = 1'000;
constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNever = INT64_MAX;

// splitmix64: small, seedable by any number, the same everywhere.
class Dice {
  public:
    explicit Dice(uint64_t seed) : state_(seed) {}
    uint64_t next();
    uint64_t below(uint64_t limit) { return limit == 0 ? 0 : next() % limit; }
    int64_t between(int64_t low, int64_t high) {
        return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
    }
    bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1p-53 < probability; }
    // Of any order of magnitude between the two, all equally likely.
    int64_t spread(int64_t low, int64_t high);

  private:
    uint64_t state_;
};

struct Fiber;

// One per process at a time, while run() is in progress. Not thread-safe: there is one thread.
class Scheduler {
  public:
    explicit Scheduler(uint64_t seed);
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    // Of the simulation in progress, or null.
    static Scheduler* current();

    // Runs `director` as fiber 0 of group 0 until it returns.
    void run(std::function<void()> director);

    // A fiber begins in the group given: groups can be ended as a whole, like a process.
    int spawn(std::string name, int group, std::function<void()> body);
    int spawn(std::string name, std::function<void()> body);  // in the group of the one that calls
    // Its fibers never run again, wherever they are, and nothing of theirs is destroyed: kill -9.
    void end_group(int group);
    void join(int fiber);  // one of this process
    size_t count(int group) const;

    int self() const;
    int own_group() const;

    // Others may run now. At preemption points they do as often as the seed says.
    void yield();
    void preempt();
    // Until wake() of the same address, or the deadline (of steady_ns). False: the deadline.
    bool block(const void* on, int64_t deadline = kNever);
    void wake_one(const void* on);
    void wake_all(const void* on);
    void sleep(int64_t nanoseconds) { block(nullptr, steady_ns() + nanoseconds); }
    // The director, which waits in block(), is woken after so many more switches.
    void wake_director_after(uint64_t switches) { director_at_ = switches_ + switches; }

    int64_t steady_ns() const { return now_; }
    int64_t wall_ns() const { return now_ + wall_ahead_; }
    int64_t wall_ahead_ns() const { return wall_ahead_; }
    void jump_wall_clock(int64_t by) { wall_ahead_ += by; }
    void pass(int64_t nanoseconds) { now_ += nanoseconds; }

    Dice& dice() { return dice_; }
    // Every choice and every note changes it: equal for equal runs.
    uint64_t fingerprint() const { return fingerprint_; }
    void note(uint64_t value) { fingerprint_ = (fingerprint_ ^ value) * 0x100000001b3u; }
    uint64_t switches() const { return switches_; }

    // What a planted fault does: notifications vanish with this probability.
    void lose_notifications(double probability) { lost_notifications_ = probability; }
    bool loses_this_notification() { return lost_notifications_ > 0 && dice_.chance(lost_notifications_); }
    bool wakes_for_nothing() { return dice_.chance(0.002); }

    // "who waits for what", for a report.
    std::string describe_fibers() const;

  private:
    static void begin_fiber();
    void loop();
    Fiber* choose();
    bool advance();
    void leave();

    Dice dice_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> alive_;  // by id
    Fiber* running_ = nullptr;
    void* loop_stack_ = nullptr;
    int64_t now_ = 1000 * kSecond;
    int64_t wall_ahead_ = 0;
    uint64_t switches_ = 0, director_at_ = UINT64_MAX;
    uint64_t fingerprint_ = 0xcbf29ce484222325u;
    bool by_priority_ = false;  // else all are equally likely
    double preemption_ = 0, lost_notifications_ = 0;
};

// Ends this process as a seed that has found something. Callable from anywhere, also without a simulation.
[[noreturn]] void fail(const std::string& what);

}  // namespace millwright::simulation
