#include "algorithms/xgboost/checkpoints.h"

#include "algorithms/xgboost/testing.h"

namespace millwright::algorithms::xgboost {
namespace {

std::vector<int> rounds_there(const std::string& folder) {
    std::vector<int> out;
    for (int round = 0; round < 40; ++round) {
        if (file_exists(folder + "/xgboost-checkpoint." + std::to_string(round))) out.push_back(round);
    }
    return out;
}

TEST(Checkpoints, TheNewestFiveAreKept) {
    JobFolder job;
    const std::string folder = job.path() + "/checkpoints";
    auto writer = CheckpointWriter::open(folder);
    ASSERT_TRUE(writer);
    for (int round = 0; round < 8; ++round) ASSERT_TRUE(writer->write(round, "model"));
    EXPECT_EQ(rounds_there(folder), (std::vector<int>{3, 4, 5, 6, 7}));
}

TEST(Checkpoints, ThoseOfAnEarlierRunStay) {
    JobFolder job;
    const std::string folder = job.path() + "/checkpoints";
    ASSERT_TRUE(CheckpointWriter::open(folder)->write(0, "old"));
    auto writer = CheckpointWriter::open(folder);
    for (int round = 1; round < 8; ++round) ASSERT_TRUE(writer->write(round, "model"));
    EXPECT_EQ(rounds_there(folder), (std::vector<int>{0, 3, 4, 5, 6, 7}));
}

TEST(Checkpoints, AFileBeingUploadedIsRemovedLater) {
    JobFolder job;
    const std::string folder = job.path() + "/checkpoints";
    auto writer = CheckpointWriter::open(folder);
    ASSERT_TRUE(writer->write(0, "model"));
    ASSERT_TRUE(write_file(folder + "/xgboost-checkpoint.0.sagemaker-uploading", ""));
    for (int round = 1; round < 7; ++round) ASSERT_TRUE(writer->write(round, "model"));
    EXPECT_EQ(rounds_there(folder), (std::vector<int>{0, 2, 3, 4, 5, 6}));
    ASSERT_TRUE(write_file(folder + "/xgboost-checkpoint.0.sagemaker-uploaded", ""));
    ASSERT_TRUE(writer->write(7, "model"));
    EXPECT_EQ(rounds_there(folder), (std::vector<int>{3, 4, 5, 6, 7}));
}

TEST(Checkpoints, FinishRemovesWhatUploadsHeldBack) {
    JobFolder job;
    const std::string folder = job.path() + "/checkpoints";
    auto writer = CheckpointWriter::open(folder);
    ASSERT_TRUE(writer->write(0, "model"));
    ASSERT_TRUE(write_file(folder + "/xgboost-checkpoint.0.sagemaker-uploading", ""));
    for (int round = 1; round < 7; ++round) ASSERT_TRUE(writer->write(round, "model"));
    writer->finish();
    EXPECT_EQ(rounds_there(folder), (std::vector<int>{2, 3, 4, 5, 6}));
}

TEST(Checkpoints, TheNewestCountsByNumberAndStrangeNamesDoNot) {
    JobFolder job;
    const std::string folder = job.path() + "/checkpoints";
    EXPECT_FALSE(newest_checkpoint("").value().has_value());
    EXPECT_FALSE(newest_checkpoint(folder).value().has_value());
    std::filesystem::create_directories(folder);
    for (const char* name : {"xgboost-checkpoint.9", "xgboost-checkpoint.10", "xgboost-checkpoint.x",
                             "xgboost-checkpoint.11.sagemaker-ignore", "other.12"}) {
        ASSERT_TRUE(write_file(folder + "/" + name, name));
    }
    const auto newest = newest_checkpoint(folder).value();
    ASSERT_TRUE(newest.has_value());
    EXPECT_EQ(newest->completed_rounds, 11);
    EXPECT_EQ(newest->model, "xgboost-checkpoint.10");
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
