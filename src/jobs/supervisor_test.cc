#include "jobs/supervisor.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/mutex.h"
#include "executors/fake/fake_executor.h"

namespace millwright::jobs {
namespace {

using executors::FakeExecutor;
using executors::RunOutcome;

// Records what it is asked for: "waiting", "prepare", "started", "finish:<how>", "discard".
class TestWork : public Work {
  public:
    TestWork(std::string name, std::string owner, double cpus)
        : name_(std::move(name)), owner_(std::move(owner)), cpus_(cpus) {}

    std::string key() const override { return name_; }
    std::string owner() const override { return owner_; }
    Demand demand() const override { return {cpus_, 1}; }
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
        return After::Done;
    }
    void discard() override { note("discard"); }

    std::vector<std::string> notes() {
        MutexLock lock(mutex_);
        return notes_;
    }
    bool wait_for(const std::string& last) {
        for (int i = 0; i < 3000; ++i) {
            const auto now = notes();
            if (!now.empty() && now.back() == last) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return false;
    }

    std::atomic<bool> slow_{false};
    std::optional<Error> prepare_error_;
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

using Notes = std::vector<std::string>;

class SupervisorTest : public ::testing::Test {
  protected:
    std::shared_ptr<TestWork> submit(const std::string& name, double cpus, const std::string& owner = "ann",
                                     Entry entry = {}) {
        auto work = std::make_shared<TestWork>(name, owner, cpus);
        supervisor_->submit(work, std::move(entry));
        return work;
    }
    FakeExecutor executor_;
    std::unique_ptr<Supervisor> supervisor_ =
        Supervisor::start({.machine = {.cpus = 4, .memory_bytes = 1000}, .workers = 2}, executor_);
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
    executor_.forget_listeners();
    supervisor_->shut_down();
    supervisor_ = Supervisor::start({.machine = {.cpus = 4, .memory_bytes = 1000}, .workers = 2}, executor_);
    Entry entry;
    entry.at = Entry::At::Adopt;
    entry.run_id = spec.id;
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
    executor_.forget_listeners();
    supervisor_->shut_down();
    supervisor_ = Supervisor::start({.machine = {.cpus = 4, .memory_bytes = 1000}, .workers = 2}, executor_);
    Entry entry;
    entry.at = Entry::At::Adopt;
    entry.run_id = spec.id;
    entry.stop = true;
    const auto work = submit("a", 1, "ann", entry);
    for (int i = 0; i < 2000 && executor_.stop_requests().empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(executor_.stop_requests(), Notes{spec.id});
}

}  // namespace
}  // namespace millwright::jobs
