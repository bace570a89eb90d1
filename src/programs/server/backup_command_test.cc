#include "programs/server/backup_command.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "base/files.h"
#include "metadata_store/database.h"
#include "object_store/object_store.h"
#include "programs/server/check_command.h"

namespace millwright::programs {
namespace {

using object_store::ObjectStore;

class BackupTest : public testing::Test {
  protected:
    const std::string folder_ = testing::TempDir() + "backup_test." + std::to_string(::getpid());
    const std::string copy_ = folder_ + "/copy";
    Config config_, restored_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<ObjectStore> store_;

    void SetUp() override {
        config_.data_dir = folder_ + "/data";
        restored_.data_dir = copy_;
        ASSERT_TRUE(remove_tree(folder_));
        ASSERT_TRUE(make_directories(config_.data_dir + "/logs/aa"));
        ASSERT_TRUE(write_file(config_.data_dir + "/credentials.json", "secret", 0600));
        ASSERT_TRUE(write_file(config_.data_dir + "/logs/aa/stream", "lines"));
        open(config_);
        ASSERT_TRUE(store_->create_bucket("123456789012", "us-west-2", "bucket"));
    }
    void TearDown() override {
        close();
        ASSERT_TRUE(remove_tree(folder_));
    }
    void close() {
        store_.reset();
        database_.reset();
    }
    void open(const Config& config) {
        close();
        database_ = metadata_store::Database::open(config.data_dir + "/metadata.db").value();
        store_ = ObjectStore::open(config.data_dir + "/objects", *database_, system_clock(), system_random()).value();
    }
    Result<object_store::ObjectInfo> put(const std::string& key, const std::string& bytes) {
        return store_->put("bucket", key, {}, object_store::source_of(bytes));
    }
    std::string content(const std::string& key) {
        const auto object = store_->get("bucket", key);
        return object ? object->read_all().value_or("unreadable") : "missing";
    }
    std::string some_file() {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(config_.data_dir + "/objects"))
            if (entry.is_regular_file() && entry.path().filename() != "lock") return entry.path().string();
        return "";
    }
};

TEST_F(BackupTest, ABackupHasEverythingAndAServerStartsFromIt) {
    ASSERT_TRUE(put("small", "few"));
    ASSERT_TRUE(put("large", std::string(100'000, 'l')));
    const auto upload = store_->create_upload("bucket", "parts", {});
    ASSERT_TRUE(upload);
    const std::string part(6 << 20, 'p');
    const auto first =
        store_->upload_part("bucket", "parts", upload->id, 1, {.length = part.size()}, object_store::source_of(part));
    ASSERT_TRUE(first);
    const auto text = make_backup(config_, {.destination = copy_});
    ASSERT_TRUE(text) << text.error().message << text.error().detail;
    EXPECT_NE(text->find("2 objects"), std::string::npos) << *text;
    EXPECT_EQ(make_backup(config_, {.destination = copy_}).error().kind, ErrorKind::AlreadyExists);
    EXPECT_EQ(make_backup(config_, {.destination = config_.data_dir + "/b"}).error().kind, ErrorKind::InvalidInput);
    // What happens to the original does not touch the copy, and an upload goes on in both.
    ASSERT_TRUE(store_->remove("bucket", std::vector<object_store::Removal>{{"small"}, {"large"}}));
    const std::string other(6 << 20, 'o');
    ASSERT_TRUE(store_->upload_part("bucket", "parts", upload->id, 2, {.length = other.size()},
                                    object_store::source_of(other)));
    close();
    ASSERT_TRUE(remove_tree(config_.data_dir));
    open(restored_);
    EXPECT_EQ(content("small"), "few");
    EXPECT_EQ(content("large"), std::string(100'000, 'l'));
    EXPECT_EQ(*read_file(copy_ + "/credentials.json"), "secret");
    EXPECT_EQ(*read_file(copy_ + "/logs/aa/stream"), "lines");
    struct stat status {};
    ASSERT_EQ(::stat((copy_ + "/credentials.json").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    const std::vector<object_store::CompletedPart> parts{{1, first->etag, {}}};
    ASSERT_TRUE(store_->complete_upload("bucket", "parts", upload->id, parts, {}));
    EXPECT_EQ(content("parts"), part);
}

TEST_F(BackupTest, IsConsistentWhileObjectsAreOverwrittenAndDeleted) {
    std::atomic<int> round{0};
    // Both keys are written in this order, so a copy may have one more of "a" at most.
    std::jthread writer([&](const std::stop_token& stop) {
        for (int i = 1; !stop.stop_requested(); ++i) {
            for (const std::string key : {"a", "b"})
                EXPECT_TRUE(put(key, std::to_string(i) + std::string(20'000, 'x')));
            EXPECT_TRUE(put("gone-" + std::to_string(i), std::string(20'000, 'y')));
            EXPECT_TRUE(store_->remove("bucket", std::vector<object_store::Removal>{{"gone-" + std::to_string(i)}}));
            round = i;
        }
    });
    while (round < 3) std::this_thread::yield();
    for (int i = 0; i < 5; ++i) {
        Config copy;
        copy.data_dir = folder_ + "/copy" + std::to_string(i);
        const auto made = make_backup(config_, {.destination = copy.data_dir});
        ASSERT_TRUE(made) << made.error().message << made.error().detail;
        const auto report = check_data_directory(copy, {.deep = true});
        ASSERT_TRUE(report);
        EXPECT_TRUE(report->sound) << report->text;
    }
    writer.request_stop();
    writer.join();
    // What could not be removed during a backup is removed after it.
    open(config_);
    ASSERT_TRUE(store_->remove_orphans());
    close();
    const auto report = check_data_directory(config_, {.deep = true});
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->sound) << report->text;
}

TEST_F(BackupTest, ACheckTellsWhatIsWrong) {
    ASSERT_TRUE(put("large", std::string(100'000, 'l')));
    ASSERT_TRUE(put("small", "few"));
    close();
    EXPECT_TRUE(check_data_directory(config_, {.deep = true})->sound);
    const std::string file = some_file();
    ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
    ASSERT_TRUE(write_file(file, std::string(100'000, 'm')));
    EXPECT_TRUE(check_data_directory(config_, {})->sound) << "the size is right";
    const auto deep = check_data_directory(config_, {.deep = true});
    EXPECT_FALSE(deep->sound);
    EXPECT_NE(deep->text.find("s3://bucket/large: its bytes have another MD5"), std::string::npos) << deep->text;
    EXPECT_TRUE(make_backup(config_, {.destination = copy_})) << "sizes are right";
    ASSERT_TRUE(remove_tree(copy_));
    ASSERT_EQ(::unlink(file.c_str()), 0);
    const auto missing = check_data_directory(config_, {});
    EXPECT_FALSE(missing->sound);
    EXPECT_NE(missing->text.find("its file is missing"), std::string::npos) << missing->text;
    EXPECT_FALSE(make_backup(config_, {.destination = copy_}));
    EXPECT_FALSE(file_exists(copy_));
    EXPECT_FALSE(file_exists(copy_ + ".unfinished"));
}

TEST_F(BackupTest, ACheckRemovesOrphansOnlyWithoutAServer) {
    close();
    const std::string orphan = config_.data_dir + "/objects/0f/0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";
    ASSERT_TRUE(write_file(orphan, "half"));
    EXPECT_FALSE(check_data_directory(config_, {})->sound);
    {
        const auto lock = open_file(config_.data_dir + "/lock", O_RDWR | O_CREAT);
        ASSERT_EQ(::flock(lock->get(), LOCK_EX), 0);
        EXPECT_TRUE(check_data_directory(config_, {})->sound) << "a server may be writing it";
        EXPECT_EQ(check_data_directory(config_, {.repair_orphans = true}).error().kind, ErrorKind::Conflict);
    }
    EXPECT_TRUE(check_data_directory(config_, {.repair_orphans = true})->sound);
    EXPECT_FALSE(file_exists(orphan));
}

}  // namespace
}  // namespace millwright::programs
