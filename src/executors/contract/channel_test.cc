#include "executors/contract/channel.h"

#include <gtest/gtest.h>

#include <algorithm>

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

TEST_F(ChannelTest, FastFileShowsWholeFoldersOnly) {
    for (const char* key : {"d/train/a.csv", "d/train2/c.csv"}) put(key, key);
    auto channel = prefix("d/train");
    channel.mode = Channel::Mode::FastFile;
    const auto content = resolve_channel(*store_, channel);
    ASSERT_TRUE(content) << content.error().message;
    EXPECT_EQ(paths(*content), std::vector<std::string>{"a.csv"});
    channel.uri.key = "d/tra";
    EXPECT_NE(resolve_channel(*store_, channel).error().message.find("whole folder"), std::string::npos);
    channel.uri.key = "none";
    EXPECT_NE(resolve_channel(*store_, channel).error().message.find("No S3 objects"), std::string::npos);
}

TEST_F(ChannelTest, AShuffledListHasTheSameObjectsInAnotherOrderEachTime) {
    for (int i = 0; i < 30; ++i) put("s/" + std::to_string(100 + i), "x");
    auto channel = prefix("s/");
    const auto plain = paths(*resolve_channel(*store_, channel));
    channel.shuffle_seed = 1;
    auto one = paths(*resolve_channel(*store_, channel));
    EXPECT_EQ(paths(*resolve_channel(*store_, channel)), one);
    channel.shuffle_seed = 2;
    EXPECT_NE(paths(*resolve_channel(*store_, channel)), one);
    EXPECT_NE(one, plain);
    std::sort(one.begin(), one.end());
    EXPECT_EQ(one, plain);
}

TEST_F(ChannelTest, PipesTakeKeysThatAreNoFileNames) {
    put("h/../x", "1");
    put("h/y", "2");
    auto channel = prefix("h/");
    channel.mode = Channel::Mode::Pipe;
    const auto content = resolve_channel(*store_, channel);
    ASSERT_TRUE(content) << content.error().message;
    ASSERT_TRUE(link_feed(*store_, *content, folder_ + "/feeds/0", stop_));
    EXPECT_EQ(*read_file(folder_ + "/feeds/0/0/1"), "2");
    EXPECT_EQ(*read_file(folder_ + "/feeds/0/names"), std::string("s3://bucket/h/../x\0s3://bucket/h/y\0", 35));
}

std::string item(char kind, uint64_t value, const std::string& text = "") {
    return std::string(1, kind) + std::string(reinterpret_cast<const char*>(&value), sizeof value) + text;
}

TEST(AugmentedManifest, DeliversAttributesInOrder) {
    const auto content = parse_augmented_manifest(
        "{\"source-ref\": \"s3://bucket/1\", \"class\": 1.0, \"name\": \"caf\\u00e9 \\\"x\\\"\"}\n\n"
        " { \"name\" : \"}\" , \"source-ref\":\"s3://bucket/1\", \"class\" : { \"a\" : [1, \"]\"] } }\r\n",
        {"class", "source-ref", "name"});
    ASSERT_TRUE(content) << content.error().message;
    EXPECT_EQ(content->records, 2u);
    EXPECT_EQ(content->objects.size(), 1u);
    EXPECT_EQ(content->items, item('t', 3, "1.0") + item('o', 0) + item('t', 9, "caf\xC3\xA9 \"x\"") +
                                  item('t', 18, "{ \"a\" : [1, \"]\"] }") + item('o', 0) + item('t', 1, "}"));
}

TEST(AugmentedManifest, SaysWhichLineIsWrong) {
    const std::pair<std::string_view, std::string_view> wrong[] = {
        {"", "has no lines"},
        {"\n \n", "has no lines"},
        {"{\"a-ref\":\"s3://bucket/k\"}\n[]", "Line 2 of the augmented manifest is not a JSON object"},
        {"{\"a-ref\":\"s3://bucket/k\"", "Line 1 of the augmented manifest is not a JSON object"},
        {"{\"b\":1}", "has no attribute 'a-ref'"},
        {"{\"a-ref\":1}", "no S3 URI"},
        {"{\"a-ref\":\"s3://bucket/\"}", "no S3 URI"},
        {"{\"a-ref\":\"/etc/passwd\"}", "no S3 URI"},
    };
    for (const auto& [text, word] : wrong) {
        const auto content = parse_augmented_manifest(text, {"a-ref"});
        ASSERT_FALSE(content) << text;
        EXPECT_NE(content.error().message.find(word), std::string::npos) << content.error().message;
    }
}

class FileSystemTest : public ChannelTest {
  protected:
    void SetUp() override {
        ChannelTest::SetUp();
        ASSERT_TRUE(make_directories(root_ + "/fs/data/inner"));
        ASSERT_TRUE(make_directories(root_ + "/outside"));
        ASSERT_EQ(symlink((root_ + "/outside").c_str(), (root_ + "/fs/absolute").c_str()), 0);
        ASSERT_EQ(symlink("../outside", (root_ + "/fs/relative").c_str()), 0);
        ASSERT_EQ(symlink("/data/inner", (root_ + "/fs/inside").c_str()), 0);
        ASSERT_TRUE(write_file(root_ + "/fs/file", "x"));
    }
    Result<std::string> resolve(const std::string& directory) {
        Channel channel;
        channel.source = Channel::Source::FileSystem;
        channel.file_system = root_ + "/fs";
        channel.directory = directory;
        return resolve_directory(channel);
    }
};

TEST_F(FileSystemTest, DirectoriesAreFoundInside) {
    EXPECT_EQ(*resolve("/"), root_ + "/fs");
    EXPECT_EQ(*resolve("/data//inner/"), root_ + "/fs/data/inner");
    EXPECT_EQ(*resolve("/inside"), root_ + "/fs/data/inner");
    EXPECT_EQ(*resolve("/../../data"), root_ + "/fs/data");
}

TEST_F(FileSystemTest, NothingLeadsOut) {
    for (const char* path : {"/absolute", "/relative", "/missing", "/file", "/../outside"}) {
        const auto found = resolve(path);
        ASSERT_FALSE(found) << *found;
        EXPECT_EQ(found.error().kind, ErrorKind::InvalidInput) << path;
    }
}

TEST(Manifest, RefusesEverythingElse) {
    for (const std::string_view text :
         {"", "{}", "[]", "[1]", "[{\"prefix\":1}]", "[{\"prefix\":\"s3://bucket/p/\"}]",
          "[{\"prefix\":\"http://b/p/\"},\"a\"]", "[{\"prefix\":\"s3://bucket/p/\"},{}]",
          "[{\"prefix\":\"s3://bucket/p/\"},\"../a\"]", "[{\"prefix\":\"s3://bucket/p/\"},\"/a\"]",
          "[{\"prefix\":\"s3://bucket/p/\"},\"a\\u0000b\"]", "[{\"prefix\":\"s3://bucket/p/\"},\"a\"",
          "[{\"prefix\":\"s3://bucket/p/\"},\"\"]"}) {
        EXPECT_FALSE(parse_manifest(text)) << text;
    }
    EXPECT_FALSE(parse_manifest("[{\"prefix\":\"s3://bucket/" + std::string(1020, 'k') + "\"},\"longer\"]"));
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
