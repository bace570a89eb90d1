#include "resources/training_jobs/training_jobs.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/event_file.h"
#include "base/files.h"
#include "base/strings.h"
#include "resources/training_jobs/training_jobs_fixture.h"

namespace millwright::resources {
namespace {

TEST_F(TrainingJobsTest, AJobGoesThroughAllStatusesAndUploadsItsModel) {
    const auto arn = take(create(request("Job-1")));
    EXPECT_EQ(arn, "arn:aws:sagemaker:us-west-2:" + account() + ":training-job/job-1");
    const auto spec = executor_.wait_for_start(0);
    EXPECT_EQ(spec.command, (Strings{"/bin/millwright-algorithms", "train"}));
    EXPECT_EQ(spec.environment.at("MILLWRIGHT_ALGORITHM"), "xgboost");
    EXPECT_EQ(spec.environment.at("TRAINING_JOB_ARN"), arn);
    EXPECT_EQ(spec.environment.at("OMP_NUM_THREADS"), "4");
    EXPECT_TRUE(spec.environment.at("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").starts_with("/v2/credentials/"));
    EXPECT_EQ(*read_file(spec.folder + "/shared/channels/train/a.csv"), "1,2\n");
    EXPECT_EQ(describe("Job-1").secondary_status, "Downloading");

    executor_.report_started(spec.id, clock_.now());
    wait_for("Job-1", "Training");
    write_model(spec, "a model");
    executor_.end(spec.id, executors::exited(1, 0, std::chrono::milliseconds(1500)));
    const auto job = wait_for_end("Job-1");
    EXPECT_EQ(job.status, "Completed");
    EXPECT_EQ(statuses(job), (Strings{"Starting", "Downloading", "Training", "Uploading", "Completed"}));
    for (const auto& transition : job.transitions) EXPECT_TRUE(transition.end) << transition.status;
    EXPECT_EQ(job.training_seconds, 2);
    EXPECT_EQ(job.billable_seconds, 2);
    EXPECT_EQ(job.model_artifacts, "s3://bucket/out/Job-1/output/model.tar.gz");
    EXPECT_TRUE(objects_->head("bucket", "out/Job-1/output/model.tar.gz"));
    EXPECT_FALSE(objects_->head("bucket", "out/Job-1/output/output.tar.gz"));
    EXPECT_TRUE(folder_is_gone(spec));
    EXPECT_FALSE(identity_->job_credentials(spec.environment.at("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")));
}

TEST_F(TrainingJobsTest, LogLinesBecomeMetricsLiveAndExactlyOnceOverACrash) {
    take(create(request("metrics")));
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    wait_for("metrics", "Training");
    const auto print = [&](int64_t time, const std::string& line) {
        std::string text;
        append_event(text, time, line);
        const auto fd = take(open_file(spec.log_files[0], O_WRONLY | O_APPEND | O_CREAT));
        ASSERT_TRUE(write_all(fd.get(), text));
    };
    print(1'700'000'000'000, "[0]#011train-rmse:8.5#011validation-rmse:9.5");
    wait_until("metrics", [](const TrainingJob& job) { return job.final_metrics.size() == 2; });
    reopen();
    print(1'700'000'060'000, "[1]#011train-rmse:4.25");
    executor_.end(spec.id, executors::exited(1, 0));
    const auto job = wait_for_end("metrics");
    ASSERT_EQ(job.final_metrics.size(), 2u);
    EXPECT_EQ(job.final_metrics[0].name, "train:rmse");
    EXPECT_EQ(job.final_metrics[0].value, 4.25);
    EXPECT_EQ(job.final_metrics[1].value, 9.5);
}

TEST_F(TrainingJobsTest, AFailureKeepsPartialArtifactsAndSaysWhy) {
    take(create(request("fails")));
    const auto spec = executor_.wait_for_start(0);
    write_model(spec, "half a model");
    ASSERT_TRUE(write_file(spec.folder + "/algo-1/ml/output/failure", "no rows"));
    executor_.end(spec.id, executors::exited(1, 1));
    const auto job = wait_for_end("fails");
    EXPECT_EQ(job.status, "Failed");
    EXPECT_EQ(job.failure_reason, "AlgorithmError: no rows, exit code: 1");
    EXPECT_EQ(job.model_artifacts, "s3://bucket/out/fails/output/model.tar.gz");
}

TEST_F(TrainingJobsTest, StopEndsARunningJobAndIsIdempotent) {
    take(create(request("stopped")));
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    wait_for("stopped", "Training");
    ASSERT_TRUE(stop("stopped"));
    ASSERT_TRUE(stop("stopped"));
    EXPECT_EQ(describe("stopped").status, "Stopping");
    for (int i = 0; i < 15'000 && executor_.stop_requests().empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(executor_.stop_requests(), Strings{spec.id});
    executor_.end(spec.id, ended_by(RunOutcome::Cause::StopRequested, 143));
    const auto job = wait_for_end("stopped");
    EXPECT_EQ(statuses(job), (Strings{"Starting", "Downloading", "Training", "Stopping", "Stopped"}));
    EXPECT_FALSE(job.model_artifacts.empty());
    const auto late = stop("stopped");
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().message, "The request was rejected because the training job is in status Stopped.");
}

TEST_F(TrainingJobsTest, TheTimeLimitEndsInStopped) {
    take(create(request("slow")));
    const auto spec = executor_.wait_for_start(0);
    EXPECT_EQ(spec.max_runtime, std::chrono::seconds(3600));
    executor_.end(spec.id, ended_by(RunOutcome::Cause::MaxRuntime, 143));
    const auto job = wait_for_end("slow");
    EXPECT_EQ(job.status, "Stopped");
    EXPECT_EQ(job.secondary_status, "MaxRuntimeExceeded");
}

TEST_F(TrainingJobsTest, AJobThatDoesNotFitNowWaitsAndSaysWhy) {
    take(create(request("first")));
    const auto first = executor_.wait_for_start(0);
    take(create(request("second")));
    const auto waiting = wait_for("second", "Pending");
    EXPECT_TRUE(waiting.transitions.back().message.starts_with("Waiting for 4 vCPU and 16.0 GiB on this machine"));
    EXPECT_EQ(executor_.starts(), 1u);
    executor_.end(first.id, executors::exited(1, 0));
    const auto second = executor_.wait_for_start(1);
    executor_.end(second.id, executors::exited(1, 0));
    EXPECT_EQ(statuses(wait_for_end("second")),
              (Strings{"Starting", "Pending", "Downloading", "Uploading", "Completed"}));
}

TEST_F(TrainingJobsTest, AWaitingJobStopsWithoutRunning) {
    take(create(request("first")));
    executor_.wait_for_start(0);
    take(create(request("second")));
    wait_for("second", "Pending");
    ASSERT_TRUE(stop("second"));
    const auto job = wait_for_end("second");
    EXPECT_EQ(job.status, "Stopped");
    EXPECT_FALSE(job.training_seconds);
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingJobsTest, WhatCanNeverFitIsShrunkWithANote) {
    auto large = request("large");
    auto resources = large["ResourceConfig"];
    resources.set("InstanceType", "ml.m5.24xlarge");
    resources.set("InstanceCount", 2);
    large.set("ResourceConfig", resources);
    take(create(large));
    const auto spec = executor_.wait_for_start(0);
    EXPECT_EQ(spec.limits.cpus, 2);
    EXPECT_EQ(spec.limits.memory_bytes, uint64_t{8} << 30);
    EXPECT_EQ(describe("large").transitions[0].message,
              "Starting the training job (ml.m5.24xlarge: 2 vCPU and 8.0 GiB instead of 96 vCPU and 384.0 GiB)");
}

TEST_F(TrainingJobsTest, ARunningJobIsAdoptedAfterACrashAndNeverRunTwice) {
    take(create(request("adopted")));
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    wait_for("adopted", "Training");
    write_model(spec, "a model");
    reopen();
    EXPECT_EQ(describe("adopted").secondary_status, "Training");
    executor_.end(spec.id, executors::exited(1, 0));
    EXPECT_EQ(wait_for_end("adopted").status, "Completed");
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingJobsTest, AJobThatEndedWhileTheServerWasAwayIsFinished) {
    take(create(request("away")));
    const auto spec = executor_.wait_for_start(0);
    write_model(spec, "a model");
    close();
    executor_.end(spec.id, executors::exited(1, 0));
    open();
    const auto job = wait_for_end("away");
    EXPECT_EQ(job.status, "Completed");
    EXPECT_TRUE(objects_->head("bucket", "out/away/output/model.tar.gz"));
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingJobsTest, ARunThatNeverBeganIsStartedAgainElsewhere) {
    take(create(request("again")));
    const auto spec = executor_.wait_for_start(0);
    close();
    RunOutcome lost;  // the executor knows of no start
    lost.cause = RunOutcome::Cause::Lost;
    executor_.end(spec.id, lost);
    open();
    const auto second = executor_.wait_for_start(1);
    EXPECT_NE(second.id, spec.id);
    EXPECT_FALSE(file_exists(spec.folder));
    executor_.end(second.id, executors::exited(1, 0));
    EXPECT_EQ(wait_for_end("again").status, "Completed");
}

TEST_F(TrainingJobsTest, ARunThatWasLostAfterItBeganIsNotRunTwice) {
    take(create(request("lost")));
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    wait_for("lost", "Training");
    close();
    auto lost = ended_by(RunOutcome::Cause::Lost, 0);
    lost.message = "the machine restarted while it ran";
    executor_.end(spec.id, lost);
    open();
    const auto job = wait_for_end("lost");
    EXPECT_EQ(job.failure_reason, "InternalServerError: the machine restarted while it ran");
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingJobsTest, AStopThatWasAcknowledgedSurvivesACrash) {
    take(create(request("first")));
    executor_.wait_for_start(0);
    take(create(request("second")));
    wait_for("second", "Pending");
    supervisor_->shut_down();  // the wish reaches the disk, and nobody acts on it
    ASSERT_TRUE(stop("second"));
    reopen();
    EXPECT_EQ(wait_for_end("second").status, "Stopped");
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingJobsTest, LeftoverFoldersAreRemovedOnStart) {
    ASSERT_TRUE(make_directories(root_ + "/jobs/0123456789abcdef/algo-1"));
    reopen();
    EXPECT_FALSE(file_exists(root_ + "/jobs/0123456789abcdef"));
    EXPECT_TRUE(executor_.cleaned_up().count("0123456789abcdef"));
}

TEST_F(TrainingJobsTest, AStartThatDoesNotWorkIsOurFailure) {
    executor_.fail_next_start(internal_error("no namespaces here"));
    take(create(request("broken")));
    const auto job = wait_for_end("broken");
    EXPECT_EQ(job.failure_reason, "InternalServerError: no namespaces here");
    take(create(request("next")));
    executor_.wait_for_start(0);  // the capacity came back
}

TEST_F(TrainingJobsTest, NamesAreUniqueIgnoringCase) {
    take(create(request("Twice")));
    const auto second = create(request("twice"));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::AlreadyExists);
    EXPECT_TRUE(
        second.error().message.starts_with("Training job names must be unique within an AWS account and region, and a "
                                           "training job with this name already exists (arn:aws:sagemaker:"));
}

TEST_F(TrainingJobsTest, MissingInputOutputAndRoleAreRefusedAtOnce) {
    auto document = request("refused");
    document.set("OutputDataConfig", Json::object({{"S3OutputPath", "s3://no-such-bucket/x"}}));
    EXPECT_EQ(create(document).error().kind, ErrorKind::InvalidInput);
    document = *Json::parse(replace_all(request("refused").dump(), "s3://bucket/data/train", "s3://bucket/nothing"));
    EXPECT_TRUE(
        create(document).error().message.starts_with("No S3 objects found under S3 URL \"s3://bucket/nothing\" given "
                                                     "in input data source. Please ensure that the bucket exists"));
    document = *Json::parse(replace_all(request("refused").dump(), "s3://bucket/data/train", "s3://no-such-bucket/x"));
    EXPECT_TRUE(create(document).error().message.starts_with("No S3 objects found under S3 URL"));
    EXPECT_EQ(jobs_->describe(account(), kRegion, "refused").error().kind, ErrorKind::NotFound);
}

TEST_F(TrainingJobsTest, CheckpointsAreRestoredUploadedWhileItRunsAndOnceMoreAtTheEnd) {
    ASSERT_TRUE(objects_->put("bucket", "c/old", {}, object_store::source_of("old")));
    take(create(request_with_checkpoints("checkpoints")));
    const auto spec = executor_.wait_for_start(0);
    const auto folder = spec.folder + "/algo-1/checkpoints/";
    ASSERT_EQ(spec.mounts.size(), 2u);
    EXPECT_EQ(spec.mounts[1].source, spec.folder + "/{host}/checkpoints");
    EXPECT_EQ(spec.mounts[1].target, "/opt/ml/checkpoints");
    EXPECT_EQ(spec.mounts[1].mode, executors::Mount::Mode::Writable);
    EXPECT_EQ(take(read_file(spec.folder + "/algo-1/ml/input/config/checkpointconfig.json")),
              R"({"S3Uri":"s3://bucket/c","LocalPath":"/opt/ml/checkpoints"})");
    EXPECT_EQ(take(read_file(folder + "old")), "old");
    executor_.report_started(spec.id, clock_.now());
    ASSERT_TRUE(write_file(folder + "first", "1"));
    wait_for_object("c/first");
    reopen();  // the next server goes on
    ASSERT_TRUE(write_file(folder + "second", "2"));
    wait_for_object("c/second");
    ASSERT_TRUE(write_file(folder + "old", "changed"));
    executor_.end(spec.id, ended_by(RunOutcome::Cause::MaxRuntime, 143));
    EXPECT_EQ(wait_for_end("checkpoints").secondary_status, "MaxRuntimeExceeded");
    EXPECT_EQ(content("c/old"), "changed");
    EXPECT_TRUE(folder_is_gone(spec));
}

TEST_F(TrainingJobsTest, CheckpointsOfAJobThatEndedWhileTheServerWasAwayAreUploaded) {
    take(create(request_with_checkpoints("away")));
    const auto spec = executor_.wait_for_start(0);
    close();
    ASSERT_TRUE(write_file(spec.folder + "/algo-1/checkpoints/f", "x"));
    executor_.end(spec.id, exited_well());
    open();
    EXPECT_EQ(wait_for_end("away").status, "Completed");
    EXPECT_EQ(content("c/f"), "x");
}

TEST_F(TrainingJobsTest, CheckpointsThatCannotBeUploadedFailTheJobButKeepTheModel) {
    take(create(request_with_checkpoints("unnameable")));
    const auto spec = executor_.wait_for_start(0);
    ASSERT_TRUE(write_file(spec.folder + "/algo-1/checkpoints/\xff", "x"));
    executor_.end(spec.id, exited_well());
    const auto job = wait_for_end("unnameable");
    EXPECT_EQ(job.status, "Failed");
    EXPECT_TRUE(job.failure_reason.starts_with("ClientError: The checkpoint '")) << job.failure_reason;
    EXPECT_FALSE(job.model_artifacts.empty());
}

TEST_F(TrainingJobsTest, CheckpointsNeedABucketAndKeysThatArePaths) {
    const auto refused = create(request_with_checkpoints("refused", "s3://no-such-bucket/c"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "The bucket of CheckpointConfig.S3Uri does not exist: no-such-bucket.");
    ASSERT_TRUE(objects_->put("bucket", "hostile/../x", {}, object_store::source_of("x")));
    take(create(request_with_checkpoints("hostile", "s3://bucket/hostile")));
    const auto job = wait_for_end("hostile");
    EXPECT_EQ(job.status, "Failed");
    EXPECT_TRUE(job.failure_reason.starts_with("ClientError: S3 key")) << job.failure_reason;
}

TEST_F(TrainingJobsTest, DeleteWaitsForTheEndAndTakesTheTagsAlong) {
    auto document = request("deleted");
    document.set("Tags", *Json::parse(R"([{"Key":"k","Value":"v"}])"));
    const auto arn = take(create(document));
    const auto spec = executor_.wait_for_start(0);
    EXPECT_EQ(jobs_->remove(account(), kRegion, "deleted").error().kind, ErrorKind::Conflict);
    EXPECT_EQ(tags_->list(arn)->size(), 1u);
    executor_.end(spec.id, executors::exited(1, 0));
    wait_for_end("deleted");
    ASSERT_TRUE(jobs_->remove(account(), kRegion, "deleted"));
    EXPECT_EQ(jobs_->describe(account(), kRegion, "deleted").error().kind, ErrorKind::NotFound);
    EXPECT_FALSE(tags_->list(arn));
}

TEST_F(TrainingJobsTest, AHeldDescribeReturnsWhenTheJobEnds) {
    take(create(request("held")));
    const auto spec = executor_.wait_for_start(0);
    std::thread ends([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        executor_.end(spec.id, executors::exited(1, 0));
    });
    const auto begin = std::chrono::steady_clock::now();
    const auto job = take(jobs_->describe_changed(account(), kRegion, "held", std::chrono::seconds(10)));
    ends.join();
    EXPECT_EQ(job.status, "Completed");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

TEST_F(TrainingJobsTest, AHeldDescribeOfAJobThatGoesOnReturnsInTime) {
    take(create(request("long")));
    executor_.wait_for_start(0);
    const auto job = take(jobs_->describe_changed(account(), kRegion, "long", std::chrono::milliseconds(50)));
    EXPECT_EQ(job.status, "InProgress");
}

TEST_F(TrainingJobsTest, AClockThatRunsBackwardsLeavesTimesInOrder) {
    take(create(request("clock")));
    const auto spec = executor_.wait_for_start(0);
    clock_.jump(-3'600'000);
    executor_.end(spec.id, executors::exited(1, 0));
    const auto job = wait_for_end("clock");
    for (size_t i = 1; i < job.transitions.size(); ++i) {
        EXPECT_GE(job.transitions[i].start, job.transitions[i - 1].start);
        EXPECT_EQ(job.transitions[i].start, *job.transitions[i - 1].end);
    }
    EXPECT_GE(job.modified, job.created);
}

TEST_F(TrainingJobsTest, ListsPageByEverySortOrder) {
    take(create(request("blocker")));
    executor_.wait_for_start(0);
    for (const char* name : {"b-job", "a-job"}) take(create(request(name)));
    using Sort = TrainingJobQuery::SortBy;
    const auto names = [&](TrainingJobQuery query) {
        Strings found;
        query.max_results = 1;
        for (;;) {
            const auto page = take(jobs_->list(account(), kRegion, query));
            for (const auto& job : page.jobs) found.push_back(job.name);
            if (page.next.empty()) return found;
            query.after = page.next;
        }
    };
    TrainingJobQuery query;
    EXPECT_EQ(names(query), (Strings{"a-job", "b-job", "blocker"}));
    query.sort_by = Sort::Name;
    query.ascending = true;
    EXPECT_EQ(names(query), (Strings{"a-job", "b-job", "blocker"}));
    query.ascending = false;
    EXPECT_EQ(names(query), (Strings{"blocker", "b-job", "a-job"}));
    query.sort_by = Sort::Status;
    query.ascending = true;
    EXPECT_EQ(names(query), (Strings{"blocker", "b-job", "a-job"}));
    query.name_contains = "-JOB";
    EXPECT_EQ(names(query), (Strings{"b-job", "a-job"}));
    query.status_equals = "Completed";
    EXPECT_EQ(names(query), Strings{});
    query = {};
    query.created_after = describe("b-job").created;
    EXPECT_EQ(names(query), Strings{"a-job"});
    query = {};
    query.after = "[1]";
    EXPECT_EQ(jobs_->list(account(), kRegion, query).error().kind, ErrorKind::InvalidInput);
}

}  // namespace
}  // namespace millwright::resources
