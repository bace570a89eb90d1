#include "executors/contract/checkpoints.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executors/contract/contract_fixture.h"
#include "executors/contract/training_contract.h"

namespace millwright::executors {
namespace {

using namespace std::chrono_literals;
using Pass = CheckpointUploads::Pass;

class CheckpointsTest : public ContractTest {
  protected:
    void SetUp() override {
        ContractTest::SetUp();
        reopen();
    }
    // As a server that starts again.
    void reopen(uint64_t part_bytes = uint64_t{512} << 20) {
        CheckpointUploads::Run run{.uri = {"bucket", "c/"}, .folder = folder_, .hosts = 2};
        run.part_bytes = part_bytes;
        uploads_ = std::make_unique<CheckpointUploads>(*store_, run);
    }
    void restore() { ASSERT_TRUE(restore_checkpoints(*store_, {"bucket", "c/"}, folder_, 2, stop_)); }
    std::string path(int host, const std::string& name) {
        return folder_ + "/" + algo_name(host) + "/checkpoints/" + name;
    }
    void write(int host, const std::string& name, const std::string& bytes) {
        ASSERT_TRUE(write_file(path(host, name), bytes));
    }
    Result<void> look(std::chrono::milliseconds after = 1000ms) {
        now_ += after;
        return uploads_->pass(Pass::Running, now_, stop_);
    }
    Result<void> last() { return uploads_->pass(Pass::Last, now_, stop_); }
    std::vector<std::string> keys() {
        std::vector<std::string> found;
        EXPECT_TRUE(object_store::for_each_object(*store_, "bucket", "", [&](const auto& object) -> Result<void> {
            found.push_back(object.key);
            return {};
        }));
        return found;
    }

    std::atomic<bool> stop_{false};
    Monotonic now_{};
    std::unique_ptr<CheckpointUploads> uploads_;
};

using Strings = std::vector<std::string>;

TEST_F(CheckpointsTest, EveryHostBeginsWithACopyThatItMayChange) {
    put("c/a/model", "old");
    put("c/a.sagemaker-uploaded", "");
    put("cold/x", "beside the prefix");
    restore();
    EXPECT_EQ(*read_file(path(0, "a/model")), "old");
    const auto file = open_file(path(1, "a/model"), O_WRONLY);
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(file->get(), "new"));
    EXPECT_EQ(bytes_of("c/a/model"), "old");
    EXPECT_EQ(*read_file(path(0, "a/model")), "old");
    EXPECT_FALSE(file_exists(path(0, "a.sagemaker-uploaded")));
    EXPECT_FALSE(file_exists(path(0, "x")));
    ASSERT_TRUE(last());
    EXPECT_EQ(bytes_of("c/a/model"), "new");
}

TEST_F(CheckpointsTest, KeysThatWouldLeaveTheFolderAreRefused) {
    put("c/../../../escaped", "x");
    const auto restored = restore_checkpoints(*store_, {"bucket", "c/"}, folder_, 1, stop_);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().kind, ErrorKind::InvalidInput);
}

TEST_F(CheckpointsTest, AFileIsUploadedOnceItRests) {
    restore();
    write(0, "f", "half");
    ASSERT_TRUE(look());
    write(0, "f", "whole file");
    ASSERT_TRUE(look());
    EXPECT_EQ(keys(), Strings{});
    EXPECT_FALSE(file_exists(path(0, "f.sagemaker-uploading")));
    ASSERT_TRUE(look());
    EXPECT_EQ(bytes_of("c/f"), "whole file");
    EXPECT_TRUE(file_exists(path(0, "f.sagemaker-uploaded")));
    EXPECT_FALSE(file_exists(path(0, "f.sagemaker-uploading")));
}

TEST_F(CheckpointsTest, WhatIsTheSameIsNotUploadedAgainEvenByALaterServer) {
    put("c/restored", "r");
    restore();
    write(0, "f", "1");
    ASSERT_TRUE(look(0ms));
    ASSERT_TRUE(look());
    put("c/f", "written by somebody else");
    put("c/restored", "so is this");
    ASSERT_TRUE(look());
    reopen();
    ASSERT_TRUE(look());
    ASSERT_TRUE(look());
    ASSERT_TRUE(last());
    ASSERT_TRUE(last());
    EXPECT_EQ(bytes_of("c/f"), "written by somebody else");
    EXPECT_EQ(bytes_of("c/restored"), "so is this");
}

TEST_F(CheckpointsTest, TheLastPassTakesWhatChangedJustNow) {
    put("c/f", "old");
    restore();
    write(1, "f", "new");
    write(1, "g", "new");
    ASSERT_TRUE(last());
    EXPECT_EQ(bytes_of("c/f"), "new");
    EXPECT_EQ(keys(), (Strings{"c/f", "c/g"}));
}

TEST_F(CheckpointsTest, OfSeveralHostsTheNewestFileWins) {
    restore();
    write(0, "f", "of algo-1");
    write(1, "f", "of algo-2");
    const timespec times[2] = {{2'000'000'000, 0}, {2'000'000'000, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path(0, "f").c_str(), times, 0), 0);
    ASSERT_TRUE(last());
    EXPECT_EQ(bytes_of("c/f"), "of algo-1");
}

TEST_F(CheckpointsTest, DeletionsAreNotPropagatedAndLeaveNoMarkers) {
    put("c/f", "kept");
    restore();
    write(0, "g", "kept too");
    ASSERT_TRUE(look(0ms));
    ASSERT_TRUE(look());
    ASSERT_EQ(unlink(path(0, "g").c_str()), 0);
    ASSERT_EQ(unlink(path(0, "f").c_str()), 0);
    ASSERT_TRUE(look());
    EXPECT_FALSE(file_exists(path(0, "g.sagemaker-uploaded")));
    ASSERT_TRUE(last());
    EXPECT_EQ(keys(), (Strings{"c/f", "c/g"}));
}

TEST_F(CheckpointsTest, OnlyFilesOfTheFolderItselfAreUploaded) {
    ASSERT_TRUE(write_file(root_ + "/secret", "secret"));
    ASSERT_TRUE(make_directories(root_ + "/elsewhere"));
    ASSERT_TRUE(write_file(root_ + "/elsewhere/secret", "secret"));
    restore();
    ASSERT_EQ(symlink((root_ + "/secret").c_str(), path(0, "link").c_str()), 0);
    ASSERT_EQ(symlink((root_ + "/elsewhere").c_str(), path(0, "folder").c_str()), 0);
    ASSERT_EQ(mkfifo(path(0, "fifo").c_str(), 0644), 0);
    write(0, "f.sagemaker-ignore", "x");
    write(0, "f.sagemaker-uploading", "x");
    write(0, "good", "x");
    // A marker may not be written through what the job put in its place.
    ASSERT_EQ(symlink((root_ + "/made").c_str(), path(0, "good.sagemaker-uploading").c_str()), 0);
    ASSERT_EQ(symlink((root_ + "/made").c_str(), path(0, "good.sagemaker-uploaded").c_str()), 0);
    ASSERT_TRUE(look(0ms));
    ASSERT_TRUE(look());
    ASSERT_TRUE(last());
    EXPECT_EQ(keys(), Strings{"c/good"});
    EXPECT_FALSE(file_exists(root_ + "/made"));
}

TEST_F(CheckpointsTest, ANameThatIsNoKeyFailsWithoutHoldingUpTheOthers) {
    restore();
    write(0, "bad\xff", "x");
    write(0, "good", "x");
    ASSERT_TRUE(look(0ms));
    EXPECT_EQ(look().error().kind, ErrorKind::InvalidInput);
    EXPECT_TRUE(look());  // said once
    EXPECT_EQ(last().error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(keys(), Strings{"c/good"});
}

TEST_F(CheckpointsTest, LargeFilesGoInParts) {
    restore();
    reopen(uint64_t{5} << 20);
    std::string bytes(size_t{11} << 20, 'a');
    bytes.back() = 'z';
    write(0, "large", bytes);
    ASSERT_TRUE(last());
    EXPECT_EQ(store_->head("bucket", "c/large")->part_sizes.size(), 3u);
    EXPECT_TRUE(bytes_of("c/large") == bytes);
}

TEST_F(CheckpointsTest, AServerThatStopsUploadsNothingHalf) {
    restore();
    write(0, "f", "x");
    stop_ = true;
    EXPECT_EQ(last().error().kind, ErrorKind::Unavailable);
    stop_ = false;
    EXPECT_EQ(keys(), Strings{});
    ASSERT_TRUE(last());
    EXPECT_EQ(keys(), Strings{"c/f"});
}

TEST_F(CheckpointsTest, ALineOfTheRecordThatACrashCutOffIsNoDamage) {
    restore();
    write(0, "f", "x");
    ASSERT_TRUE(last());
    const auto record = open_file(folder_ + "/checkpoints.record", O_WRONLY | O_APPEND);
    ASSERT_TRUE(write_all(record->get(), "0 12 3"));
    reopen();
    write(0, "g", "x");
    ASSERT_TRUE(last());
    reopen();
    put("c/g", "written by somebody else");
    ASSERT_TRUE(last());
    EXPECT_EQ(bytes_of("c/g"), "written by somebody else");
}

TEST_F(CheckpointsTest, WithoutTheFolderItIsOurFault) { EXPECT_EQ(last().error().kind, ErrorKind::Internal); }

TEST_F(CheckpointsTest, HolesDoNotFillTheStore) {
    restore();
    write(0, "f", "x");
    ASSERT_EQ(truncate(path(0, "f").c_str(), off_t{1} << 40), 0);
    EXPECT_EQ(last().error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(keys(), Strings{});
}

class LiveOutputTest : public CheckpointsTest {
  protected:
    void SetUp() override {
        CheckpointsTest::SetUp();
        ASSERT_TRUE(make_directories(folder_ + "/algo-1/ml/output"));
        tensors_ = folder_ + "/algo-1/ml/output/tensors";
        reopen_live();
    }
    void reopen_live() {
        CheckpointUploads::Run run{.uri = {"bucket", "t/"}, .folder = folder_, .hosts = 1};
        run.inside = "ml/output/tensors";
        run.record = "live-0.record";
        run.live = true;
        uploads_ = std::make_unique<CheckpointUploads>(*store_, run);
    }
    std::string tensors_;
};

TEST_F(LiveOutputTest, AFolderThatAppearsLateIsUploadedWithoutMarkers) {
    ASSERT_TRUE(look());
    ASSERT_TRUE(make_directories(tensors_ + "/events"));
    ASSERT_TRUE(write_file(tensors_ + "/events/1", "x"));
    ASSERT_TRUE(look(0ms));
    ASSERT_TRUE(look());
    EXPECT_EQ(keys(), Strings{"t/events/1"});
    EXPECT_FALSE(file_exists(tensors_ + "/events/1.sagemaker-uploaded"));
    ASSERT_TRUE(remove_tree(tensors_));
    ASSERT_TRUE(look());
    ASSERT_TRUE(last());
    EXPECT_EQ(keys(), Strings{"t/events/1"});
}

TEST_F(LiveOutputTest, AFileThatNeverRestsIsUploadedNowAndThen) {
    ASSERT_TRUE(make_directories(tensors_));
    std::string bytes;
    for (int i = 0; i < 30; ++i) {
        ASSERT_TRUE(write_file(tensors_ + "/events", bytes += 'x'));
        ASSERT_TRUE(look(200ms));
    }
    const auto seen = bytes_of("t/events").size();
    EXPECT_GT(seen, 20u);
    EXPECT_LT(seen, 30u);
    ASSERT_TRUE(last());
    EXPECT_EQ(bytes_of("t/events"), bytes);
}

TEST_F(LiveOutputTest, ALinkInThePlaceOfTheFolderIsNotFollowed) {
    ASSERT_TRUE(make_directories(root_ + "/elsewhere"));
    ASSERT_TRUE(write_file(root_ + "/elsewhere/secret", "x"));
    ASSERT_EQ(symlink((root_ + "/elsewhere").c_str(), tensors_.c_str()), 0);
    ASSERT_TRUE(last());
    EXPECT_EQ(keys(), Strings{});
}

TEST_F(LiveOutputTest, AServerThatStartsAgainUploadsNothingTwice) {
    ASSERT_TRUE(make_directories(tensors_));
    ASSERT_TRUE(write_file(tensors_ + "/f", "x"));
    ASSERT_TRUE(last());
    put("t/f", "written by somebody else");
    reopen_live();
    ASSERT_TRUE(last());
    EXPECT_EQ(bytes_of("t/f"), "written by somebody else");
}

TEST(CheckpointPath, ReservedPlacesAreRefused) {
    EXPECT_EQ(*check_checkpoint_path("/opt/ml//checkpoints/"), "/opt/ml/checkpoints");
    EXPECT_EQ(*check_checkpoint_path("/state"), "/state");
    EXPECT_EQ(*check_checkpoint_path("/opt/ml/models"), "/opt/ml/models");
    for (const char* path :
         {"", "state", "/", "/opt", "/opt/ml", "/opt/ml/input", "/opt/ml/input/data/x", "/opt/ml/model",
          "/opt/ml/output/data", "/opt/ml/checkpoints/../input", "/state/.", "/usr/lib", "/etc", "/proc/1"}) {
        EXPECT_FALSE(check_checkpoint_path(path)) << path;
    }
}

}  // namespace
}  // namespace millwright::executors
