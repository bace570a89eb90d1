#include "executors/contract/channel.h"

#include <gtest/gtest.h>

#include "executors/contract/contract_fixture.h"

namespace millwright::executors {
namespace {

std::vector<std::string> paths(const ChannelContent& content) {
    std::vector<std::string> result;
    for (const auto& object : content.objects) result.push_back(object.path);
    return result;
}

class ChannelTest : public ContractTest {
  protected:
    Channel prefix(const std::string& key) {
        Channel channel;
        channel.name = "train";
        channel.uri = {"bucket", key};
        return channel;
    }
    std::atomic<bool> stop_{false};
};

TEST_F(ChannelTest, APrefixIsAStringNotAFolder) {
    for (const char* key : {"d/train/b.csv", "d/train/a.csv", "d/train/", "d/train2/c.csv", "d/other.csv"})
        put(key, key);
    const auto content = resolve_channel(*store_, prefix("d/train"));
    ASSERT_TRUE(content);
    EXPECT_EQ(paths(*content), (std::vector<std::string>{"a.csv", "b.csv", "train2/c.csv"}));
    EXPECT_EQ(content->prefix_uri, "s3://bucket/d/train");
}

TEST_F(ChannelTest, WithoutObjectsIsTheUsersFault) {
    put("d/empty/", "");
    const auto content = resolve_channel(*store_, prefix("d/empty"));
    ASSERT_FALSE(content);
    EXPECT_EQ(content.error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(content.error().message, "No S3 objects found under S3 URL \"s3://bucket/d/empty\".");
}

TEST_F(ChannelTest, HostileKeysAreRefused) {
    put("h/../../etc/passwd", "x");
    EXPECT_EQ(resolve_channel(*store_, prefix("h/")).error().kind, ErrorKind::InvalidInput);
}

TEST_F(ChannelTest, AFileThatIsAlsoAFolderIsRefused) {
    put("c/a", "file");
    put("c/a/b", "below it");
    const auto content = resolve_channel(*store_, prefix("c/"));
    ASSERT_TRUE(content);
    const auto linked = link_channel(*store_, *content, {0, 1}, folder_ + "/c", stop_);
    ASSERT_FALSE(linked);
    EXPECT_EQ(linked.error().kind, ErrorKind::InvalidInput);
}

TEST_F(ChannelTest, LinksShowTheBytes) {
    put("l/x/y.csv", "1,2");
    put("l/z.csv", "3,4");
    const auto content = resolve_channel(*store_, prefix("l/"));
    ASSERT_TRUE(link_channel(*store_, *content, {0, 1}, folder_ + "/l", stop_));
    EXPECT_EQ(*read_file(folder_ + "/l/x/y.csv"), "1,2");
    EXPECT_EQ(*read_file(folder_ + "/l/z.csv"), "3,4");
}

TEST_F(ChannelTest, StagingEndsWhenAStopIsAskedFor) {
    put("s/a", "1");
    const auto content = resolve_channel(*store_, prefix("s/"));
    stop_ = true;
    EXPECT_EQ(link_channel(*store_, *content, {0}, folder_ + "/s", stop_).error().kind, ErrorKind::Conflict);
}

TEST_F(ChannelTest, AManifestNamesItsObjects) {
    put("m/list", R"([{"prefix": "s3://bucket/m/data/"}, "one.csv", "sub/two.csv"])");
    auto channel = prefix("m/list");
    channel.source = Channel::Source::ManifestFile;
    const auto content = resolve_channel(*store_, channel);
    ASSERT_TRUE(content) << content.error().message;
    EXPECT_EQ(paths(*content), (std::vector<std::string>{"one.csv", "sub/two.csv"}));
    EXPECT_EQ(content->objects[1].key, "m/data/sub/two.csv");
    const auto linked = link_channel(*store_, *content, {0}, folder_ + "/m", stop_);
    ASSERT_FALSE(linked);
    EXPECT_EQ(linked.error().message, "The object s3://bucket/m/data/one.csv does not exist.");
}

TEST(Manifest, RefusesEverythingElse) {
    for (const std::string_view text : {"", "{}", "[]", "[1]", "[{\"prefix\":1}]", "[{\"prefix\":\"s3://b/p/\"}]",
                                        "[{\"prefix\":\"http://b/p/\"},\"a\"]", "[{\"prefix\":\"s3://b/p/\"},{}]",
                                        "[{\"prefix\":\"s3://b/p/\"},\"../a\"]", "[{\"prefix\":\"s3://b/p/\"},\"/a\"]",
                                        "[{\"prefix\":\"s3://b/p/\"},\"a\\u0000b\"]",
                                        "[{\"prefix\":\"s3://b/p/\"},\"a\"", "[{\"prefix\":\"s3://b/p/\"},\"\"]"}) {
        EXPECT_FALSE(parse_manifest(text)) << text;
    }
    EXPECT_FALSE(parse_manifest("[{\"prefix\":\"s3://b/" + std::string(1020, 'k') + "\"},\"long\"]"));
}

TEST(Shards, TakeEveryNthObjectInKeyOrder) {
    using D = Channel::Distribution;
    EXPECT_EQ(shard_of(5, D::ShardedByS3Key, 0, 2), (std::vector<size_t>{0, 2, 4}));
    EXPECT_EQ(shard_of(5, D::ShardedByS3Key, 1, 2), (std::vector<size_t>{1, 3}));
    EXPECT_EQ(shard_of(1, D::ShardedByS3Key, 2, 3), std::vector<size_t>{});
    EXPECT_EQ(shard_of(2, D::FullyReplicated, 1, 2), (std::vector<size_t>{0, 1}));
}

}  // namespace
}  // namespace millwright::executors
