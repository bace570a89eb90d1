#include "executors/contract/training_contract.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include "executors/contract/contract_fixture.h"
#include "executors/contract/feed_spec.h"

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

TEST_F(TrainingContractTest, EveryModeHasItsPlace) {
    for (const char* key : {"d/train/a", "d/train/b"}) put(key, key);
    auto training = two_hosts();
    training.channels[0].mode = Channel::Mode::FastFile;
    training.channels[1].mode = Channel::Mode::Pipe;
    training.channels[1].wrap_in_recordio = true;
    Channel files;
    files.name = "files";
    files.source = Channel::Source::FileSystem;
    files.file_system = root_;
    files.directory = "/run";
    files.writable = true;
    training.channels.push_back(files);
    const auto tree = write_training_tree(*store_, training, folder_, stop_);
    ASSERT_TRUE(tree) << tree.error().message;
    ASSERT_EQ(tree->mounts.size(), 2u);
    EXPECT_EQ(tree->mounts[0].mode, Mount::Mode::ReadOnly);
    EXPECT_EQ(tree->mounts[1].source, folder_);
    EXPECT_EQ(tree->mounts[1].mode, Mount::Mode::Writable);
    EXPECT_FALSE(tree->mounts[1].through_links);
    const std::vector<std::vector<std::string>> feeders = {{"millwright-feeder", folder_ + "/feed"}};
    EXPECT_EQ(tree->companions, feeders);
    const auto feed = decode_feed_spec(*read_file(folder_ + "/feed"));
    ASSERT_TRUE(feed);
    EXPECT_EQ(feed->channels[0].hosts, (std::vector<std::string>{"algo-1", "algo-2"}));
    EXPECT_TRUE(feed->channels[0].sharded && feed->channels[0].wrap_in_recordio);
    struct stat status {};
    ASSERT_EQ(lstat((folder_ + "/algo-2/ml/input/data/shards_0").c_str(), &status), 0);
    EXPECT_TRUE(S_ISFIFO(status.st_mode));
    EXPECT_FALSE(file_exists(folder_ + "/algo-1/ml/input/data/shards"));
    EXPECT_TRUE(file_exists(folder_ + "/algo-1/ml/input/data/shards-manifest"));
    EXPECT_FALSE(file_exists(folder_ + "/algo-1/ml/input/data/files-manifest"));
    EXPECT_EQ(
        config("algo-1", "inputdataconfig"),
        R"({"train":{"TrainingInputMode":"FastFile","S3DistributionType":"FullyReplicated","RecordWrapperType":"None",)"
        R"("ContentType":"text/csv"},"shards":{"TrainingInputMode":"Pipe","S3DistributionType":"ShardedByS3Key",)"
        R"("RecordWrapperType":"RecordIO"},"files":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated",)"
        R"("RecordWrapperType":"None"}})");
}

TEST_F(TrainingContractTest, AChannelOfSomeGroupsIsOnTheirHostsOnly) {
    for (const char* key : {"d/train/a", "d/train/b", "d/train/c"}) put(key, key);
    auto training = two_hosts();
    training.hosts = 3;
    training.groups = {{"small", "ml.m5.large", 1}, {"big", "ml.g5.xlarge", 2}};
    for (auto& channel : training.channels) channel.instance_groups = {"big"};
    const auto tree = write_training_tree(*store_, training, folder_, stop_);
    ASSERT_TRUE(tree) << tree.error().message;
    EXPECT_EQ(tree->mounts[0].hosts, (std::vector<int>{1, 2}));
    EXPECT_EQ(tree->mounts[1].hosts, (std::vector<int>{1, 2}));
    EXPECT_EQ(config("algo-1", "inputdataconfig"), "{}");
    EXPECT_NE(config("algo-3", "inputdataconfig"), "{}");
    EXPECT_FALSE(file_exists(folder_ + "/algo-1/ml/input/data/train"));
    EXPECT_FALSE(file_exists(folder_ + "/algo-1/channels/shards/a"));
    EXPECT_TRUE(file_exists(folder_ + "/algo-2/channels/shards/a"));
    EXPECT_TRUE(file_exists(folder_ + "/algo-3/channels/shards/b"));
    EXPECT_TRUE(file_exists(folder_ + "/algo-2/channels/shards/c"));
    EXPECT_EQ(config("algo-2", "resourceconfig"),
              R"({"current_host":"algo-2","current_instance_type":"ml.g5.xlarge","current_group_name":"big",)"
              R"("hosts":["algo-1","algo-2","algo-3"],"instance_groups":[{"instance_group_name":"small",)"
              R"("instance_type":"ml.m5.large","hosts":["algo-1"]},{"instance_group_name":"big",)"
              R"("instance_type":"ml.g5.xlarge","hosts":["algo-2","algo-3"]}],"network_interface_name":"eth0"})");
}

TEST_F(TrainingContractTest, CheckpointsHaveAManifest) {
    put("c/1/state", "x");
    TrainingDescription training;
    training.instance_type = "ml.m5.large";
    training.checkpoints = CheckpointPlace{{"bucket", "c/"}, "/state"};
    ASSERT_TRUE(write_training_tree(*store_, training, folder_, stop_));
    EXPECT_EQ(*read_file(folder_ + "/algo-1/ml/input/data/checkpoints-manifest"),
              "s3://bucket/c/\ns3://bucket/c/1/state\n");
}

TEST_F(TrainingContractTest, LiveOutputsElsewhereAreShownFolders) {
    TrainingDescription training;
    training.instance_type = "ml.m5.large";
    training.live_outputs = {{"output/tensors", {"bucket", "t/"}}, {"", {"bucket", "b/"}, "/tb"}};
    const auto tree = write_training_tree(*store_, training, folder_, stop_);
    ASSERT_TRUE(tree);
    ASSERT_EQ(tree->mounts.size(), 1u);
    EXPECT_EQ(tree->mounts[0].source, folder_ + "/{host}/live/1");
    EXPECT_EQ(tree->mounts[0].target, "/tb");
    EXPECT_TRUE(file_exists(folder_ + "/algo-1/live/1"));
    EXPECT_EQ(live_output_folder(training, 0), "ml/output/tensors");
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
