// Training jobs with everything real but the executor and the clock, for tests.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "executors/fake/fake_executor.h"
#include "executors/fake/fake_images.h"
#include "resources/training_jobs/training_jobs.h"

namespace millwright::resources {

using executors::FakeExecutor;
using executors::RunOutcome;
using Strings = std::vector<std::string>;

inline constexpr const char* kRegion = "us-west-2";

class TestClock : public Clock {
  public:
    Timestamp now() const override { return Timestamp(std::chrono::milliseconds(ms_.fetch_add(7))); }
    Monotonic monotonic() const override { return Monotonic(std::chrono::milliseconds(ms_.load())); }
    void jump(int64_t by) { ms_ += by; }

  private:
    mutable std::atomic<int64_t> ms_{1'700'000'000'000};
};

// A registry to which nobody has pushed.
class NoRepositories final : public ImageRepositories {
  public:
    Result<Found> find(const oci::Reference&) override { return Found{}; }
    Result<aws::Access> access(const oci::Reference&, const std::string&) override { return aws::Access{}; }
};

// reopen() is a crash and a new server.
class TrainingJobsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : ::testing::TempDir()) + "trainingXXXXXX";
        root_ = mkdtemp(pattern.data());
        open();
        ASSERT_TRUE(objects_->create_bucket(account(), kRegion, "bucket"));
        ASSERT_TRUE(objects_->put("bucket", "data/train/a.csv", {}, object_store::source_of("1,2\n")));
    }
    void TearDown() override {
        close();
        EXPECT_TRUE(remove_tree(root_));
    }

    template <typename T>
    static T take(Result<T> result) {
        EXPECT_TRUE(result) << result.error().message << result.error().detail;
        return std::move(result).value();
    }

    void open() {
        database_ = take(metadata_store::Database::open(root_ + "/db"));
        objects_ = take(object_store::ObjectStore::open(root_ + "/objects", *database_, clock_, system_random()));
        identity_ = take(Identity::open(root_, *database_, clock_, system_random(), {}));
        logs_ = take(Logs::open(root_ + "/logs", *database_, clock_, system_random()));
        metrics_ = take(Metrics::open(*database_, clock_));
        tags_ = take(Tags::open(*database_));
        supervisor_ = jobs::Supervisor::start(
            {.machine = {.cpus = 4, .memory_bytes = uint64_t{16} << 30}, .workers = 2}, executor_);
        settings_.folder = root_ + "/jobs";
        settings_.algorithms_program = "/bin/millwright-algorithms";
        settings_.forward_to = "127.0.0.1:9770";
        aliases_ = std::make_unique<ImageAliases>(root_ + "/image-aliases.json");
        images_ = std::make_unique<ImageNames>(ImageNames::Parts{repositories_, image_files_, *identity_, *aliases_});
        jobs_ = take(TrainingJobs::open(
            settings_, {*database_, *objects_, executor_, *supervisor_, *identity_, *logs_, *metrics_, *tags_, clock_,
                        system_random(), nullptr, with_images_ ? images_.get() : nullptr}));
    }
    void close() {
        executor_.forget_listeners();
        supervisor_->shut_down();
        jobs_.reset();
        supervisor_.reset();
        images_.reset();
        tags_.reset();
        metrics_.reset();
        logs_.reset();
        identity_.reset();
        objects_.reset();
        database_.reset();
    }
    void reopen() {
        close();
        open();
    }

    std::string account() { return identity_->root().account; }
    Json request(const std::string& name) {
        const auto role = take(identity_->find_role(account(), "SageMakerRole"));
        auto document = take(Json::parse(R"({
            "AlgorithmSpecification": {"TrainingInputMode": "File",
                "TrainingImage": "433757028032.dkr.ecr.us-west-2.amazonaws.com/xgboost:1"},
            "InputDataConfig": [{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/train", "S3DataDistributionType": "FullyReplicated"}}}],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "HyperParameters": {"num_round": "2"}})"));
        document.set("TrainingJobName", name);
        document.set("RoleArn", role.arn);
        return document;
    }
    Result<std::string> create(const Json& document) {
        return jobs_->create({account(), kRegion, "arn:caller", document});
    }
    TrainingJob describe(const std::string& name) { return take(jobs_->describe(account(), kRegion, name)); }
    Result<void> stop(const std::string& name) { return jobs_->stop(account(), kRegion, name); }

    TrainingJob wait_until(const std::string& name, const std::function<bool(const TrainingJob&)>& reached) {
        TrainingJob job;
        for (int i = 0; i < 6000; ++i) {
            job = describe(name);
            if (reached(job)) return job;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        ADD_FAILURE() << name << " stays " << job.status << "/" << job.secondary_status << " " << job.failure_reason;
        return job;
    }
    TrainingJob wait_for_end(const std::string& name) {
        return wait_until(name, [](const TrainingJob& job) { return job.ended(); });
    }
    TrainingJob wait_for(const std::string& name, const std::string& secondary) {
        return wait_until(name, [&](const TrainingJob& job) { return job.secondary_status == secondary; });
    }
    Json request_with_checkpoints(const std::string& name, const std::string& uri = "s3://bucket/c") {
        auto document = request(name);
        document.set("CheckpointConfig", Json::object({{"S3Uri", uri}}));
        return document;
    }
    std::string content(const std::string& key) {
        const auto object = objects_->get("bucket", key);
        if (!object) return "(missing)";
        return take(object->read_all());
    }
    void wait_for_object(const std::string& key) {
        for (int i = 0; i < 6000 && !objects_->head("bucket", key); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        EXPECT_TRUE(objects_->head("bucket", key)) << key;
    }
    void write_model(const executors::RunSpec& spec, const std::string& bytes) {
        ASSERT_TRUE(write_file(spec.folder + "/algo-1/ml/model/xgboost-model", bytes));
    }
    static RunOutcome exited_well() { return executors::exited(1, 0); }
    static RunOutcome ended_by(RunOutcome::Cause cause, int exit_code) {
        auto outcome = executors::exited(1, exit_code);
        outcome.cause = cause;
        return outcome;
    }
    static std::vector<std::string> statuses(const TrainingJob& job) {
        std::vector<std::string> result;
        for (const auto& transition : job.transitions) result.push_back(transition.status);
        return result;
    }
    template <typename Reached>
    static bool soon(const Reached& reached) {
        for (int i = 0; i < 15'000 && !reached(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        return reached();
    }
    bool folder_is_gone(const executors::RunSpec& spec) {
        for (int i = 0; i < 15'000 && file_exists(spec.folder); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        return !file_exists(spec.folder);
    }

    std::string root_;
    TrainingJobSettings settings_;
    TestClock clock_;
    FakeExecutor executor_;
    bool with_images_ = false;
    NoRepositories repositories_;
    executors::FakeImages image_files_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<object_store::ObjectStore> objects_;
    std::unique_ptr<Identity> identity_;
    std::unique_ptr<Logs> logs_;
    std::unique_ptr<Metrics> metrics_;
    std::unique_ptr<Tags> tags_;
    std::unique_ptr<ImageAliases> aliases_;
    std::unique_ptr<ImageNames> images_;
    std::unique_ptr<jobs::Supervisor> supervisor_;
    std::unique_ptr<TrainingJobs> jobs_;
};

}  // namespace millwright::resources
