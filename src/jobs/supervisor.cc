#include "jobs/supervisor.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/mutex.h"
#include "jobs/fair_queue.h"
#include "jobs/worker_pool.h"

namespace millwright::jobs {
namespace {

using executors::RunOutcome;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{500};
constexpr std::chrono::milliseconds kLongestPause{30'000};
constexpr std::chrono::milliseconds kBetweenExplanations{200};

enum class State { Provisioning, Waiting, Preparing, Adopting, Running, Finishing, Resting };

struct Live {
    std::shared_ptr<Work> work;
    uint64_t number = 0;  // order of arrival
    State state = State::Waiting;
    std::shared_ptr<StopFlag> stop = std::make_shared<StopFlag>(false);
    bool interrupt = false;   // its run, as soon as there is one
    std::string reservation;  // whose share it may take over
    // Provisioning: whoever sets it first, the thread that begins or the stop that comes before, has the work.
    std::shared_ptr<std::atomic<bool>> claimed;
    std::string run_id, folder;
    Demand demand;
    bool holds_capacity = false;
    std::optional<Steady::time_point> started;  // of the present run
    std::string reason;                         // why it waits, as last recorded
    Ending ending;
    std::optional<RunOutcome> early_outcome;  // ended before our own start() or adopt() returned
    std::deque<std::function<void()>> tasks;
    bool busy = false;
    std::chrono::milliseconds pause = kFirstPause;
};

// What the deciding thread is told.
struct Submitted {
    std::shared_ptr<Work> work;
    Entry entry;
};
struct StopAsked {
    std::string key;
};
struct InterruptAsked {
    std::string key;
};
struct Reserve {
    Reservation reservation;
};
struct Release {
    std::string key;
};
struct Provisioned {
    std::string key;
    std::optional<Error> error;
};
struct Launching {  // a run id is about to be handed to the executor
    std::string key, run_id, folder;
};
struct Prepared {  // started, or neither started nor failed: stopped before that
    std::string key;
    bool started = false;
    std::optional<Error> error;
};
struct Adopted {
    std::string key;
    std::optional<Error> error;
};
struct Finished {
    std::string key;
    std::optional<Error> error;
    After after = After::Done;
};
struct TaskDone {
    std::string key;
};
struct RunStarted {
    std::string run_id;
    Timestamp when;
};
struct RunEnded {
    std::string run_id;
    RunOutcome outcome;
};
using Event = std::variant<Submitted, StopAsked, InterruptAsked, Reserve, Release, Provisioned, Launching, Prepared,
                           Adopted, Finished, TaskDone, RunStarted, RunEnded>;

class ThreadedSupervisor : public Supervisor, public executors::RunListener {
  public:
    ThreadedSupervisor(const SupervisorSettings& settings, executors::Executor& executor)
        : executor_(executor),
          capacity_(settings.machine),
          pool_(std::make_unique<WorkerPool>(settings.workers)),
          provisioners_(std::make_unique<WorkerPool>(settings.provisioners)) {
        thread_ = std::jthread([this] { decide(); });
    }
    ~ThreadedSupervisor() override { shut_down(); }

    void submit(std::shared_ptr<Work> work, Entry entry) override {
        post(Submitted{std::move(work), std::move(entry)});
    }
    void stop(const std::string& key) override { post(StopAsked{key}); }
    void interrupt(const std::string& key) override { post(InterruptAsked{key}); }
    void reserve(Reservation reservation) override { post(Reserve{std::move(reservation)}); }
    void release(const std::string& key) override { post(Release{key}); }
    const Machine& machine() const override { return capacity_.machine(); }
    void shut_down() override;

    void run_started(const std::string& id, Timestamp when) override { post(RunStarted{id, when}); }
    void run_ended(const std::string& id, const RunOutcome& outcome) override { post(RunEnded{id, outcome}); }

  private:
    void post(Event event);
    void decide();

    void handle(Submitted& event);
    void handle(StopAsked& event);
    void handle(InterruptAsked& event);
    void handle(Reserve& event);
    void handle(Release& event);
    void handle(Provisioned& event);
    void handle(Launching& event);
    void handle(Prepared& event);
    void handle(Adopted& event);
    void handle(Finished& event);
    void handle(TaskDone& event);
    void handle(RunStarted& event);
    void handle(RunEnded& event);

    void schedule();
    bool make_room(const Demand& demand);
    bool drop_reservation(const std::string& key);
    void explain_waiting();
    std::optional<Steady::time_point> next_time() const;
    std::map<uint64_t, ExpectedStart> expected_starts(size_t limit) const;
    void line_up(Live& live);
    void provision(Live& live);
    void enqueue(Live& live);
    void rest(Live& live, std::chrono::milliseconds pause);
    void ask_to_stop(Live& live);
    void due(const std::string& key);
    void prepare(Live& live);
    void adopt(Live& live);
    void try_again(Live& live);
    void run_is_over(Live& live, Ending ending);
    void finish(Live& live);
    void take_capacity(Live& live);
    void give_back_capacity(Live& live);
    void add_task(Live& live, std::function<void()> task);
    void next_task(Live& live);
    Live* find(const std::string& key);
    Live* find_run(const std::string& run_id);
    double share(const Demand& demand) const;

    executors::Executor& executor_;

    Mutex mutex_;
    Condition arrived_;
    std::deque<Event> events_ GUARDED_BY(mutex_);
    bool stopping_ GUARDED_BY(mutex_) = false;

    // Only the deciding thread touches these.
    Capacity capacity_;
    FairQueue queue_;
    std::deque<Reservation> reservations_;                          // oldest first
    std::unordered_map<std::string, std::unique_ptr<Live>> lives_;  // by key
    std::map<uint64_t, std::string> waiting_;                       // number -> key
    std::unordered_map<std::string, std::string> key_of_run_;
    std::multimap<Steady::time_point, std::string> retries_;  // of finish() and adopt(), and ends of rests
    std::optional<Steady::time_point> explain_at_;            // when those who wait are told why
    Steady::time_point explained_{};
    uint64_t next_number_ = 1;

    std::unique_ptr<WorkerPool> pool_, provisioners_;
    std::jthread thread_;
};

void ThreadedSupervisor::post(Event event) {
    {
        MutexLock lock(mutex_);
        if (stopping_) return;
        events_.push_back(std::move(event));
    }
    arrived_.notify_one();
}

void ThreadedSupervisor::shut_down() {
    {
        MutexLock lock(mutex_);
        if (stopping_) return;
        stopping_ = true;
    }
    arrived_.notify_one();
    thread_.join();
    // Staging in progress is cut short; the works record nothing more, which is the same as a crash here.
    for (const auto& [key, live] : lives_) live->stop->store(true);
    provisioners_.reset();
    pool_.reset();
    lives_.clear();
}

void ThreadedSupervisor::decide() {
    for (;;) {
        std::deque<Event> events;
        {
            MutexLock lock(mutex_);
            while (events_.empty() && !stopping_) {
                const auto next = next_time();
                if (!next) {
                    arrived_.wait(mutex_);
                } else if (!arrived_.wait_until(mutex_, *next)) {
                    break;
                }
            }
            if (stopping_) return;
            events.swap(events_);
        }
        for (auto& event : events) {
            std::visit([this](auto& known) { handle(known); }, event);
        }
        while (!retries_.empty() && retries_.begin()->first <= Steady::now()) {
            const auto key = retries_.begin()->second;
            retries_.erase(retries_.begin());
            due(key);
        }
        schedule();
        if (explain_at_ && *explain_at_ <= Steady::now()) explain_waiting();
    }
}

std::optional<Steady::time_point> ThreadedSupervisor::next_time() const {
    auto next = explain_at_;
    if (!retries_.empty() && (!next || retries_.begin()->first < *next)) next = retries_.begin()->first;
    return next;
}

void ThreadedSupervisor::due(const std::string& key) {
    auto* live = find(key);
    if (!live) return;
    if (live->state == State::Adopting) return adopt(*live);
    if (live->state == State::Resting) return line_up(*live);
    finish(*live);
}

void ThreadedSupervisor::handle(Submitted& event) {
    const auto key = event.work->key();
    CHECK(lives_.find(key) == lives_.end());
    auto& live = *lives_.emplace(key, std::make_unique<Live>()).first->second;
    live.demand = event.work->demand();
    live.work = std::move(event.work);
    live.number = next_number_++;
    live.run_id = event.entry.run_id;
    live.folder = event.entry.folder;
    live.stop->store(event.entry.stop);
    live.interrupt = event.entry.interrupt;
    live.reservation = std::move(event.entry.reservation);
    switch (event.entry.at) {
        case Entry::At::Queue:
            if (event.entry.stop) return run_is_over(live, {});
            return line_up(live);
        case Entry::At::Adopt:
            return adopt(live);
        case Entry::At::Finish:
            return run_is_over(live, std::move(event.entry.ending));
    }
}

void ThreadedSupervisor::handle(StopAsked& event) {
    auto* live = find(event.key);
    if (!live || live->stop->exchange(true)) return;
    switch (live->state) {
        case State::Provisioning:
            if (!live->claimed->exchange(true)) return run_is_over(*live, {});
            return;  // the thread that provisions looks at the flag
        case State::Waiting:
            queue_.remove(live->work->owner(), live->number);
            waiting_.erase(live->number);
            return run_is_over(*live, {});
        case State::Resting:
            std::erase_if(retries_, [&](const auto& retry) { return retry.second == event.key; });
            return run_is_over(*live, {});
        case State::Running:
            return ask_to_stop(*live);
        case State::Preparing:
        case State::Adopting:   // look at the flag when they are done
        case State::Finishing:  // has nothing left to stop
            return;
    }
}

void ThreadedSupervisor::handle(InterruptAsked& event) {
    auto* live = find(event.key);
    if (!live) return;
    if (live->state == State::Running) return ask_to_stop(*live);
    live->interrupt = live->state == State::Preparing || live->state == State::Adopting;
}

void ThreadedSupervisor::ask_to_stop(Live& live) {
    add_task(live, [this, id = live.run_id] {
        if (const auto asked = executor_.request_stop(id); !asked) log::error("stopping run " + id, asked.error());
        FAIL_POINT("jobs.after_stop_request");
    });
}

void ThreadedSupervisor::line_up(Live& live) {
    if (live.work->needs_provisions()) return provision(live);
    enqueue(live);
}

void ThreadedSupervisor::provision(Live& live) {
    live.state = State::Provisioning;
    live.claimed = std::make_shared<std::atomic<bool>>(false);
    provisioners_->post([this, work = live.work, stop = live.stop, claimed = live.claimed] {
        if (claimed->exchange(true)) return;
        const auto provided = work->provision(*stop);
        post(Provisioned{work->key(), provided ? std::nullopt : std::optional<Error>(provided.error())});
    });
}

void ThreadedSupervisor::handle(Provisioned& event) {
    auto* live = find(event.key);
    if (!live) return;
    if (live->stop->load()) return run_is_over(*live, {});
    if (event.error) return run_is_over(*live, {.outcome = std::nullopt, .error = std::move(event.error)});
    enqueue(*live);
}

void ThreadedSupervisor::handle(Launching& event) {
    auto* live = find(event.key);
    if (!live) return;
    live->run_id = event.run_id;
    live->folder = event.folder;
    key_of_run_[event.run_id] = event.key;
}

void ThreadedSupervisor::handle(Prepared& event) {
    auto* live = find(event.key);
    if (!live) return;
    if (event.error) return run_is_over(*live, {.outcome = std::nullopt, .error = std::move(event.error)});
    if (!event.started) return run_is_over(*live, {});
    live->state = State::Running;
    if (live->early_outcome)
        return run_is_over(*live, {.outcome = std::move(live->early_outcome), .error = std::nullopt});
    if (live->stop->load() || live->interrupt) ask_to_stop(*live);
    live->interrupt = false;
}

void ThreadedSupervisor::handle(Adopted& event) {
    Prepared adopted{.key = event.key, .started = true, .error = std::nullopt};
    if (!event.error) return handle(adopted);
    // Nothing is known about the run, so nothing may be concluded: it may well be alive.
    auto* live = find(event.key);
    if (!live) return;
    log::error("finding the run of " + event.key + " again, will be tried again", *event.error);
    try_again(*live);
}

void ThreadedSupervisor::try_again(Live& live) {
    retries_.emplace(Steady::now() + live.pause, live.work->key());
    live.pause = std::min(live.pause * 2, kLongestPause);
}

void ThreadedSupervisor::handle(Finished& event) {
    auto* live = find(event.key);
    if (!live) return;
    if (event.error) {
        log::error("finishing " + event.key + ", will be tried again", *event.error);
        return try_again(*live);
    }
    if (!live->run_id.empty()) key_of_run_.erase(live->run_id);
    if (event.after == After::Done) {
        lives_.erase(event.key);
        return;
    }
    live->run_id.clear();
    live->folder.clear();
    live->ending = {};
    live->interrupt = false;
    if (live->stop->load()) return run_is_over(*live, {});
    rest(*live, live->work->rest());
}

void ThreadedSupervisor::handle(TaskDone& event) {
    auto* live = find(event.key);
    if (!live) return;
    live->busy = false;
    next_task(*live);
}

void ThreadedSupervisor::handle(RunStarted& event) {
    auto* live = find_run(event.run_id);
    if (!live || live->state == State::Finishing) return;
    // An adopted run has begun long ago.
    const auto ago = std::max(Timestamp::duration(0), system_clock().now() - event.when);
    live->started = Steady::now() - std::chrono::duration_cast<Steady::duration>(ago);
    add_task(*live, [work = live->work, when = event.when] { work->started(when); });
}

void ThreadedSupervisor::handle(RunEnded& event) {
    auto* live = find_run(event.run_id);
    if (!live) return;
    if (live->state == State::Running) {
        run_is_over(*live, {.outcome = std::move(event.outcome), .error = std::nullopt});
    } else if (live->state == State::Preparing || live->state == State::Adopting) {
        live->early_outcome = std::move(event.outcome);
    }
}

void ThreadedSupervisor::schedule() {
    while (const auto head = queue_.head()) {
        const auto number = waiting_.find(*head);
        auto& live = *find(number->second);
        if (!capacity_.fits(live.demand) && !make_room(live.demand)) {
            // A burst of submissions is explained once.
            if (!explain_at_) explain_at_ = std::max(Steady::now(), explained_ + kBetweenExplanations);
            return;
        }
        queue_.remove(live.work->owner(), live.number);
        waiting_.erase(number);
        take_capacity(live);
        prepare(live);
    }
}

// What is reserved makes room for what waits, but not in vain.
bool ThreadedSupervisor::make_room(const Demand& demand) {
    Capacity without = capacity_;
    for (const auto& reservation : reservations_) without.give_back(reservation.demand);
    if (reservations_.empty() || !without.fits(demand)) return false;
    while (!capacity_.fits(demand)) {
        const auto reservation = std::move(reservations_.front());
        reservations_.pop_front();
        capacity_.give_back(reservation.demand);
        pool_->post(reservation.yield);
    }
    return true;
}

void ThreadedSupervisor::handle(Reserve& event) {
    if (!waiting_.empty() || !capacity_.fits(event.reservation.demand)) return pool_->post(event.reservation.yield);
    capacity_.take(event.reservation.demand);
    reservations_.push_back(std::move(event.reservation));
}

void ThreadedSupervisor::handle(Release& event) { drop_reservation(event.key); }

// False when it is not there (any more).
bool ThreadedSupervisor::drop_reservation(const std::string& key) {
    const auto found = std::find_if(reservations_.begin(), reservations_.end(),
                                    [&](const Reservation& reservation) { return reservation.key == key; });
    if (found == reservations_.end()) return false;
    capacity_.give_back(found->demand);
    reservations_.erase(found);
    return true;
}

// Reasons name what is asked and how many are before it; they change only when that changes, so a long queue is not
// rewritten with each event.
std::map<uint64_t, ExpectedStart> ThreadedSupervisor::expected_starts(size_t limit) const {
    using std::chrono::milliseconds;
    constexpr size_t kForeseen = 1000;  // a longer queue is not played through with each event
    if (waiting_.size() > kForeseen) return {};
    std::vector<RunningShare> running;
    std::map<uint64_t, WaitingShare> waiting;
    const auto now = Steady::now();
    for (const auto& [key, live] : lives_) {
        const auto expected = live->work->expected();
        if (waiting_.contains(live->number)) waiting[live->number] = {live->work->owner(), live->demand, expected};
        if (!live->holds_capacity) continue;
        const auto elapsed =
            live->started ? std::chrono::duration_cast<milliseconds>(now - *live->started) : milliseconds(0);
        running.push_back({live->work->owner(), live->demand, left_of(expected, elapsed)});
    }
    return forecast(capacity_.machine(), running, queue_, waiting, limit);
}

void ThreadedSupervisor::explain_waiting() {
    constexpr size_t kExplained = 100;  // those further back get their place when they come nearer
    explain_at_.reset();
    explained_ = Steady::now();
    size_t explained = 0;
    const auto starts = expected_starts(kExplained);
    for (const auto& [number, key] : waiting_) {
        if (++explained > kExplained) break;
        auto& live = *find(key);
        const auto ahead = queue_.position(number);
        std::string reason = "Waiting for " + to_text(live.demand) + " on this machine";
        if (ahead > 0) reason += ", " + std::to_string(ahead) + (ahead == 1 ? " job" : " jobs") + " ahead";
        const auto start = starts.find(number);
        const auto when = start == starts.end() ? "" : to_text(start->second, system_clock().now());
        if (!when.empty()) reason += "; " + when;
        if (reason == live.reason) continue;
        live.reason = reason;
        add_task(live, [work = live.work, reason] { work->waiting(reason); });
    }
}

void ThreadedSupervisor::enqueue(Live& live) {
    live.state = State::Waiting;
    live.demand = live.work->demand();
    live.reason.clear();
    const bool had_room = !live.reservation.empty() && drop_reservation(live.reservation);
    live.reservation.clear();
    if (had_room && capacity_.fits(live.demand)) {
        take_capacity(live);
        return prepare(live);
    }
    queue_.push(live.work->owner(), live.number);
    waiting_[live.number] = live.work->key();
}

void ThreadedSupervisor::rest(Live& live, std::chrono::milliseconds pause) {
    if (pause.count() <= 0) return line_up(live);
    live.state = State::Resting;
    retries_.emplace(Steady::now() + pause, live.work->key());
}

void ThreadedSupervisor::prepare(Live& live) {
    live.state = State::Preparing;
    add_task(live, [this, work = live.work, stop = live.stop] {
        const auto key = work->key();
        auto spec = work->prepare(*stop);
        if (!spec) {
            if (stop->load()) return post(Prepared{.key = key, .started = false, .error = std::nullopt});
            return post(Prepared{.key = key, .started = false, .error = spec.error()});
        }
        if (stop->load()) return post(Prepared{.key = key, .started = false, .error = std::nullopt});
        // Told before start(), because the executor may report on the run before start() returns.
        post(Launching{key, spec->id, spec->folder});
        FAIL_POINT("jobs.before_start");
        auto begun = executor_.start(*spec, *this);
        FAIL_POINT("jobs.after_start");
        if (!begun) {
            return post(Prepared{.key = key, .started = false, .error = begun.error()});
        }
        post(Prepared{.key = key, .started = true, .error = std::nullopt});
    });
}

void ThreadedSupervisor::adopt(Live& live) {
    live.state = State::Adopting;
    key_of_run_[live.run_id] = live.work->key();
    if (!live.holds_capacity) take_capacity(live);
    add_task(live, [this, key = live.work->key(), id = live.run_id, folder = live.folder] {
        auto adopted = executor_.adopt(id, folder, *this);
        FAIL_POINT("jobs.after_adopt");
        post(Adopted{key, adopted ? std::nullopt : std::optional<Error>(adopted.error())});
    });
}

void ThreadedSupervisor::run_is_over(Live& live, Ending ending) {
    live.started.reset();
    give_back_capacity(live);
    live.state = State::Finishing;
    live.early_outcome.reset();
    live.ending = std::move(ending);
    live.pause = kFirstPause;
    finish(live);
}

void ThreadedSupervisor::finish(Live& live) {
    add_task(live, [this, work = live.work, ending = live.ending, id = live.run_id, folder = live.folder] {
        const auto key = work->key();
        auto after = work->finish(ending);
        if (!after) return post(Finished{key, after.error(), After::Done});
        if (!id.empty()) executor_.clean_up(id, folder);
        FAIL_POINT("jobs.after_clean_up");
        work->discard();
        FAIL_POINT("jobs.after_discard");
        post(Finished{key, std::nullopt, *after});
    });
}

void ThreadedSupervisor::take_capacity(Live& live) {
    capacity_.take(live.demand);
    queue_.started(live.work->owner(), share(live.demand));
    live.holds_capacity = true;
}

void ThreadedSupervisor::give_back_capacity(Live& live) {
    if (!live.holds_capacity) return;
    capacity_.give_back(live.demand);
    queue_.ended(live.work->owner(), share(live.demand));
    live.holds_capacity = false;
}

double ThreadedSupervisor::share(const Demand& demand) const { return dominant_share(capacity_.machine(), demand); }

void ThreadedSupervisor::add_task(Live& live, std::function<void()> task) {
    live.tasks.push_back(std::move(task));
    next_task(live);
}

void ThreadedSupervisor::next_task(Live& live) {
    if (live.busy || live.tasks.empty()) return;
    live.busy = true;
    auto task = std::move(live.tasks.front());
    live.tasks.pop_front();
    pool_->post([this, task = std::move(task), key = live.work->key()] {
        task();
        post(TaskDone{key});
    });
}

Live* ThreadedSupervisor::find(const std::string& key) {
    const auto found = lives_.find(key);
    return found == lives_.end() ? nullptr : found->second.get();
}

Live* ThreadedSupervisor::find_run(const std::string& run_id) {
    const auto found = key_of_run_.find(run_id);
    return found == key_of_run_.end() ? nullptr : find(found->second);
}

}  // namespace

std::unique_ptr<Supervisor> Supervisor::start(const SupervisorSettings& settings, executors::Executor& executor) {
    return std::make_unique<ThreadedSupervisor>(settings, executor);
}

}  // namespace millwright::jobs
