#include "jobs/supervisor.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/mutex.h"
#include "executors/fake/fake_executor.h"

namespace millwright::jobs {
namespace {

using executors::FakeExecutor;
using executors::RunOutcome;

using Notes = std::vector<std::string>;

// Records what it is asked for: "waiting", "prepare", "started", "finish:<how>", "discard".
class TestWork : public Work {
  public:
    TestWork(std::string name, std::string owner, double cpus)
        : name_(std::move(name)), owner_(std::move(owner)), cpus_(cpus) {}

    std::string key() const override { return name_; }
    std::string owner() const override { return owner_; }
    Demand demand() const override { return {cpus_, 1}; }
    bool needs_provisions() const override { return needs_provisions_; }
    Result<void> provision(const StopFlag& stop) override {
        note("provision");
        while (slow_ && !stop) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (provision_error_) return *provision_error_;
        return {};
    }
    std::chrono::milliseconds rest() const override { return rest_; }
    void waiting(const std::string&) override { note("waiting"); }
    Result<executors::RunSpec> prepare(const StopFlag& stop) override {
        note("prepare");
        while (slow_ && !stop) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (prepare_error_) return *prepare_error_;
        executors::RunSpec spec;
        spec.id = name_ + "-run-" + std::to_string(++attempts_);
        return spec;
    }
    void started(Timestamp) override { note("started"); }
    Result<After> finish(const Ending& ending) override {
        note(ending.outcome ? "finish:outcome" : ending.error ? "finish:error" : "finish:stopped");
        if (finish_errors_ > 0) {
            --finish_errors_;
            return internal_error("disk full");
        }
        if (ending.outcome && ending.outcome->cause == RunOutcome::Cause::Lost) return After::QueueAgain;
        if (more_segments_ > 0) {
            --more_segments_;
            return After::QueueAgain;
        }
        return After::Done;
    }
    void discard() override { note("discard"); }

    std::vector<std::string> notes() {
        MutexLock lock(mutex_);
        return notes_;
    }
    bool wait_for(const std::string& last) {
        for (int i = 0; i < 15'000; ++i) {
            const auto now = notes();
            if (!now.empty() && now.back() == last) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return false;
    }

    // Until so many things were asked of it.
    Notes wait_for_count(size_t count) {
        for (int i = 0; i < 15'000 && notes().size() < count; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        return notes();
    }

    std::atomic<bool> slow_{false};
    bool needs_provisions_ = false;
    std::optional<Error> prepare_error_, provision_error_;
    std::chrono::milliseconds rest_{};
    std::atomic<int> more_segments_{0};
    std::atomic<int> finish_errors_{0};

  private:
    void note(const std::string& what) {
        MutexLock lock(mutex_);
        notes_.push_back(what);
    }
    const std::string name_, owner_;
    const double cpus_;
    int attempts_ = 0;
    Mutex mutex_;
    std::vector<std::string> notes_ GUARDED_BY(mutex_);
};

class SupervisorTest : public ::testing::Test {
  protected:
    std::shared_ptr<TestWork> submit(const std::string& name, double cpus, const std::string& owner = "ann",
                                     Entry entry = {}) {
        auto work = std::make_shared<TestWork>(name, owner, cpus);
        supervisor_->submit(work, std::move(entry));
        return work;
    }
    // The server is gone and back; the entry by which the run is adopted.
    Entry restarted(const std::string& run_id) {
        executor_.forget_listeners();
        supervisor_->shut_down();
        supervisor_ = Supervisor::start(settings_, executor_);
        Entry entry;
        entry.at = Entry::At::Adopt;
        entry.run_id = run_id;
        return entry;
    }
    const SupervisorSettings settings_{.machine = {.cpus = 4, .memory_bytes = 1000}, .workers = 2};
    FakeExecutor executor_;
    std::unique_ptr<Supervisor> supervisor_ = Supervisor::start(settings_, executor_);
};

TEST_F(SupervisorTest, DrivesAWorkThroughItsSteps) {
    const auto work = submit("a", 1);
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, Timestamp());
    executor_.end(spec.id, executors::exited(1, 0));
    ASSERT_TRUE(work->wait_for("discard"));
    EXPECT_EQ(work->notes(), (Notes{"prepare", "started", "finish:outcome", "discard"}));
    EXPECT_TRUE(executor_.cleaned_up().count("a-run-1"));
}

TEST_F(SupervisorTest, ProvisionsBeforeTheQueueWithoutAShareOfTheMachine) {
    auto work = std::make_shared<TestWork>("slow", "ann", 4);
    work->needs_provisions_ = true;
    work->slow_ = true;
    supervisor_->submit(work, {});
    ASSERT_TRUE(work->wait_for("provision"));
    submit("other", 4);
    const auto other = executor_.wait_for_start(0);
    EXPECT_EQ(other.id, "other-run-1");
    work->slow_ = false;
    ASSERT_TRUE(work->wait_for("waiting"));
    executor_.end(other.id, executors::exited(1, 0));
    EXPECT_EQ(executor_.wait_for_start(1).id, "slow-run-1");
    EXPECT_EQ(work->notes(), (Notes{"provision", "waiting", "prepare"}));
}

TEST_F(SupervisorTest, ErrorsAndStopsWhileProvisioningEndTheWork) {
    auto failing = std::make_shared<TestWork>("failing", "ann", 1);
    failing->needs_provisions_ = true;
    failing->provision_error_ = invalid_input("no such package");
    supervisor_->submit(failing, {});
    ASSERT_TRUE(failing->wait_for("discard"));
    EXPECT_EQ(failing->notes(), (Notes{"provision", "finish:error", "discard"}));
    auto stopped = std::make_shared<TestWork>("stopped", "ann", 1);
    stopped->needs_provisions_ = true;
    stopped->slow_ = true;
    supervisor_->submit(stopped, {});
    ASSERT_TRUE(stopped->wait_for("provision"));
    supervisor_->stop("stopped");
    ASSERT_TRUE(stopped->wait_for("discard"));
    EXPECT_EQ(stopped->notes(), (Notes{"provision", "finish:stopped", "discard"}));
}

TEST_F(SupervisorTest, AStopDoesNotWaitForTheProvisioningOfOthers) {
    supervisor_->shut_down();
    supervisor_ =
        Supervisor::start({.machine = {.cpus = 4, .memory_bytes = 1000}, .workers = 2, .provisioners = 1}, executor_);
    auto busy = std::make_shared<TestWork>("busy", "ann", 1);
    auto behind = std::make_shared<TestWork>("behind", "ann", 1);
    busy->needs_provisions_ = behind->needs_provisions_ = true;
    busy->slow_ = true;
    supervisor_->submit(busy, {});
    ASSERT_TRUE(busy->wait_for("provision"));
    supervisor_->submit(behind, {});
    supervisor_->stop("behind");
    ASSERT_TRUE(behind->wait_for("discard"));
    EXPECT_EQ(behind->notes(), (Notes{"finish:stopped", "discard"}));
}

TEST_F(SupervisorTest, AnInterruptedWorkRunsItsNextSegmentAfterARest) {
    auto work = std::make_shared<TestWork>("a", "ann", 1);
    work->more_segments_ = 1;
    work->rest_ = std::chrono::milliseconds(20);
    supervisor_->submit(work, {});
    const auto first = executor_.wait_for_start(0);
    supervisor_->interrupt("a");
    for (int i = 0; i < 15'000 && executor_.stop_requests().empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(executor_.stop_requests(), Notes{first.id});
    executor_.end(first.id, executors::exited(1, 143));
    const auto second = executor_.wait_for_start(1);
    executor_.end(second.id, executors::exited(1, 0));
    ASSERT_TRUE(work->wait_for("discard"));
    for (int i = 0; i < 15'000 && work->notes().size() < 6; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(work->notes(), (Notes{"prepare", "finish:outcome", "discard", "prepare", "finish:outcome", "discard"}));
    EXPECT_EQ(executor_.stop_requests(), Notes{first.id});
}

TEST_F(SupervisorTest, AStopEndsARest) {
    auto work = std::make_shared<TestWork>("a", "ann", 1);
    work->more_segments_ = 1;
    work->rest_ = std::chrono::hours(1);
    supervisor_->submit(work, {});
    executor_.end(executor_.wait_for_start(0).id, executors::exited(1, 1));
    ASSERT_TRUE(work->wait_for("discard"));
    supervisor_->stop("a");
    ASSERT_EQ(work->wait_for_count(5).size(), 5u);
    for (int i = 0; i < 15'000 && work->notes().size() < 5; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(work->notes(), (Notes{"prepare", "finish:outcome", "discard", "finish:stopped", "discard"}));
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(SupervisorTest, AnInterruptionBeforeTheRestartReachesTheAdoptedRun) {
    submit("a", 1);
    const auto spec = executor_.wait_for_start(0);
    Entry entry = restarted(spec.id);
    entry.interrupt = true;
    submit("a", 1, "ann", entry);
    for (int i = 0; i < 15'000 && executor_.stop_requests().empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(executor_.stop_requests(), Notes{spec.id});
}

TEST_F(SupervisorTest, TheHeadOfTheQueueIsNotOvertaken) {
    submit("running", 3);
    const auto running = executor_.wait_for_start(0);
    const auto large = submit("large", 4);
    const auto small = submit("small", 1);
    ASSERT_TRUE(large->wait_for("waiting"));
    ASSERT_TRUE(small->wait_for("waiting"));
    executor_.end(running.id, executors::exited(1, 0));
    EXPECT_EQ(executor_.wait_for_start(1).id, "large-run-1");
    EXPECT_EQ(executor_.starts(), 2u);
}

TEST_F(SupervisorTest, AFailingFinishIsTriedAgain) {
    const auto work = submit("a", 1);
    work->finish_errors_ = 1;
    const auto spec = executor_.wait_for_start(0);
    executor_.end(spec.id, executors::exited(1, 0));
    ASSERT_TRUE(work->wait_for("discard"));
    EXPECT_EQ(work->notes(), (Notes{"prepare", "finish:outcome", "finish:outcome", "discard"}));
}

TEST_F(SupervisorTest, StagingErrorsEndTheWorkAndFreeTheMachine) {
    auto work = std::make_shared<TestWork>("a", "ann", 4);
    work->prepare_error_ = invalid_input("no such object");
    supervisor_->submit(work, {});
    ASSERT_TRUE(work->wait_for("discard"));
    EXPECT_EQ(work->notes(), (Notes{"prepare", "finish:error", "discard"}));
    submit("b", 4);
    executor_.wait_for_start(0);
}

TEST_F(SupervisorTest, AStopDuringStagingStartsNothing) {
    auto work = std::make_shared<TestWork>("a", "ann", 1);
    work->slow_ = true;
    supervisor_->submit(work, {});
    ASSERT_TRUE(work->wait_for("prepare"));
    supervisor_->stop("a");
    ASSERT_TRUE(work->wait_for("discard"));
    EXPECT_EQ(work->notes(), (Notes{"prepare", "finish:stopped", "discard"}));
    EXPECT_EQ(executor_.starts(), 0u);
}

TEST_F(SupervisorTest, AnAdoptedRunHoldsItsShareOfTheMachine) {
    submit("old", 4);
    const auto spec = executor_.wait_for_start(0);
    Entry entry = restarted(spec.id);
    const auto old = submit("old", 4, "ann", entry);
    const auto next = submit("next", 1);
    ASSERT_TRUE(next->wait_for("waiting"));
    executor_.end(spec.id, executors::exited(1, 0));
    ASSERT_TRUE(old->wait_for("discard"));
    EXPECT_EQ(executor_.wait_for_start(1).id, "next-run-1");
}

TEST_F(SupervisorTest, WhatWasLostBeforeItBeganIsQueuedAgain) {
    Entry entry;
    entry.at = Entry::At::Adopt;
    entry.run_id = "never-heard-of";
    const auto work = submit("a", 1, "ann", entry);
    const auto spec = executor_.wait_for_start(0);
    executor_.end(spec.id, executors::exited(1, 0));
    ASSERT_TRUE(work->wait_for("discard"));
    EXPECT_EQ(work->notes(), (Notes{"finish:outcome", "discard", "prepare", "finish:outcome", "discard"}));
}

TEST_F(SupervisorTest, AStopBeforeTheRestartStopsTheAdoptedRun) {
    submit("a", 1);
    const auto spec = executor_.wait_for_start(0);
    Entry entry = restarted(spec.id);
    entry.stop = true;
    const auto work = submit("a", 1, "ann", entry);
    for (int i = 0; i < 15'000 && executor_.stop_requests().empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(executor_.stop_requests(), Notes{spec.id});
}

TEST_F(SupervisorTest, WhatIsReservedIsHeldUntilAWorkThatFitsNeedsIt) {
    std::atomic<int> yields{0};
    supervisor_->reserve({"pool", {2, 1}, [&] { ++yields; }});
    submit("beside", 2);
    executor_.wait_for_start(0);
    const auto huge = submit("huge", 4);  // would not fit without the reservation either
    ASSERT_TRUE(huge->wait_for("waiting"));
    EXPECT_EQ(yields, 0);
    supervisor_->stop("huge");
    ASSERT_TRUE(huge->wait_for("discard"));
    submit("fits", 2);
    EXPECT_EQ(executor_.wait_for_start(1).id, "fits-run-1");
    for (int i = 0; i < 15'000 && yields == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(yields, 1);
}

TEST_F(SupervisorTest, AWorkTakesOverAReservationWithoutWaiting) {
    std::atomic<int> yields{0};
    supervisor_->reserve({"pool", {2, 1}, [&] { ++yields; }});
    submit("beside", 2);
    executor_.wait_for_start(0);
    const auto first_in_line = submit("first in line", 3);
    ASSERT_TRUE(first_in_line->wait_for("waiting"));
    Entry entry;
    entry.reservation = "pool";
    submit("warm", 2, "ann", entry);
    EXPECT_EQ(executor_.wait_for_start(1).id, "warm-run-1");
    Entry gone;
    gone.reservation = "pool";
    const auto late = submit("late", 2, "ann", gone);
    ASSERT_TRUE(late->wait_for("waiting"));
    EXPECT_EQ(yields, 0);
}

TEST_F(SupervisorTest, AReservationIsRefusedWhereNothingIsFreeAndCanBeReleased) {
    std::atomic<int> yields{0};
    submit("running", 3);
    executor_.wait_for_start(0);
    supervisor_->reserve({"too large", {2, 1}, [&] { ++yields; }});
    for (int i = 0; i < 15'000 && yields == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(yields, 1);
    supervisor_->reserve({"small", {1, 1}, [&] { ++yields; }});
    supervisor_->release("small");
    supervisor_->release("unknown");
    submit("next", 1);
    EXPECT_EQ(executor_.wait_for_start(1).id, "next-run-1");
    EXPECT_EQ(yields, 1);
}

}  // namespace
}  // namespace millwright::jobs
