#include "resources/tags/tags.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/files.h"

namespace millwright::resources {
namespace {

constexpr std::string_view kArn = "arn:aws:sagemaker:us-west-2:123456789012:training-job/a";

class TagsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "tagsXXXXXX";
        folder_ = mkdtemp(pattern.data());
        database_ = std::move(metadata_store::Database::open(folder_ + "/db")).value();
        tags_ = std::move(Tags::open(*database_)).value();
    }
    void TearDown() override {
        tags_.reset();
        database_.reset();
        EXPECT_TRUE(remove_tree(folder_));
    }
    Result<void> create(const TagList& tags) {
        return database_->write(
            [&](metadata_store::Transaction& transaction) { return tags_->register_in(transaction, kArn, tags); });
    }
    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Tags> tags_;
};

TEST_F(TagsTest, AddReplacesValuesAndKeepsTheRest) {
    ASSERT_TRUE(create({{"a", "1"}, {"b", "2"}}));
    const auto all = tags_->add(kArn, {{"b", "3"}, {"c", ""}});
    ASSERT_TRUE(all);
    EXPECT_EQ(*all, (TagList{{"a", "1"}, {"b", "3"}, {"c", ""}}));
    ASSERT_TRUE(tags_->remove(kArn, {"a", "unknown"}));
    EXPECT_EQ(*tags_->list(kArn), (TagList{{"b", "3"}, {"c", ""}}));
}

TEST_F(TagsTest, TheFiftyFirstTagIsRefusedAndNothingChanges) {
    TagList fifty;
    for (int i = 0; i < 50; ++i) fifty.emplace_back("k" + std::to_string(i), "v");
    ASSERT_TRUE(create(fifty));
    const auto refused = tags_->add(kArn, {{"k0", "new"}, {"one-more", "v"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::LimitExceeded);
    EXPECT_EQ(tags_->list(kArn)->front().second, "v");
    EXPECT_EQ(tags_->list(kArn)->size(), 50u);
}

TEST_F(TagsTest, AnUnknownResourceHasNoTags) {
    EXPECT_EQ(tags_->list(kArn).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(tags_->add(kArn, {{"a", "b"}}).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(tags_->remove(kArn, {"a"}).error().kind, ErrorKind::NotFound);
}

TEST_F(TagsTest, ForgettingAResourceRemovesItsTags) {
    ASSERT_TRUE(create({{"a", "1"}}));
    ASSERT_TRUE(database_->write([&](metadata_store::Transaction& tx) { return tags_->forget_in(tx, kArn); }));
    EXPECT_FALSE(tags_->list(kArn));
    ASSERT_TRUE(create({}));
    EXPECT_TRUE(tags_->list(kArn)->empty());
}

TEST(ParseTags, RefusesReservedAndRepeatedKeys) {
    EXPECT_FALSE(parse_tags(*Json::parse(R"([{"Key":"aws:x","Value":"1"}])")));
    EXPECT_FALSE(parse_tags(*Json::parse(R"([{"Key":"x","Value":"1"},{"Key":"x","Value":"2"}])")));
    EXPECT_EQ(parse_tags(*Json::parse(R"([{"Key":"x","Value":"1"}])"))->size(), 1u);
}

}  // namespace
}  // namespace millwright::resources
