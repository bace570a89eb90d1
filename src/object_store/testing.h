// A store in a temporary folder, for the tests of this module.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/files.h"
#include "object_store/file_store.h"
#include "object_store/object_store.h"

namespace millwright::object_store {

class SettableClock final : public Clock {
  public:
    Timestamp now() const override { return Timestamp(std::chrono::milliseconds(now_ms.load())); }
    Monotonic monotonic() const override { return Monotonic(std::chrono::milliseconds(now_ms.load())); }
    std::atomic<int64_t> now_ms{1'700'000'000'000};
};

// In memory where there is such a file system: waiting for the disk proves nothing here.
inline std::string test_folder(const std::string& name) {
    const std::string base = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : testing::TempDir();
    return base + name + "." + std::to_string(::getpid());
}

class StoreTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = test_folder("object_store_test");
        ASSERT_TRUE(remove_tree(folder_));
        ASSERT_TRUE(make_directories(folder_));
        reopen();
        ASSERT_TRUE(store_->create_bucket("123456789012", "us-west-2", "bucket"));
    }
    void TearDown() override {
        store_.reset();
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }
    // As after a restart of the server.
    void reopen() {
        store_.reset();
        database_.reset();
        auto database = metadata_store::Database::open(folder_ + "/metadata.db");
        ASSERT_TRUE(database) << database.error().detail;
        database_ = std::move(*database);
        auto opened = ObjectStore::open(folder_ + "/objects", *database_, clock_, system_random());
        ASSERT_TRUE(opened) << opened.error().detail;
        store_ = std::move(*opened);
    }
    Result<ObjectInfo> put(const std::string& key, std::string_view bytes, const PutOptions& options = {}) {
        return store_->put("bucket", key, options, source_of(bytes));
    }
    std::string content(const OpenObject& object) {
        auto bytes = object.read_all();
        return bytes ? *std::move(bytes) : "unreadable: " + bytes.error().detail;
    }
    std::string content(const std::string& key) {
        const auto object = store_->get("bucket", key);
        return object ? content(*object) : "no such object: " + object.error().detail;
    }
    // How many bodies there are, in files and in the metadata store.
    size_t bodies() const {
        const auto small = database_->read([](metadata_store::Connection& connection) {
            return connection.query_one("SELECT count(*) FROM small_bytes");
        });
        EXPECT_TRUE(small);
        return files().size() + static_cast<size_t>((*small)->integer(0));
    }
    // Every data file below the store's folder.
    std::vector<std::string> files() const {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/objects"))
            if (!entry.is_directory() && entry.path().filename() != kRemovalLock)
                found.push_back(entry.path().string());
        return found;
    }

    std::string folder_;
    SettableClock clock_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<ObjectStore> store_;
};

}  // namespace millwright::object_store
