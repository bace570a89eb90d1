#include "base/files.h"

#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

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
TEST_F(Files, SpreadingSubfoldersIsSaidToExt4AndToNobodyElse) {
    spread_subfolders(folder_ + "/none");
    spread_subfolders(folder_ + "/a");
    const Fd folder(::open((folder_ + "/a").c_str(), O_RDONLY | O_DIRECTORY));
    struct statfs about {};
    ASSERT_EQ(fstatfs(folder.get(), &about), 0);
    int flags = 0;
    if (about.f_type != EXT4_SUPER_MAGIC) GTEST_SKIP() << "another file system";
    ASSERT_EQ(ioctl(folder.get(), FS_IOC_GETFLAGS, &flags), 0);
    EXPECT_NE(flags & FS_TOPDIR_FL, 0);
    const int before = flags;
    spread_subfolders(folder_ + "/a");
    ASSERT_EQ(ioctl(folder.get(), FS_IOC_GETFLAGS, &flags), 0);
    EXPECT_EQ(flags, before);
}
TEST_F(Files, RemoveTreeDoesNotFollowLinks) {
    ASSERT_TRUE(write_file(folder_ + "/keep", "x"));
    std::filesystem::create_symlink(folder_ + "/keep", folder_ + "/a/b/link");
    ASSERT_TRUE(remove_tree(folder_ + "/a"));
    EXPECT_TRUE(file_exists(folder_ + "/keep"));
    EXPECT_TRUE(remove_tree(folder_ + "/a"));
}

TEST_F(Files, RemoveTreeTakesWhatJobsLeave) {
    // In memory where there is such a file system: a busy disk takes seconds for this.
    if (access("/dev/shm", W_OK) == 0) folder_ = "/dev/shm/files_test";
    ASSERT_TRUE(make_directories(folder_));
    // Deeper than paths may be long and descriptors many.
    Fd at = std::move(*open_file(folder_, O_RDONLY | O_DIRECTORY));
    for (int depth = 0; depth < 1500; ++depth) {
        ASSERT_EQ(mkdirat(at.get(), "deep", 0700), 0);
        ASSERT_EQ(symlinkat("/etc", at.get(), "link"), 0);
        at = Fd(openat(at.get(), "deep", O_RDONLY | O_DIRECTORY));
        ASSERT_TRUE(at);
    }
    ASSERT_TRUE(make_directories(folder_ + "/.remove-0/full/.remove-1/full"));
    ASSERT_TRUE(write_file(folder_ + "/.remove-2", "x"));
    ASSERT_TRUE(make_directories(folder_ + "/closed/inner/x"));
    ASSERT_TRUE(write_file(folder_ + "/closed/inner/x/file", "x"));
    for (const char* closed : {"/closed/inner/x", "/closed/inner", "/closed"})
        ASSERT_EQ(chmod((folder_ + closed).c_str(), 0), 0);
    ASSERT_TRUE(remove_tree(folder_));
    EXPECT_FALSE(file_exists(folder_));
    EXPECT_TRUE(file_exists("/etc/passwd"));
}
TEST_F(Files, RemoveTreeRemovesAFileOrALink) {
    ASSERT_TRUE(write_file(folder_ + "/file", "x"));
    std::filesystem::create_symlink(folder_ + "/a", folder_ + "/link");
    ASSERT_TRUE(remove_tree(folder_ + "/file"));
    ASSERT_TRUE(remove_tree(folder_ + "/link"));
    EXPECT_FALSE(file_exists(folder_ + "/file"));
    EXPECT_FALSE(file_exists(folder_ + "/link"));
    EXPECT_TRUE(file_exists(folder_ + "/a"));
}

}  // namespace
}  // namespace millwright
