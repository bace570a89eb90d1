#include "executors/contract/local_path.h"

#include <gtest/gtest.h>

namespace millwright::executors {
namespace {

TEST(LocalPath, IsTheKeyBelowThePrefix) {
    EXPECT_EQ(path_below_prefix("data/train", "data/train/a/x.csv"), "a/x.csv");
    EXPECT_EQ(path_below_prefix("data/train/", "data/train/a/x.csv"), "a/x.csv");
    EXPECT_EQ(path_below_prefix("data/tra", "data/train/x.csv"), "train/x.csv");
    EXPECT_EQ(path_below_prefix("data/train", "data/train2/x.csv"), "train2/x.csv");
    EXPECT_EQ(path_below_prefix("data/x.csv", "data/x.csv"), "x.csv");
    EXPECT_EQ(path_below_prefix("", "data/x.csv"), "data/x.csv");
    EXPECT_EQ(path_below_prefix("x", "x.csv"), "x.csv");
}

TEST(LocalPath, FoldsRepeatedSlashes) { EXPECT_EQ(*clean_local_path("/a//b/c"), "a/b/c"); }

TEST(LocalPath, RefusesWhatWouldLeaveTheChannelOrIsNoName) {
    for (const std::string& path :
         {std::string("../x"), std::string("a/../../x"), std::string("a/./b"), std::string("a\0b", 3), std::string("/"),
          std::string(), std::string(256, 'x'), std::string(5000, 'x'), std::string("..")}) {
        const auto clean = clean_local_path(path);
        ASSERT_FALSE(clean) << path.substr(0, 20);
        EXPECT_EQ(clean.error().kind, ErrorKind::InvalidInput);
    }
    EXPECT_TRUE(clean_local_path("..a/b../" + std::string(255, 'x')));
}

TEST(LocalPath, RefusesAFileWhereAnotherKeyNeedsAFolder) {
    PathSet set;
    ASSERT_TRUE(set.add_file("a/b"));
    set.add_folder("a");
    EXPECT_FALSE(set.add_file("a/b"));
    EXPECT_FALSE(set.add_file("a"));
    EXPECT_FALSE(set.add_file("a/b/c"));
    EXPECT_TRUE(set.add_file("a/c"));
}

}  // namespace
}  // namespace millwright::executors
