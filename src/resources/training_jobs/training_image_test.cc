// Training jobs whose image is neither a built-in algorithm nor a framework's.
#include "executors/fake/fake_images.h"
#include "resources/training_jobs/training_jobs_fixture.h"

namespace millwright::resources {
namespace {

constexpr const char* kImage = "registry.example/team/mine:1";

class TrainingImageTest : public TrainingJobsTest {
  protected:
    TrainingImageTest() {
        executors::RunImage image;
        image.reference = kImage;
        image.layers = {"/layers/1"};
        image.config.environment = {"PATH=/opt/conda/bin", "MKL_NUM_THREADS=2"};
        image_files_.add(kImage, image);
        with_images_ = true;
    }
    Json image_request(const std::string& name) {
        auto document = request(name);
        document.set("AlgorithmSpecification",
                     Json::object({{"TrainingInputMode", "File"}, {"TrainingImage", kImage}}));
        return document;
    }
    Json with_command(const std::string& name, std::vector<std::string> entrypoint,
                      std::vector<std::string> arguments) {
        auto document = image_request(name);
        auto algorithm = document["AlgorithmSpecification"];
        auto texts = [](const std::vector<std::string>& words) {
            auto array = Json::array();
            for (const auto& word : words) array.push_back(word);
            return array;
        };
        if (!entrypoint.empty()) algorithm.set("ContainerEntrypoint", texts(entrypoint));
        if (!arguments.empty()) algorithm.set("ContainerArguments", texts(arguments));
        document.set("AlgorithmSpecification", algorithm);
        return document;
    }
    executors::RunSpec started(const Json& document) {
        const auto nth = executor_.starts();
        EXPECT_TRUE(create(document)) << document["TrainingJobName"].string_or("");
        const auto spec = executor_.wait_for_start(nth);
        executor_.end(spec.id, exited_well());
        wait_for_end(document["TrainingJobName"].string_or(""));
        return spec;
    }
};

TEST_F(TrainingImageTest, RunsTheImageWithTheWordTrain) {
    auto document = image_request("job");
    document.set("Environment", Json::object({{"MINE", "1"}}));
    const auto spec = started(document);
    ASSERT_TRUE(spec.image);
    EXPECT_EQ(spec.image->layers, Strings{"/layers/1"});
    EXPECT_EQ(spec.command, Strings{"train"});
    EXPECT_FALSE(spec.image->entrypoint);
    EXPECT_EQ(spec.environment.at("TRAINING_JOB_NAME"), "job");
    EXPECT_EQ(spec.environment.at("MINE"), "1");
    EXPECT_EQ(spec.environment.at("NVIDIA_VISIBLE_DEVICES"), "void");
    EXPECT_TRUE(spec.environment.contains("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    EXPECT_TRUE(spec.environment.contains("OMP_NUM_THREADS"));
    for (const auto* own : {"PATH", "HOME", "LANG", "MKL_NUM_THREADS"})
        EXPECT_FALSE(spec.environment.contains(own)) << own;
    EXPECT_EQ(spec.forward_to, "127.0.0.1:9770");
    const auto job = describe("job");
    EXPECT_EQ(job.status, "Completed");
    EXPECT_EQ(statuses(job), (Strings{"Starting", "Downloading", "Downloading", "Uploading", "Completed"}));
    EXPECT_EQ(job.transitions[1].message, "Downloading the training image: layer 1 of 2");
}

TEST_F(TrainingImageTest, EntryPointAndArgumentsFollowTheRules) {
    const auto arguments = started(with_command("arguments", {}, {"fit", "now"}));
    EXPECT_EQ(arguments.command, (Strings{"fit", "now"}));
    EXPECT_FALSE(arguments.image->entrypoint);
    const auto entrypoint = started(with_command("entrypoint", {"/bin/mine"}, {}));
    EXPECT_EQ(entrypoint.image->entrypoint, Strings{"/bin/mine"});
    EXPECT_EQ(entrypoint.command, Strings{}) << "neither train nor the image's Cmd";
    const auto both = started(with_command("both", {"/bin/mine"}, {"a"}));
    EXPECT_EQ(both.image->entrypoint, Strings{"/bin/mine"});
    EXPECT_EQ(both.command, Strings{"a"});
}

TEST_F(TrainingImageTest, AnImageThatIsNotThereIsRefused) {
    image_files_.remove(kImage);
    const auto refused = create(image_request("job"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(refused.error().message, "there is no image registry.example/team/mine:1");
}

TEST_F(TrainingImageTest, AnImageThatGoesMeanwhileFailsTheJob) {
    image_files_.fail_next_prepare(not_found("manifest unknown"));
    ASSERT_TRUE(create(image_request("job")));
    EXPECT_EQ(wait_for_end("job").failure_reason,
              "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are "
              "incorrect. (manifest unknown)");
}

TEST_F(TrainingImageTest, AFaultOfThePullIsTriedAgain) {
    image_files_.fail_next_prepare({ErrorKind::Unavailable, "the engine is away", ""});
    auto document = image_request("job");
    document.set("RetryStrategy", Json::object({{"MaximumRetryAttempts", 1}}));
    const auto spec = started(document);
    EXPECT_TRUE(spec.image);
    EXPECT_EQ(describe("job").status, "Completed");
    image_files_.fail_next_prepare({ErrorKind::Unavailable, "the engine is away", ""});
    ASSERT_TRUE(create(image_request("once")));
    EXPECT_EQ(wait_for_end("once").failure_reason, "InternalServerError: the engine is away");
}

TEST_F(TrainingImageTest, StoppingEndsThePull) {
    image_files_.hold();
    ASSERT_TRUE(create(image_request("job")));
    image_files_.wait_until_held();
    ASSERT_TRUE(stop("job"));
    EXPECT_EQ(wait_for_end("job").status, "Stopped");
    EXPECT_EQ(executor_.starts(), 0u);
}

TEST_F(TrainingImageTest, ARestartDuringThePullPullsAgain) {
    image_files_.hold();
    ASSERT_TRUE(create(image_request("job")));
    image_files_.wait_until_held();
    reopen();
    image_files_.wait_until_held();
    image_files_.release();
    executor_.end(executor_.wait_for_start(0).id, exited_well());
    EXPECT_EQ(wait_for_end("job").status, "Completed");
    EXPECT_EQ(image_files_.prepared().size(), 2u);
}

TEST_F(TrainingImageTest, ACommandThatCannotBeExecutedIsTheUsersFault) {
    auto document = image_request("job");
    document.set("RetryStrategy", Json::object({{"MaximumRetryAttempts", 3}}));
    ASSERT_TRUE(create(document));
    auto outcome = ended_by(RunOutcome::Cause::LaunchFailed, 0);
    outcome.message = "runc create failed: exec: \"train\": executable file not found in $PATH";
    executor_.end(executor_.wait_for_start(0).id, outcome);
    EXPECT_EQ(wait_for_end("job").failure_reason,
              "ClientError: The container of image registry.example/team/mine:1 cannot be started: " + outcome.message +
                  ". (An image without an entry point needs an executable program named train in a folder of its "
                  "PATH.)");
    EXPECT_EQ(executor_.starts(), 1u);
}

TEST_F(TrainingImageTest, AnAlgorithmRunsInItsImageWhereAnAliasSaysSo) {
    image_files_.add("millwright/algorithms:latest", {});
    ASSERT_TRUE(aliases_->set("sagemaker-xgboost", "millwright/algorithms:latest"));
    auto document = image_request("job");
    document.set("AlgorithmSpecification",
                 Json::object({{"TrainingInputMode", "File"}, {"TrainingImage", "sagemaker-xgboost:1.7-1"}}));
    const auto spec = started(document);
    ASSERT_TRUE(spec.image);
    EXPECT_EQ(spec.command, std::vector<std::string>{"train"});
    EXPECT_EQ(spec.environment.at("MILLWRIGHT_ALGORITHM"), "xgboost");
    EXPECT_EQ(spec.environment.at("MILLWRIGHT_ALGORITHM_VERSION"), "1.7-1");
}

TEST_F(TrainingImageTest, WhatAnAliasMeantStaysWithTheJob) {
    ASSERT_TRUE(aliases_->set("pytorch-training", kImage));
    auto document = image_request("job");
    document.set(
        "AlgorithmSpecification",
        Json::object({{"TrainingInputMode", "File"},
                      {"TrainingImage", "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.0.0"},
                      {"MetricDefinitions", Json::array({Json::object({{"Name", "m"}, {"Regex", "m=(.*)"}})})}}));
    executors::RunImage tagged;
    tagged.layers = {"/layers/1"};
    ASSERT_TRUE(create(document));
    const auto spec = executor_.wait_for_start(0);
    EXPECT_TRUE(spec.image);
    // The alias goes while the server is away; the job is still the image's.
    ASSERT_TRUE(aliases_->remove("pytorch-training"));
    reopen();
    executor_.end(spec.id, exited_well());
    const auto job = wait_for_end("job");
    EXPECT_EQ(job.status, "Completed");
    EXPECT_EQ(job.metric_definitions.size(), 1u);
}

TEST_F(TrainingImageTest, AWarmPoolKeepsTheInstancesOfAnImage) {
    auto first = image_request("first"), second = image_request("second");
    for (auto* document : {&first, &second}) {
        auto resources = (*document)["ResourceConfig"];
        resources.set("KeepAlivePeriodInSeconds", 600);
        document->set("ResourceConfig", resources);
    }
    const auto spec = started(first);
    EXPECT_EQ(describe("first").warm_pool->status, "Available");
    const auto next = started(second);
    EXPECT_EQ(describe("first").warm_pool->status, "Reused");
    EXPECT_FALSE(next.on_spare) << "the container is new";
    EXPECT_TRUE(executor_.spares().empty());
    const auto has_cache = [](const executors::RunSpec& run) {
        for (const auto& mount : run.mounts)
            if (mount.target == kWarmCacheInside) return true;
        return false;
    };
    EXPECT_TRUE(has_cache(spec) && has_cache(next));
}

TEST_F(TrainingImageTest, ASpotJobGoesOnWithItsImage) {
    auto document = image_request("spot");
    document.set("EnableManagedSpotTraining", true);
    document.set("StoppingCondition", Json::object({{"MaxRuntimeInSeconds", 3600}, {"MaxWaitTimeInSeconds", 7200}}));
    ASSERT_TRUE(create(document));
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    wait_for("spot", "Training");
    ASSERT_TRUE(jobs_->interrupt(account(), kRegion, "spot"));
    executor_.end(spec.id, ended_by(RunOutcome::Cause::StopRequested, 143));
    const auto again = executor_.wait_for_start(1);
    EXPECT_TRUE(again.image);
    executor_.end(again.id, exited_well());
    EXPECT_EQ(wait_for_end("spot").status, "Completed");
}

TEST_F(TrainingImageTest, AnIsolatedImageHasNoWayOut) {
    auto document = image_request("isolated");
    document.set("EnableNetworkIsolation", true);
    const auto spec = started(document);
    EXPECT_TRUE(spec.network_isolation);
    EXPECT_EQ(spec.forward_to, "");
    EXPECT_EQ(spec.egress_socket, "");
    EXPECT_FALSE(spec.environment.contains("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
}

}  // namespace
}  // namespace millwright::resources
