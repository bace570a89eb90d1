#include "metadata_store/reserve.h"

#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <thread>

#include <gtest/gtest.h>

#include "base/files.h"

namespace millwright::metadata_store {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kDisk = 16 * kMiB, kReserve = kDisk / 16;

// A file system of its own, so small that it is soon full.
class ReserveTest : public testing::Test {
  protected:
    const std::string disk_ = testing::TempDir() + "reserve_test." + std::to_string(getpid());
    const std::string path_ = disk_ + "/reserve";

    void SetUp() override {
        ASSERT_TRUE(make_directories(disk_));
        if (::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=16m") != 0)
            GTEST_SKIP() << "mounting a small file system needs root";
    }
    void TearDown() override {
        ::umount(disk_.c_str());
        ASSERT_TRUE(remove_tree(disk_));
    }
    uint64_t free() const {
        struct statvfs status {};
        EXPECT_EQ(::statvfs(disk_.c_str(), &status), 0);
        return uint64_t{status.f_bavail} * status.f_frsize;
    }
    void leave(uint64_t bytes) { ASSERT_TRUE(write_file(disk_ + "/hog", std::string(free() - bytes, 'h'), 0600)); }
};

TEST_F(ReserveTest, HoldsBackASixteenthOfASmallDisk) {
    const Reserve reserve(path_, kDisk);
    EXPECT_FALSE(reserve.low());
    EXPECT_EQ(free(), kDisk - kReserve);
}

TEST_F(ReserveTest, NobodyFindsTheDiskFullBecauseTheReserveIsTried) {
    leave(kReserve / 2);
    std::atomic<int> refused = 0, written = 0;
    {
        const std::jthread neighbour([&](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                if (!write_file(disk_ + "/small", "x", 0600)) ++refused;
                ++written;
            }
        });
        while (written == 0) std::this_thread::yield();
        for (int i = 0; i < 200; ++i) EXPECT_TRUE(Reserve(path_, kDisk).low());
    }
    EXPECT_EQ(refused, 0) << "of " << written;
    EXPECT_FALSE(file_exists(path_));
}

TEST_F(ReserveTest, AReserveThatIsThereIsKeptWithLittleElseAndGivenUpWithNothing) {
    ASSERT_FALSE(Reserve(path_, kDisk).low());
    leave(kReserve / 3);
    EXPECT_FALSE(Reserve(path_, kDisk).low());
    ASSERT_TRUE(write_file(disk_ + "/more", std::string(free(), 'm'), 0600));
    const Reserve reserve(path_, kDisk);
    EXPECT_TRUE(reserve.low());
    EXPECT_EQ(free(), kReserve);
}

TEST_F(ReserveTest, IsMadeAgainWhenThereIsRoomForItAndHalfAsMuch) {
    leave(kReserve * 5 / 4);
    Reserve reserve(path_, kDisk);
    EXPECT_TRUE(reserve.low());
    ASSERT_EQ(::unlink((disk_ + "/hog").c_str()), 0);
    leave(kReserve * 7 / 4);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    reserve.look();
    EXPECT_FALSE(reserve.low());
    EXPECT_EQ(free(), kReserve * 3 / 4);
}

}  // namespace
}  // namespace millwright::metadata_store
