// A registry in a temporary folder, and images to push, for the tests of this module and of its services.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/files.h"
#include "object_store/file_store.h"
#include "object_store/testing.h"
#include "oci/image.h"
#include "registry/registry.h"

namespace millwright::registry {

inline Source source_of(std::string_view bytes) {
    return [bytes](std::span<char> buffer) mutable -> Result<size_t> {
        const size_t count = bytes.copy(buffer.data(), buffer.size());
        bytes.remove_prefix(count);
        return count;
    };
}

inline std::string sha256_of(std::string_view bytes) { return "sha256:" + sha256_hex(bytes); }

inline Json descriptor(const std::string& media_type, std::string_view bytes) {
    return Json::object({{"mediaType", media_type}, {"digest", sha256_of(bytes)}, {"size", uint64_t{bytes.size()}}});
}

// A manifest of these layers with the configuration "{}".
inline Json manifest_of(const std::vector<std::string>& layers) {
    Json list = Json::array();
    for (const auto& layer : layers) list.push_back(descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer));
    return Json::object({{"schemaVersion", 2},
                         {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                         {"config", descriptor("application/vnd.oci.image.config.v1+json", "{}")},
                         {"layers", std::move(list)}});
}

class RegistryTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = object_store::test_folder("registry_test");
        ASSERT_TRUE(remove_tree(folder_));
        ASSERT_TRUE(make_directories(folder_));
        reopen();
        ASSERT_TRUE(registry_->create_repository(repository_, false));
    }
    void TearDown() override {
        registry_.reset();
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }
    // As after a restart of the server.
    void reopen(Settings settings = {.pause = std::chrono::milliseconds(0)}) {
        registry_.reset();
        database_.reset();
        auto database = metadata_store::Database::open(folder_ + "/metadata.db");
        ASSERT_TRUE(database) << database.error().detail;
        database_ = std::move(*database);
        auto opened = Registry::open(folder_ + "/registry", *database_, clock_, system_random(), settings);
        ASSERT_TRUE(opened) << opened.error().detail;
        registry_ = std::move(*opened);
    }
    std::string push_blob(std::string_view bytes) {
        const auto blob = registry_->put_blob(repository_, sha256_of(bytes), source_of(bytes));
        EXPECT_TRUE(blob) << blob.error().message;
        return sha256_of(bytes);
    }
    // An image with its blobs; its digest.
    std::string push(const std::vector<std::string>& layers, const std::string& tag) {
        push_blob("{}");
        for (const auto& layer : layers) push_blob(layer);
        const auto put = registry_->put_image(repository_, manifest_of(layers).dump(), {.tag = tag});
        EXPECT_TRUE(put) << put.error().message;
        return put ? put->image.digest : "";
    }
    std::string content(const std::string& digest) {
        const auto blob = registry_->open_blob_file(repository_, digest);
        if (!blob) return "no such blob: " + blob.error().detail;
        std::string bytes(blob->info.size, '\0');
        EXPECT_EQ(::pread(blob->fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
        return bytes;
    }
    size_t files() const {
        size_t count = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/registry"))
            if (!entry.is_directory() && entry.path().filename() != object_store::kRemovalLock) ++count;
        return count;
    }
    void pass(std::chrono::milliseconds time) { clock_.now_ms += time.count(); }

    std::string folder_;
    object_store::SettableClock clock_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Registry> registry_;
    const RepositoryName repository_{"123456789012", "us-west-2", "team/image"};
};

template <typename T>
std::string why(const Result<T>& result) {
    return result ? "it worked" : std::string(to_string(result.error().kind)) + " " + result.error().detail;
}

}  // namespace millwright::registry
