// Managed spot training, retries, deadlines and kept files.
#include <gtest/gtest.h>

#include "resources/training_jobs/training_job_store.h"
#include "resources/training_jobs/training_jobs_fixture.h"
#include "resources/training_jobs/training_segments.h"

namespace millwright::resources {
namespace {

using Cause = RunOutcome::Cause;

class TrainingLifeTest : public TrainingJobsTest {
  protected:
    Json spot_request(const std::string& name, int max_runtime = 3600, int max_wait = 7200) {
        auto document = request_with_checkpoints(name);
        document.set("EnableManagedSpotTraining", true);
        document.set("StoppingCondition",
                     Json::object({{"MaxRuntimeInSeconds", max_runtime}, {"MaxWaitTimeInSeconds", max_wait}}));
        return document;
    }
    executors::RunSpec running(const std::string& name, size_t nth) {
        const auto spec = executor_.wait_for_start(nth);
        executor_.report_started(spec.id, clock_.now());
        wait_for(name, "Training");
        return spec;
    }
    Result<void> interrupt(const std::string& name) { return jobs_->interrupt(account(), kRegion, name); }
    bool was_asked_to_stop(const executors::RunSpec& spec) {
        return soon([&] {
            const auto asked = executor_.stop_requests();
            return std::find(asked.begin(), asked.end(), spec.id) != asked.end();
        });
    }
    static RunOutcome interrupted(std::chrono::milliseconds ran) {
        auto outcome = executors::exited(1, 143, ran);
        outcome.cause = Cause::StopRequested;
        return outcome;
    }
    static RunOutcome lost() {
        RunOutcome outcome;
        outcome.cause = Cause::Lost;
        outcome.message = "the machine restarted while it ran";
        return outcome;
    }
};

TEST_F(TrainingLifeTest, AnInterruptedSpotJobGoesOnFromItsCheckpoints) {
    take(create(spot_request("spot")));
    const auto first = running("spot", 0);
    ASSERT_TRUE(write_file(first.folder + "/algo-1/checkpoints/epoch", "3"));
    write_model(first, "half a model");
    ASSERT_TRUE(interrupt("spot"));
    ASSERT_TRUE(was_asked_to_stop(first));
    executor_.end(first.id, interrupted(std::chrono::milliseconds(2500)));
    const auto second = running("spot", 1);
    EXPECT_NE(second.id, first.id);
    EXPECT_EQ(*read_file(second.folder + "/algo-1/checkpoints/epoch"), "3");
    EXPECT_EQ(second.max_runtime, std::chrono::seconds(3598));
    EXPECT_TRUE(folder_is_gone(first));
    EXPECT_FALSE(objects_->head("bucket", "out/spot/output/model.tar.gz"));
    write_model(second, "a model");
    executor_.end(second.id, executors::exited(1, 0, std::chrono::milliseconds(7400)));
    const auto job = wait_for_end("spot");
    EXPECT_EQ(job.status, "Completed");
    EXPECT_EQ(statuses(job), (Strings{"Starting", "Downloading", "Training", "Interrupted", "Starting", "Downloading",
                                      "Training", "Uploading", "Completed"}));
    EXPECT_EQ(job.transitions[3].message,
              "The managed spot instances were interrupted (interruption 1). The job goes on from its checkpoints when "
              "capacity is available.");
    EXPECT_EQ(job.training_seconds, 10);
    EXPECT_EQ(job.billable_seconds, 3);
    EXPECT_TRUE(objects_->head("bucket", "out/spot/output/model.tar.gz"));
}

TEST_F(TrainingLifeTest, ASegmentIsCountedOnceWhereverTheServerDies) {
    take(create(spot_request("spot")));
    const auto first = running("spot", 0);
    ASSERT_TRUE(write_file(first.folder + "/algo-1/checkpoints/epoch", "3"));
    supervisor_->shut_down();  // the interruption reaches the disk, and nobody acts on it
    ASSERT_TRUE(interrupt("spot"));
    reopen();
    ASSERT_TRUE(was_asked_to_stop(first));
    close();  // ends while the server is away
    executor_.end(first.id, interrupted(std::chrono::milliseconds(4000)));
    open();
    const auto second = running("spot", 1);
    EXPECT_EQ(*read_file(second.folder + "/algo-1/checkpoints/epoch"), "3");
    reopen();
    ASSERT_TRUE(interrupt("spot"));
    ASSERT_TRUE(was_asked_to_stop(second));
    executor_.end(second.id, interrupted(std::chrono::milliseconds(5000)));
    const auto third = running("spot", 2);
    executor_.end(third.id, executors::exited(1, 0, std::chrono::milliseconds(1000)));
    const auto job = wait_for_end("spot");
    EXPECT_EQ(job.status, "Completed");
    EXPECT_EQ(job.training_seconds, 10);
    EXPECT_EQ(executor_.starts(), 3u);
}

TEST_F(TrainingLifeTest, OnlyRunningSpotJobsAreInterrupted) {
    take(create(request("ordinary")));
    running("ordinary", 0);
    EXPECT_EQ(interrupt("ordinary").error().message,
              "The training job ordinary is not interrupted: it does not use managed spot training.");
    take(create(spot_request("waits")));
    wait_for("waits", "Pending");
    EXPECT_EQ(interrupt("waits").error().message, "The training job waits has nothing to interrupt: it is Pending.");
    EXPECT_EQ(interrupt("nobody").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(executor_.stop_requests(), Strings{});
}

TEST_F(TrainingLifeTest, AStopAfterAnInterruptionIsTheEnd) {
    take(create(spot_request("stopped")));
    const auto first = running("stopped", 0);
    ASSERT_TRUE(interrupt("stopped"));
    ASSERT_TRUE(stop("stopped"));
    executor_.end(first.id, interrupted(std::chrono::milliseconds(1000)));
    const auto job = wait_for_end("stopped");
    EXPECT_EQ(job.status, "Stopped");
    EXPECT_EQ(job.secondary_status, "Stopped");
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingLifeTest, AJobThatEndsByItselfWhileItIsInterruptedHasEnded) {
    take(create(spot_request("done")));
    const auto first = running("done", 0);
    ASSERT_TRUE(interrupt("done"));
    executor_.end(first.id, executors::exited(1, 0));
    EXPECT_EQ(wait_for_end("done").status, "Completed");
}

TEST_F(TrainingLifeTest, MaxRuntimeSpansTheSegments) {
    take(create(spot_request("long", 3, 7200)));
    const auto first = running("long", 0);
    ASSERT_TRUE(interrupt("long"));
    executor_.end(first.id, interrupted(std::chrono::milliseconds(3200)));
    const auto job = wait_for_end("long");
    EXPECT_EQ(job.secondary_status, "MaxRuntimeExceeded");
    EXPECT_EQ(job.training_seconds, 4);
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingLifeTest, MaxWaitEndsAJob) {
    take(create(request("first")));
    running("first", 0);
    take(create(spot_request("waits", 1, 3)));  // seconds in which it is told why it waits
    const auto job = wait_for_end("waits");
    EXPECT_EQ(job.status, "Stopped");
    EXPECT_EQ(statuses(job), (Strings{"Starting", "Pending", "Stopping", "MaxWaitTimeExceeded"}));
    EXPECT_FALSE(job.training_seconds);
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingLifeTest, MaxWaitEndsARunningJobAlsoAfterACrash) {
    take(create(spot_request("runs", 1, 4)));
    const auto spec = running("runs", 0);
    reopen();
    ASSERT_TRUE(was_asked_to_stop(spec));
    executor_.end(spec.id, interrupted(std::chrono::milliseconds(900)));
    const auto job = wait_for_end("runs");
    EXPECT_EQ(job.secondary_status, "MaxWaitTimeExceeded");
    EXPECT_EQ(job.transitions.back().message, "Training job wait time exceeded MaxWaitTimeInSeconds provided");
    EXPECT_EQ(job.training_seconds, 1);
    EXPECT_EQ(job.billable_seconds, 1);
}

TEST_F(TrainingLifeTest, AnExpiryAfterTheVerdictIsTheReasonThatIsShown) {
    take(create(spot_request("runs", 1, 3600)));
    running("runs", 0);
    supervisor_->shut_down();
    const auto tags = take(Tags::open(*database_));
    const auto store = take(TrainingJobStore::open(*database_, *tags, {}));
    const auto id = take(store->find(account(), kRegion, "runs")).id;
    ASSERT_TRUE(take(store->request_expiry(id, StopCause::MaxWait, "over", clock_.now())));
    TrainingJobChange change{.to = Phase::Ended, .from = {Phase::Running}};
    change.status = change.secondary_status = "Completed";
    ASSERT_TRUE(take(store->change(id, change, clock_.now())));
    const auto job = take(store->find(account(), kRegion, "runs")).job;
    EXPECT_EQ(job.status, "Stopped");
    EXPECT_EQ(job.secondary_status, "MaxWaitTimeExceeded");
}

TEST_F(TrainingLifeTest, MaxPendingEndsAJobThatHasNotBegun) {
    const Json condition = Json::object({{"MaxRuntimeInSeconds", 3600}, {"MaxPendingTimeInSeconds", 3}});
    auto document = request("runs");
    document.set("StoppingCondition", condition);
    take(create(document));
    const auto spec = running("runs", 0);
    document.set("TrainingJobName", "waits");
    take(create(document));
    const auto job = wait_for_end("waits");
    EXPECT_EQ(job.status, "Stopped");
    EXPECT_EQ(job.transitions.back().message, "Training job pending time exceeded MaxPendingTimeInSeconds provided");
    EXPECT_EQ(describe("runs").secondary_status, "Training");
    EXPECT_EQ(executor_.stop_requests(), Strings{});
}

TEST_F(TrainingLifeTest, FaultsOfThePlatformAreTriedAgain) {
    auto document = request_with_checkpoints("retried");
    document.set("RetryStrategy", Json::object({{"MaximumRetryAttempts", 2}}));
    executor_.fail_next_start(internal_error("no more processes"));
    take(create(document));
    const auto first = running("retried", 0);
    ASSERT_TRUE(write_file(first.folder + "/algo-1/checkpoints/epoch", "1"));
    executor_.end(first.id, lost());
    const auto second = running("retried", 1);
    EXPECT_EQ(*read_file(second.folder + "/algo-1/checkpoints/epoch"), "1");
    executor_.end(second.id, lost());
    const auto job = wait_for_end("retried");
    EXPECT_EQ(job.status, "Failed");
    EXPECT_EQ(job.failure_reason, "InternalServerError: the machine restarted while it ran");
    EXPECT_EQ(statuses(job), (Strings{"Starting", "Downloading", "Restarting", "Downloading", "Training", "Restarting",
                                      "Starting", "Downloading", "Training", "Failed"}));
    EXPECT_EQ(job.transitions[2].message,
              "Restarting the training job after a fault of the platform (attempt 1 of 2): no more processes");
    EXPECT_EQ(executor_.starts(), 2u);
}

TEST_F(TrainingLifeTest, ARunThatNeverBeginsIsNotTriedForEver) {
    take(create(request("vain")));
    for (size_t attempt = 0; attempt < 6; ++attempt) {
        auto outcome = lost();
        outcome.message = "the launcher is gone";
        executor_.end(executor_.wait_for_start(attempt).id, outcome);
    }
    const auto job = wait_for_end("vain");
    EXPECT_EQ(job.failure_reason, "InternalServerError: the launcher is gone");
    EXPECT_FALSE(job.training_seconds);
    EXPECT_EQ(executor_.starts(), 6u);
}

TEST_F(TrainingLifeTest, FaultsOfTheScriptAreNotTriedAgain) {
    auto document = request("fails");
    document.set("RetryStrategy", Json::object({{"MaximumRetryAttempts", 2}}));
    take(create(document));
    executor_.end(executor_.wait_for_start(0).id, executors::exited(1, 1));
    EXPECT_EQ(wait_for_end("fails").status, "Failed");
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingLifeTest, ASpotJobOutlivesARestartOfTheMachine) {
    take(create(spot_request("spot")));
    const auto first = running("spot", 0);
    ASSERT_TRUE(write_file(first.folder + "/algo-1/checkpoints/epoch", "3"));
    close();
    executor_.end(first.id, lost());
    open();
    const auto second = running("spot", 1);
    EXPECT_EQ(*read_file(second.folder + "/algo-1/checkpoints/epoch"), "3");
    executor_.end(second.id, executors::exited(1, 0));
    EXPECT_EQ(wait_for_end("spot").status, "Completed");
}

TEST_F(TrainingLifeTest, SpotInstancesAreTakenAwayAsConfigured) {
    settings_.spot.mean_between_interruptions = std::chrono::seconds(1);
    settings_.spot.seed = "1";
    reopen();
    take(create(spot_request("spot")));
    const auto first = running("spot", 0);
    // Exponentially distributed: longer than eight times the mean once in three thousand.
    ASSERT_TRUE(soon([&] { return !executor_.stop_requests().empty(); }) || was_asked_to_stop(first));
    executor_.end(first.id, interrupted(std::chrono::milliseconds(100)));
    const auto second = executor_.wait_for_start(1);
    ASSERT_TRUE(stop("spot"));
    executor_.end(second.id, interrupted(std::chrono::milliseconds(100)));
    EXPECT_EQ(wait_for_end("spot").status, "Stopped");
}

TEST_F(TrainingLifeTest, FilesOfTheLastFailedJobsAreKeptOverACrashUntilTheyAreTooMany) {
    settings_.keep_failed = 2;
    reopen();
    std::vector<executors::RunSpec> specs;
    for (const char* name : {"a", "b", "c"}) {
        take(create(request(name)));
        specs.push_back(executor_.wait_for_start(specs.size()));
        executor_.end(specs.back().id, executors::exited(1, 1));
        EXPECT_EQ(wait_for_end(name).status, "Failed");
    }
    EXPECT_TRUE(folder_is_gone(specs[0]));
    reopen();
    EXPECT_TRUE(file_exists(specs[1].folder));
    EXPECT_TRUE(file_exists(specs[2].folder));
    ASSERT_TRUE(jobs_->remove(account(), kRegion, "c"));
    EXPECT_TRUE(folder_is_gone(specs[2]));
}

TEST_F(TrainingLifeTest, FilesOfFailedJobsAreKeptUpToSoManyBytes) {
    settings_.keep_failed_bytes = 1 << 20;
    reopen();
    std::vector<executors::RunSpec> specs;
    for (const char* name : {"a", "b"}) {
        take(create(request(name)));
        specs.push_back(executor_.wait_for_start(specs.size()));
        write_model(specs.back(), std::string(700'000, 'x'));
        executor_.end(specs.back().id, executors::exited(1, 1));
        wait_for_end(name);
    }
    EXPECT_TRUE(folder_is_gone(specs[0]));
    EXPECT_TRUE(file_exists(specs[1].folder));
}

TEST_F(TrainingLifeTest, HostsOfInstanceGroupsGetWhatTheyAskFor) {
    auto document = request("groups");
    document.set("ResourceConfig", *Json::parse(R"({"VolumeSizeInGB": 5, "InstanceGroups": [
        {"InstanceGroupName": "small", "InstanceType": "ml.t3.medium", "InstanceCount": 1},
        {"InstanceGroupName": "large", "InstanceType": "ml.c5.large", "InstanceCount": 1}]})"));
    take(create(document));
    const auto spec = executor_.wait_for_start(0);
    EXPECT_EQ(spec.hosts, 2);
    ASSERT_EQ(spec.host_limits.size(), 2u);
    EXPECT_EQ(spec.host_limits[0].cpus, 2);
    EXPECT_EQ(spec.host_limits[0].memory_bytes, uint64_t{4} << 30);
    EXPECT_EQ(spec.host_limits[1].memory_bytes, uint64_t{4} << 30);
}

TEST(TrainingSegments, PlannedInterruptionsFollowTheSeed) {
    TrainingPlan plan;
    TrainingJobRow row;
    row.job.arn = "arn";
    constexpr std::chrono::seconds kMean{100};
    EXPECT_FALSE(planned_interruption(row, plan, kMean, "1"));
    plan.life.spot = true;
    EXPECT_FALSE(planned_interruption(row, plan, std::chrono::seconds(0), "1"));
    const auto first = planned_interruption(row, plan, kMean, "1");
    ASSERT_TRUE(first);
    EXPECT_EQ(planned_interruption(row, plan, kMean, "1"), first);
    EXPECT_NE(planned_interruption(row, plan, kMean, "2"), first);
    double sum = 0;
    constexpr int kSegments = 2000;
    for (row.interruptions = 0; row.interruptions < kSegments; ++row.interruptions)
        sum += static_cast<double>(planned_interruption(row, plan, kMean, "1")->count());
    EXPECT_NEAR(sum / kSegments / 1000, 100, 10);
}

TEST(TrainingSegments, BilledTimeIsNeverZeroAndNeverMoreThanTheTraining) {
    EXPECT_EQ(billed_time(std::chrono::milliseconds(1), 0.3).training_seconds, 1);
    EXPECT_EQ(billed_time(std::chrono::milliseconds(1), 0.3).billable_seconds, 1);
    EXPECT_EQ(billed_time(std::chrono::seconds(100), 0.3).billable_seconds, 30);
    EXPECT_EQ(billed_time(std::chrono::seconds(100), 1).billable_seconds, 100);
}

}  // namespace
}  // namespace millwright::resources
