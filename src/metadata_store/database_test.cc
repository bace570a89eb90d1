#include "metadata_store/database.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include <thread>

#include <gtest/gtest.h>

#include "base/files.h"

namespace {
std::atomic<int> syncs{0};
}

// SQLite calls this one instead of libc's.
extern "C" int fdatasync(int fd) {
    ++syncs;
    return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace millwright::metadata_store {
namespace {

const std::vector<Migration> kSchema = {
    {"test 1: items", "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT UNIQUE, size REAL)"}};

class DatabaseTest : public testing::Test {
  protected:
    const std::string folder_ = testing::TempDir() + "database_test";
    const std::string path_ = folder_ + "/metadata.db";
    std::unique_ptr<Database> database_;

    void SetUp() override {
        ASSERT_TRUE(remove_tree(folder_));
        ASSERT_TRUE(make_directories(folder_));
        reopen();
    }
    void TearDown() override {
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }
    void reopen() {
        database_.reset();
        auto opened = Database::open(path_);
        ASSERT_TRUE(opened) << opened.error().detail;
        database_ = std::move(*opened);
        ASSERT_TRUE(database_->migrate("test", kSchema));
    }
    Result<int64_t> insert(const std::string& name) {
        return database_->write(
            [&](Transaction& tx) { return tx.run("INSERT INTO item(name,size) VALUES(?,?)", name, 0.5); });
    }
    int64_t count() {
        return database_->read([](Connection& c) { return c.query_one("SELECT count(*) FROM item"); })
            .value()
            ->integer(0);
    }
};

TEST_F(DatabaseTest, RowsSurviveReopening) {
    EXPECT_EQ(*insert("a"), 1);
    reopen();
    const auto row = database_->read([](Connection& c) { return c.query_one("SELECT name,size,NULL FROM item"); });
    EXPECT_EQ((*row)->text(0), "a");
    EXPECT_EQ((*row)->real(1), 0.5);
    EXPECT_TRUE((*row)->is_null(2));
}
TEST_F(DatabaseTest, AWriteThatIsDurableWithTheNextOneWaitsForNoDiskOfItsOwn) {
    const auto early = [&](const std::string& name) {
        return database_->write(
            [&](Transaction& tx) { return tx.run("INSERT INTO item(name,size) VALUES(?,1)", name); },
            Durable::WithNext);
    };
    ASSERT_TRUE(insert("a"));
    int before = syncs;
    EXPECT_EQ(*early("b"), 1);
    EXPECT_EQ(*early("c"), 1);
    EXPECT_EQ(syncs, before);
    EXPECT_EQ(count(), 3);
    before = syncs;
    EXPECT_TRUE(insert("d"));
    EXPECT_EQ(syncs, before + 1);
    reopen();
    EXPECT_EQ(count(), 4);
}
TEST_F(DatabaseTest, AWriteThatIsDurableWithTheNextOneOutlivesACrash) {
    const pid_t child = fork();
    if (child == 0) {
        const auto database = Database::open(path_ + "2").value();
        const bool good = database->migrate("test", kSchema) &&
                          database->write([](Transaction& tx) { return tx.run("INSERT INTO item(name) VALUES('x')"); },
                                          Durable::WithNext);
        kill(getpid(), good ? SIGKILL : SIGTERM);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    database_ = Database::open(path_ + "2").value();
    EXPECT_EQ(count(), 1);
}
TEST_F(DatabaseTest, AFailedWriterLeavesNothingAndHurtsNobodyElse) {
    ASSERT_TRUE(insert("a"));
    EXPECT_EQ(insert("a").error().kind, ErrorKind::AlreadyExists);
    const auto outcome = database_->write([](Transaction& tx) -> Result<void> {
        TRY(tx.run("INSERT INTO item(name) VALUES('b')"));
        return invalid_input("changed my mind");
    });
    EXPECT_EQ(outcome.error().message, "changed my mind");
    EXPECT_EQ(count(), 1);
}
TEST_F(DatabaseTest, ConcurrentWritersShareCommitsWithoutLosingAny) {
    std::vector<std::jthread> writers;
    for (int t = 0; t < 8; ++t)
        writers.emplace_back([this, t] {
            for (int i = 0; i < 50; ++i) ASSERT_TRUE(insert(std::to_string(t) + "-" + std::to_string(i)));
        });
    writers.clear();
    EXPECT_EQ(count(), 400);
}
TEST_F(DatabaseTest, RefusesADatabaseOfANewerVersion) {
    const auto outcome = database_->migrate("test", {});
    EXPECT_EQ(outcome.error().kind, ErrorKind::Conflict);
}
TEST_F(DatabaseTest, AcknowledgedRowsSurviveKillMinusNine) {
    database_.reset();
    int channel[2];
    ASSERT_EQ(pipe(channel), 0);
    const pid_t child = fork();
    if (child == 0) {
        auto database = *Database::open(path_);
        for (int i = 0;; ++i) {
            const auto written =
                database->write([&](Transaction& tx) { return tx.run("INSERT INTO item(name) VALUES(?)", i); });
            if (!written || write(channel[1], "x", 1) != 1) _exit(1);
        }
    }
    close(channel[1]);
    int64_t acknowledged = 0;
    char byte;
    while (acknowledged < 200 && read(channel[0], &byte, 1) == 1) ++acknowledged;
    kill(child, SIGKILL);
    while (read(channel[0], &byte, 1) == 1) ++acknowledged;
    close(channel[0]);
    waitpid(child, nullptr, 0);
    reopen();
    EXPECT_GE(count(), acknowledged);
    EXPECT_GE(acknowledged, 200);
}

}  // namespace
}  // namespace millwright::metadata_store
