// What a failing or full disk does to the metadata store.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "base/files.h"
#include "metadata_store/database.h"
#include "metadata_store/failing_disk.h"
#include "metadata_store/maintenance.h"

namespace millwright::metadata_store {
namespace {

const std::vector<Migration> kSchema = {{"test 1: items", "CREATE TABLE item(id INTEGER PRIMARY KEY, bytes BLOB)"}};

class DiskFaultTest : public testing::Test {
  protected:
    const std::string folder_ = (access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : testing::TempDir()) +
                                "disk_fault_test." + std::to_string(getpid());
    const std::string path_ = folder_ + "/metadata.db";
    std::unique_ptr<Database> database_;

    void SetUp() override {
        use_failing_disk();
        heal_disk();
        ASSERT_TRUE(remove_tree(folder_));
        ASSERT_TRUE(make_directories(folder_));
    }
    void TearDown() override {
        database_.reset();
        heal_disk();
        ::umount2((folder_ + "/disk").c_str(), MNT_DETACH);  // of a test that failed
        ASSERT_TRUE(remove_tree(folder_));
    }
    Result<void> open(const Settings& settings = {.vfs = kFailingDisk}) {
        database_.reset();
        database_ = TRY(Database::open(path_, settings));
        return database_->migrate("test", kSchema);
    }
    Result<int64_t> insert(int64_t id, size_t bytes = 100, Space space = Space::Reserve) {
        return database_->write(
            [&](Transaction& tx) { return tx.run("INSERT INTO item VALUES(?,?)", id, Blob{std::string(bytes, 'x')}); },
            Durable::Now, space);
    }
    std::set<int64_t> stored() {
        std::set<int64_t> ids;
        const auto rows = database_->read([](Connection& c) { return c.query("SELECT id FROM item"); });
        EXPECT_TRUE(rows) << rows.error().detail;
        if (rows)
            for (const auto& row : *rows) ids.insert(row.integer(0));
        return ids;
    }
};

TEST_F(DiskFaultTest, AFailedSyncStopsAllWritesAndLeavesReadsAlone) {
    ASSERT_TRUE(open());
    ASSERT_TRUE(insert(1));
    let_disk_fail({.call = DiskCall::Sync, .file = DiskFile::Log});
    EXPECT_EQ(insert(2).error().kind, ErrorKind::Internal) << "nobody knows what became of it";
    // The next sync would succeed, and mean nothing.
    EXPECT_EQ(insert(3).error().kind, ErrorKind::Unavailable);
    EXPECT_EQ(failed_disk_calls(), 1);
    EXPECT_EQ(stored(), std::set<int64_t>{1});
    ASSERT_TRUE(open());
    EXPECT_TRUE(insert(4));
    EXPECT_EQ(stored().count(3), 0u);
    EXPECT_EQ(stored().count(4), 1u);
}

// Every write and every sync in turn, of the log and of the database (when the log is copied).
TEST_F(DiskFaultTest, WhatWasAcknowledgedOutlivesAnyFailure) {
    int runs = 0, failures = 0;
    for (const auto call : {DiskCall::Write, DiskCall::Sync})
        for (const auto file : {DiskFile::Log, DiskFile::Database})
            for (int n = 0; n < 500; n += n < 30 ? 1 : 41) {
                ASSERT_TRUE(remove_tree(folder_));
                ASSERT_TRUE(make_directories(folder_));
                std::set<int64_t> acknowledged;
                let_disk_fail({.call = call, .file = file, .after = n});
                const auto opened = open();
                // Large rows, so that the log is copied meanwhile.
                for (int64_t id = 0; opened && id < 12; ++id)
                    if (insert(id, 1 << 20)) acknowledged.insert(id);
                database_.reset();
                ++runs;
                failures += failed_disk_calls();
                const bool struck = failed_disk_calls() > 0;
                heal_disk();
                ASSERT_TRUE(open());
                const auto there = stored();
                for (const int64_t id : acknowledged)
                    ASSERT_TRUE(there.contains(id)) << "n=" << n << " call=" << static_cast<int>(call);
                ASSERT_TRUE(insert(1000));
                EXPECT_TRUE(check_database(path_)->empty());
                if (!struck) break;
            }
    std::printf("%d runs, %d failures, 0 acknowledged rows lost\n", runs, failures);
    EXPECT_GT(failures, 100);
}

TEST_F(DiskFaultTest, AFullDiskRefusesOneGroupAndNotTheNext) {
    ASSERT_TRUE(open());
    ASSERT_TRUE(insert(1));
    let_disk_fail({.call = DiskCall::Write, .file = DiskFile::Log, .full = true});
    EXPECT_EQ(insert(2).error().kind, ErrorKind::LimitExceeded);
    EXPECT_TRUE(insert(3));
    EXPECT_EQ(stored(), (std::set<int64_t>{1, 3}));
}

TEST_F(DiskFaultTest, TheLogHasItsBlocksBeforehandAndIsUsedAgain) {
    ASSERT_TRUE(open({.log_bytes = uint64_t{8} << 20}));
    const auto size = [&] { return std::filesystem::file_size(path_ + "-wal"); };
    EXPECT_EQ(size(), uint64_t{8} << 20);
    // Who copies it may not be given a processor for a while; then it grows.
    size_t stored_rows = 0;
    bool used_again = false;
    for (int round = 0; round < 10 && !used_again; ++round) {
        const uint64_t before = size();
        for (int i = 0; i < 600; ++i) ASSERT_TRUE(insert(static_cast<int64_t>(stored_rows++), 100'000));
        used_again = size() < before + (uint64_t{16} << 20);
    }
    EXPECT_TRUE(used_again) << "60 MB went through it in each round";
    database_.reset();
    EXPECT_EQ(size(), 0u);
    ASSERT_TRUE(open());
    EXPECT_EQ(stored().size(), stored_rows);
}

TEST_F(DiskFaultTest, OnAFullDiskThereIsRoomToDeleteAndNoneToAdd) {
    const std::string disk = folder_ + "/disk";
    ASSERT_TRUE(make_directories(disk));
    if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=16m") != 0)
        GTEST_SKIP() << "mounting a small file system needs root";
    {
        auto small = Database::open(disk + "/metadata.db",
                                    {.reserve_bytes = uint64_t{16} << 20, .log_bytes = uint64_t{16} << 20});
        ASSERT_TRUE(small);
        database_ = std::move(*small);
        ASSERT_TRUE(database_->migrate("test", kSchema));
        for (int64_t id = 0; id < 100; ++id) ASSERT_TRUE(insert(id, 1000, Space::Free));
        EXPECT_TRUE(file_exists(disk + "/reserve"));
        EXPECT_FALSE(database_->is_low_on_space());
        const std::string hog = disk + "/hog";
        {
            std::ofstream out(hog);
            const std::string block(64 << 10, 'h');
            while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) continue;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        EXPECT_EQ(insert(1000, 1000, Space::Free).error().kind, ErrorKind::LimitExceeded);
        EXPECT_TRUE(database_->is_low_on_space());
        EXPECT_FALSE(file_exists(disk + "/reserve"));
        // Whatever is freed is taken at once.
        {
            std::ofstream out(hog, std::ios::app);
            const std::string block(4096, 'h');
            while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) continue;
        }
        for (int64_t id = 0; id < 50; ++id) {
            const auto removed =
                database_->write([&](Transaction& tx) { return tx.run("DELETE FROM item WHERE id=?", id); });
            ASSERT_TRUE(removed) << removed.error().message << removed.error().detail;
        }
        EXPECT_EQ(stored().size(), 50u);
        EXPECT_EQ(insert(1001, 1000, Space::Free).error().kind, ErrorKind::LimitExceeded);
        ASSERT_EQ(::unlink(hog.c_str()), 0);
        for (int i = 0; i < 3000 && database_->is_low_on_space(); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        EXPECT_TRUE(file_exists(disk + "/reserve"));
        EXPECT_TRUE(insert(1002, 1000, Space::Free));
    }
    database_.reset();
    EXPECT_EQ(::umount(disk.c_str()), 0);
}

TEST_F(DiskFaultTest, CopiesADatabaseThatIsBeingWritten) {
    ASSERT_TRUE(open({}));
    // A row and its successor are written together, so a copy has both or none.
    std::jthread writer([&](const std::stop_token& stop) {
        for (int64_t id = 0; !stop.stop_requested(); id += 2)
            EXPECT_TRUE(database_->write([&](Transaction& tx) -> Result<void> {
                TRY(tx.run("INSERT INTO item VALUES(?,'a')", id));
                TRY(tx.run("INSERT INTO item VALUES(?,'b')", id + 1));
                return {};
            }));
    });
    for (int i = 0; i < 5; ++i) {
        const std::string copy = folder_ + "/copy" + std::to_string(i);
        ASSERT_TRUE(copy_database(path_, copy));
        EXPECT_EQ(copy_database(path_, copy).error().kind, ErrorKind::AlreadyExists);
        EXPECT_TRUE(check_database(copy)->empty());
        auto opened = Database::open(copy);
        ASSERT_TRUE(opened);
        const auto row = (*opened)->read([](Connection& c) { return c.query_one("SELECT count(*) FROM item"); });
        EXPECT_EQ((*row)->integer(0) % 2, 0);
    }
}

TEST_F(DiskFaultTest, ACheckFindsDamage) {
    ASSERT_TRUE(open({}));
    for (int64_t id = 0; id < 200; ++id) ASSERT_TRUE(insert(id, 3000));
    database_.reset();
    EXPECT_TRUE(check_database(path_)->empty());
    {
        std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(4096 * 20);
        file.write(std::string(4096, '\xff').data(), 4096);
    }
    const auto found = check_database(path_);
    EXPECT_TRUE(!found || !found->empty());
}

}  // namespace
}  // namespace millwright::metadata_store
