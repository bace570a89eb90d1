#include "algorithms/common/training_environment.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "base/files.h"

namespace millwright::algorithms {
namespace {

class TrainingEnvironmentTest : public testing::Test {
  protected:
    TrainingEnvironmentTest() {
        base_ = testing::TempDir() + "millwright_environment_" + std::to_string(getpid());
        std::filesystem::create_directories(base_ + "/input/config");
        std::filesystem::create_directories(base_ + "/output");
        put("hyperparameters.json", R"({"eta":"0.1","depth":6})");
        put("inputdataconfig.json",
            R"({"validation":{"TrainingInputMode":"File"},
                "train":{"TrainingInputMode":"Pipe","S3DistributionType":"ShardedByS3Key","RecordWrapperType":"RecordIO","ContentType":"text/csv"}})");
        put("resourceconfig.json",
            R"({"current_host":"algo-2","hosts":["algo-10","algo-2"],"network_interface_name":"eth1"})");
    }
    ~TrainingEnvironmentTest() override { std::filesystem::remove_all(base_); }

    void put(const std::string& name, const std::string& text) {
        ASSERT_TRUE(write_file(base_ + "/input/config/" + name, text));
    }

    std::string base_;
};

TEST_F(TrainingEnvironmentTest, ReadsTheConfiguration) {
    const auto environment = TrainingEnvironment::load_from(base_);
    ASSERT_TRUE(environment) << environment.error().message;
    EXPECT_EQ(environment->hyperparameters, (std::map<std::string, std::string>{{"eta", "0.1"}, {"depth", "6"}}));
    EXPECT_EQ(environment->hosts, (std::vector<std::string>{"algo-2", "algo-10"}));
    EXPECT_TRUE(environment->is_first_host());
    EXPECT_EQ(environment->network_interface, "eth1");
    EXPECT_EQ(environment->checkpoint_dir, "");
    EXPECT_EQ(environment->model_dir, base_ + "/model");

    const Channel* train = environment->channel("train");
    ASSERT_NE(train, nullptr);
    EXPECT_EQ(train->mode, "Pipe");
    EXPECT_EQ(train->content_type, "text/csv");
    EXPECT_EQ(train->distribution, Distribution::ShardedByS3Key);
    EXPECT_TRUE(train->record_wrapped);
    EXPECT_EQ(environment->channel("validation")->content_type, "");
    EXPECT_EQ(environment->channel("test"), nullptr);
}

TEST_F(TrainingEnvironmentTest, TheChannelTrainingIsTrainUnlessThereIsOne) {
    put("inputdataconfig.json", R"({"training":{"ContentType":"text/csv"}})");
    const auto alone = TrainingEnvironment::load_from(base_);
    ASSERT_NE(alone->channel("train"), nullptr);
    EXPECT_EQ(alone->channel("train")->path, base_ + "/input/data/training");
    EXPECT_EQ(alone->channel("training"), nullptr);
    put("inputdataconfig.json", R"({"training":{},"train":{}})");
    EXPECT_NE(TrainingEnvironment::load_from(base_)->channel("training"), nullptr);
}

TEST_F(TrainingEnvironmentTest, CheckpointsAreOptional) {
    put("checkpointconfig.json", R"({"LocalPath":"/state"})");
    EXPECT_EQ(TrainingEnvironment::load_from(base_)->checkpoint_dir, "/state");
}

TEST_F(TrainingEnvironmentTest, BrokenConfigurationIsNotTheUsersFault) {
    put("resourceconfig.json", "{");
    const auto environment = TrainingEnvironment::load_from(base_);
    ASSERT_FALSE(environment);
    EXPECT_EQ(environment.error().kind, ErrorKind::Internal);
    std::filesystem::remove(base_ + "/input/config/hyperparameters.json");
    EXPECT_FALSE(TrainingEnvironment::load_from(base_));
}

TEST_F(TrainingEnvironmentTest, FailuresSayWhoseFaultTheyAre) {
    const std::string path = base_ + "/output/failure";
    EXPECT_EQ(fail(path, Fault::Client, "bad eta"), kClientErrorExit);
    EXPECT_EQ(read_file(path).value(), "ClientError: bad eta");
    EXPECT_EQ(fail(path, internal_error("lost")), kAlgorithmErrorExit);
    EXPECT_EQ(read_file(path).value(), "AlgorithmError: lost");
    EXPECT_EQ(fail(path, invalid_input("ClientError: once")), kClientErrorExit);
    EXPECT_EQ(read_file(path).value(), "ClientError: once");
}

TEST(Termination, TheSignalSetsTheFlag) {
    watch_for_termination();
    EXPECT_FALSE(termination_requested());
    raise(SIGTERM);
    EXPECT_TRUE(termination_requested());
}

}  // namespace
}  // namespace millwright::algorithms
