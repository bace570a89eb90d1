#include "algorithms/common/channel_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <thread>

#include "base/files.h"

namespace millwright::algorithms {
namespace {

class ChannelFilesTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "channelXXXXXX";
        root_ = mkdtemp(pattern.data());
        channel_.path = root_ + "/train";
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(root_)); }
    Result<std::vector<std::string>> read_pipe(const std::string& bytes) {
        channel_.mode = "Pipe";
        EXPECT_EQ(mkfifo((channel_.path + "_0").c_str(), 0600), 0);
        EXPECT_TRUE(make_directories(root_ + "/scratch"));
        const std::jthread writer([&] { EXPECT_TRUE(write_file(channel_.path + "_0", bytes)); });
        return channel_files(channel_, kFirstPartyFolders, root_ + "/scratch");
    }
    std::string root_;
    Channel channel_;
};

TEST_F(ChannelFilesTest, APipeBecomesOneFile) {
    const std::string bytes(5'000'001, 'x');
    const auto files = read_pipe(bytes);
    ASSERT_TRUE(files) << files.error().message;
    ASSERT_EQ(files->size(), 1u);
    EXPECT_TRUE(*read_file(files->front()) == bytes);
}

TEST_F(ChannelFilesTest, AnEmptyEpochIsNoFile) { EXPECT_TRUE(read_pipe("")->empty()); }

TEST_F(ChannelFilesTest, OtherModesListTheFolder) {
    ASSERT_TRUE(make_directories(channel_.path));
    ASSERT_TRUE(write_file(channel_.path + "/a.csv", "1"));
    EXPECT_EQ(*channel_files(channel_, kFirstPartyFolders), std::vector<std::string>{channel_.path + "/a.csv"});
    channel_.mode = "FastFile";
    EXPECT_EQ(channel_files(channel_, kFirstPartyFolders)->size(), 1u);
    channel_.mode = "Pipe";
    EXPECT_EQ(channel_files(channel_, kFirstPartyFolders).error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace millwright::algorithms
