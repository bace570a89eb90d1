#include "base/files.h"

#include <filesystem>

#include <gtest/gtest.h>

namespace millwright {
namespace {

class Files : public testing::Test {
  protected:
    std::string folder_ = testing::TempDir() + "files_test";
    void SetUp() override { ASSERT_TRUE(make_directories(folder_ + "/a/b")); }
    void TearDown() override { ASSERT_TRUE(remove_tree(folder_)); }
};

TEST_F(Files, DurableReplaceLeavesNoTemporary) {
    ASSERT_TRUE(replace_file_durably(folder_ + "/x", "one"));
    ASSERT_TRUE(replace_file_durably(folder_ + "/x", "two", 0600));
    EXPECT_EQ(*read_file(folder_ + "/x"), "two");
    EXPECT_FALSE(file_exists(folder_ + "/x.new"));
}
TEST_F(Files, ReadStopsAtTheLimit) {
    ASSERT_TRUE(write_file(folder_ + "/x", std::string(100, 'x')));
    EXPECT_EQ(read_file(folder_ + "/x", 99).error().kind, ErrorKind::LimitExceeded);
    EXPECT_EQ(read_file(folder_ + "/none").error().kind, ErrorKind::NotFound);
}
TEST_F(Files, RemoveTreeDoesNotFollowLinks) {
    ASSERT_TRUE(write_file(folder_ + "/keep", "x"));
    std::filesystem::create_symlink(folder_ + "/keep", folder_ + "/a/b/link");
    ASSERT_TRUE(remove_tree(folder_ + "/a"));
    EXPECT_TRUE(file_exists(folder_ + "/keep"));
    EXPECT_TRUE(remove_tree(folder_ + "/a"));
}

}  // namespace
}  // namespace millwright
