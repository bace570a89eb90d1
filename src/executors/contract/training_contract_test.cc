#include "executors/contract/training_contract.h"

#include <gtest/gtest.h>

#include "executors/contract/contract_fixture.h"

namespace millwright::executors {
namespace {

class TrainingContractTest : public ContractTest {
  protected:
    TrainingDescription two_hosts() {
        TrainingDescription training;
        training.instance_type = "ml.g5.xlarge";
        training.hosts = 2;
        training.hyperparameters = Json::object({{"arg1", "5"}});
        Channel train;
        train.name = "train";
        train.uri = {"bucket", "d/train/"};
        train.content_type = "text/csv";
        Channel shards = train;
        shards.name = "shards";
        shards.distribution = Channel::Distribution::ShardedByS3Key;
        shards.content_type = "";
        training.channels = {train, shards};
        return training;
    }
    std::string config(const std::string& host, const std::string& name) {
        return std::move(read_file(folder_ + "/" + host + "/ml/input/config/" + name + ".json")).value_or("(missing)");
    }
    std::atomic<bool> stop_{false};
};

TEST_F(TrainingContractTest, ConfigurationFilesHaveTheExactForm) {
    put("d/train/a.csv", "a");
    ASSERT_TRUE(write_training_tree(*store_, two_hosts(), folder_, stop_));
    EXPECT_EQ(config("algo-1", "hyperparameters"), R"({"arg1":"5"})");
    EXPECT_EQ(
        config("algo-2", "inputdataconfig"),
        R"({"train":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None",)"
        R"("ContentType":"text/csv"},"shards":{"TrainingInputMode":"File","S3DistributionType":"ShardedByS3Key",)"
        R"("RecordWrapperType":"None"}})");
    EXPECT_EQ(
        config("algo-2", "resourceconfig"),
        R"({"current_host":"algo-2","current_instance_type":"ml.g5.xlarge","current_group_name":"homogeneousCluster",)"
        R"("hosts":["algo-1","algo-2"],"instance_groups":[{"instance_group_name":"homogeneousCluster",)"
        R"("instance_type":"ml.g5.xlarge","hosts":["algo-1","algo-2"]}],"network_interface_name":"eth0"})");
}

TEST_F(TrainingContractTest, WithoutHyperparametersAndChannelsTheFilesAreEmptyObjects) {
    TrainingDescription training;
    training.instance_type = "ml.m5.large";
    const auto tree = write_training_tree(*store_, training, folder_, stop_);
    ASSERT_TRUE(tree);
    EXPECT_TRUE(tree->mounts.empty());
    EXPECT_EQ(config("algo-1", "hyperparameters"), "{}");
    EXPECT_EQ(config("algo-1", "inputdataconfig"), "{}");
    for (const char* folder : {"/model", "/output/data", "/input/data"})
        EXPECT_TRUE(file_exists(folder_ + "/algo-1/ml" + folder));
}

TEST_F(TrainingContractTest, ReplicatedChannelsAreSharedAndShardsArePerHost) {
    for (const char* key : {"d/train/a", "d/train/b", "d/train/c"}) put(key, key);
    const auto tree = write_training_tree(*store_, two_hosts(), folder_, stop_);
    ASSERT_TRUE(tree);
    const auto& mounts = tree->mounts;
    ASSERT_EQ(mounts.size(), 2u);
    EXPECT_EQ(mounts[0].source, folder_ + "/shared/channels/train");
    EXPECT_EQ(mounts[0].target, "/opt/ml/input/data/train");
    EXPECT_EQ(mounts[0].mode, Mount::Mode::Overlay);
    EXPECT_EQ(mounts[1].source, folder_ + "/{host}/channels/shards");
    EXPECT_TRUE(file_exists(folder_ + "/shared/channels/train/b"));
    EXPECT_TRUE(file_exists(folder_ + "/algo-1/channels/shards/a"));
    EXPECT_FALSE(file_exists(folder_ + "/algo-1/channels/shards/b"));
    EXPECT_TRUE(file_exists(folder_ + "/algo-2/channels/shards/b"));
    EXPECT_TRUE(file_exists(folder_ + "/algo-1/channels/shards/c"));
    EXPECT_EQ(*read_file(folder_ + "/algo-2/ml/input/data/shards-manifest"),
              "s3://bucket/d/train/\ns3://bucket/d/train/a\ns3://bucket/d/train/b\ns3://bucket/d/train/c\n");
}

TEST_F(TrainingContractTest, ChannelNamesThatAreNoNamesAreRefused) {
    put("d/train/a", "a");
    for (const char* name : {".", "..", "train", "train-manifest", "a/b"}) {
        auto training = two_hosts();
        training.channels[1].name = name;
        EXPECT_FALSE(write_training_tree(*store_, training, folder_, stop_)) << name;
    }
}

}  // namespace
}  // namespace millwright::executors
