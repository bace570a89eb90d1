#include "net/workers.h"

#include <algorithm>
#include <system_error>

#include "base/log.h"

namespace millwright::net {
namespace {

// A worker beyond those that are always there ends when it had nothing to do for this long.
constexpr std::chrono::milliseconds kSurplusLife{2000};
// Looks without anything to do until nobody looks any more, and until a worker that was added is taken away again.
constexpr int kQuiet = 20, kPatience = 20;

// More get more done, by some percent, but then one that lost the processor in the midst of a request keeps its client
// waiting for whole time slices.
int fewest_awake() { return std::max(2, static_cast<int>(std::thread::hardware_concurrency())); }

}  // namespace

Workers::Workers(int base, int most, std::function<void()> run, std::function<void()> nobody_listens)
    : base_(base),
      most_(most),
      fewest_awake_(std::min(base, fewest_awake())),
      run_(std::move(run)),
      nobody_listens_(std::move(nobody_listens)),
      limit_(fewest_awake_) {}

Workers::~Workers() { stop(); }

void Workers::start() {
    const MutexLock lock(mutex_);
    while (total_ < base_) {
        const int before = total_;
        start_one();
        if (total_ == before) return;
    }
}

void Workers::start_one() {
    ++awake_;
    try {
        threads_.emplace_back([this] {
            Blocking::set_pool(this);
            run_();
        });
        ++total_;
    } catch (const std::system_error& failure) {
        --awake_;
        // The machine allows no more threads: whoever waits keeps its place then.
        log::warning("cannot start a worker", internal_error("thread", failure.what()));
    }
}

void Workers::stop() {
    std::list<std::jthread> all;
    {
        const MutexLock lock(mutex_);
        stopping_ = true;
        for (Resting* resting : resting_) {
            resting->is_called = true;
            resting->called.notify_one();
        }
        resting_.clear();
        all.swap(threads_);
    }
}

bool Workers::await_turn() {
    if (awake_ <= limit_) return true;
    const MutexLock lock(mutex_);
    if (stopping_) return false;
    if (awake_ <= limit_) return true;
    --awake_;
    Resting self;
    resting_.push_back(&self);
    while (!self.is_called) {
        if (total_ - pausing_ <= base_)
            self.called.wait(mutex_);
        else if (!self.called.wait_until(mutex_, std::chrono::steady_clock::now() + kSurplusLife) && retire(self))
            return false;
    }
    return !stopping_;
}

bool Workers::retire(Resting& resting) {
    if (resting.is_called || total_ - pausing_ <= base_) return false;
    resting_.erase(std::find(resting_.begin(), resting_.end(), &resting));
    --total_;
    retired_.push_back(std::this_thread::get_id());
    return true;
}

void Workers::join_retired() {
    std::list<std::jthread> done;
    const MutexLock lock(mutex_);
    for (const auto id : retired_)
        for (auto it = threads_.begin(); it != threads_.end(); ++it)
            if (it->get_id() == id) {
                done.splice(done.end(), threads_, it);
                break;
            }
    retired_.clear();
}

// Wakes a resting worker, where one is needed and may be.
void Workers::call_one() {
    const MutexLock lock(mutex_);
    if (listening_ > 0 || awake_ >= limit_ || resting_.empty()) return;
    Resting& next = *resting_.back();
    resting_.pop_back();
    next.is_called = true;
    ++awake_;
    next.called.notify_one();
}

void Workers::end_listening(bool took_an_event) {
    const bool nobody = --listening_ == 0;
    if (!took_an_event) return;
    ++taken_;
    if (!nobody) return;
    if (awake_ < limit_)
        call_one();
    else
        nobody_listens_();
}

void Workers::block() {
    --awake_;
    if (listening_ == 0) call_one();
}

void Workers::unblock() { ++awake_; }

void Workers::pause() {
    const MutexLock lock(mutex_);
    ++pausing_;
    if (total_ - pausing_ < base_ && total_ < most_ && !stopping_) start_one();
}

void Workers::resume() {
    const MutexLock lock(mutex_);
    --pausing_;
}

bool Workers::look_after(const std::function<bool()>& work_waits) {
    const uint64_t taken = taken_;
    const bool moved = taken != taken_before_;
    taken_before_ = taken;
    if (listening_ == 0 && !moved && work_waits()) {
        // Those who are awake are stuck.
        limit_ = std::max<int>(limit_, awake_) + 1;
        patience_ = 0;
        call_one();
    } else if (limit_ > fewest_awake_ && ++patience_ >= kPatience) {
        --limit_;
        patience_ = 0;
    }
    quiet_ = moved || listening_ == 0 ? 0 : quiet_ + 1;
    if (quiet_ < kQuiet || limit_ > fewest_awake_) return true;
    quiet_ = 0;
    return false;
}

}  // namespace millwright::net
