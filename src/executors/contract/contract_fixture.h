// A real object store in a temporary folder, for the tests of this module.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/files.h"
#include "base/random.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "object_store/object_store.h"

namespace millwright::executors {

class ContractTest : public ::testing::Test {
  protected:
    void SetUp() override {
        // In memory where there is such a file system: waiting for the disk proves nothing here.
        std::string pattern = (access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : ::testing::TempDir()) + "contractXXXXXX";
        root_ = mkdtemp(pattern.data());
        database_ = std::move(metadata_store::Database::open(root_ + "/db")).value();
        store_ =
            std::move(object_store::ObjectStore::open(root_ + "/objects", *database_, system_clock(), system_random()))
                .value();
        ASSERT_TRUE(store_->create_bucket("123456789012", "us-west-2", "bucket"));
        folder_ = root_ + "/run";
        ASSERT_TRUE(make_directories(folder_));
    }
    void TearDown() override {
        store_.reset();
        database_.reset();
        EXPECT_TRUE(remove_tree(root_));
    }
    void put(const std::string& key, const std::string& bytes) {
        ASSERT_TRUE(store_->put("bucket", key, {}, object_store::source_of(bytes)));
    }
    std::string bytes_of(const std::string& key) {
        const auto object = store_->get("bucket", key);
        if (!object) return "(missing)";
        return std::move(object->read_all()).value_or("(unreadable)");
    }

    std::string root_, folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<object_store::ObjectStore> store_;
};

}  // namespace millwright::executors
