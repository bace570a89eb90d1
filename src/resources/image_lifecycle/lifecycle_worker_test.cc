#include "resources/image_lifecycle/lifecycle_worker.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/digest.h"
#include "metadata_store/database.h"

namespace millwright::resources {
namespace {

using namespace std::chrono_literals;
using registry::RepositoryName;

class TestClock final : public Clock {
  public:
    Timestamp now() const override { return time; }
    Monotonic monotonic() const override { return {}; }
    Timestamp time = from_epoch_milliseconds(1'800'000'000'000);
};

class ImageLifecycleWorkerTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_image_lifecycle_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        registry_ = registry::Registry::open(folder_ + "/registry", *database_, clock_, system_random(),
                                             {.pause = std::chrono::milliseconds(0)})
                        .value();
        ASSERT_TRUE(registry_->create_repository(repository_, false));
    }
    void TearDown() override {
        registry_.reset();
        database_.reset();
        std::filesystem::remove_all(folder_);
    }

    // An image without layers; `text` makes it another one.
    std::string push(const std::string& text, const std::string& tag = "") {
        const std::string config = R"({"config":{},"note":")" + text + "\"}";
        const std::string digest = "sha256:" + sha256_hex(config);
        size_t at = 0;
        const auto blob = registry_->put_blob(repository_, digest, [&](std::span<char> buffer) -> Result<size_t> {
            const size_t count = config.copy(buffer.data(), buffer.size(), at);
            at += count;
            return count;
        });
        EXPECT_TRUE(blob);
        return put(
            R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":)"
            R"("application/vnd.oci.image.config.v1+json","digest":")" +
                digest + R"(","size":)" + std::to_string(config.size()) + R"(},"layers":[]})",
            tag);
    }
    std::string push_index(const std::string& child, size_t bytes, const std::string& tag) {
        return put(
            R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":)"
            R"("application/vnd.oci.image.manifest.v1+json","digest":")" +
                child + R"(","size":)" + std::to_string(bytes) + "}]}",
            tag);
    }
    std::string put(const std::string& manifest, const std::string& tag) {
        registry::PutOptions options;
        options.tag = tag;
        const auto put = registry_->put_image(repository_, manifest, options);
        EXPECT_TRUE(put) << (put ? "" : put.error().message);
        return put ? put->image.digest : "";
    }
    void set_policy(const std::string& selection) {
        const std::string text =
            R"({"rules":[{"rulePriority":1,"selection":{)" + selection + R"(},"action":{"type":"expire"}}]})";
        ASSERT_TRUE(registry_->set_document(repository_, kLifecyclePolicy, text));
    }
    std::set<std::string> left() {
        std::set<std::string> digests;
        const auto images = registry_->list_images(repository_, {}).value();
        for (const auto& image : images) digests.insert(image.digest);
        return digests;
    }
    ImageLifecycleWorker worker() { return {*registry_, clock_, {}}; }

    std::string folder_;
    TestClock clock_;
    const RepositoryName repository_{"123456789012", "us-west-2", "team/image"};
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<registry::Registry> registry_;
};

const char* const kOlderThanTwoDays =
    R"("tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":2)";

TEST_F(ImageLifecycleWorkerTest, ImagesGoWhenTheirTimeHasCome) {
    const auto old = push("old", "v1");
    clock_.time += 36h;
    const auto young = push("young");
    EXPECT_EQ(worker().round().value(), 0U);  // no policy yet
    EXPECT_FALSE(last_lifecycle_round(*registry_, repository_).value());
    set_policy(kOlderThanTwoDays);
    EXPECT_EQ(worker().round().value(), 0U);
    clock_.time += 13h;
    EXPECT_EQ(worker().round().value(), 1U);
    EXPECT_EQ(left(), std::set<std::string>{young});
    EXPECT_EQ(last_lifecycle_round(*registry_, repository_).value(), clock_.time);
    EXPECT_EQ(registry_->find_image(repository_, {"v1", ""}).error().kind, ErrorKind::NotFound);
}

TEST_F(ImageLifecycleWorkerTest, WhatAnIndexNamesGoesAfterTheIndex) {
    const auto child = push("child");
    const auto bytes = registry_->find_image(repository_, {"", child})->text.size();
    const auto index = push_index(child, bytes, "all");
    EXPECT_TRUE(lifecycle_images(*registry_, repository_).value().size() == 2);
    set_policy(kOlderThanTwoDays);
    clock_.time += 49h;
    EXPECT_EQ(worker().round().value(), 1U);
    EXPECT_EQ(left(), std::set<std::string>{child});
    EXPECT_EQ(worker().round().value(), 1U);
    EXPECT_TRUE(left().empty());
}

TEST_F(ImageLifecycleWorkerTest, EveryRepositoryIsLookedAt) {
    constexpr int kRepositories = 520;  // more than one page
    set_policy(R"("tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1)");
    for (int i = 0; i < kRepositories; ++i)
        ASSERT_TRUE(registry_->create_repository({"123456789012", "us-west-2", "r" + std::to_string(i)}, false));
    const RepositoryName last{"123456789012", "eu-west-1", "last"};
    ASSERT_TRUE(registry_->create_repository(last, false));
    ASSERT_TRUE(
        registry_->set_document(last, kLifecyclePolicy, registry_->document(repository_, kLifecyclePolicy).value()));
    EXPECT_TRUE(worker().round());
    EXPECT_TRUE(last_lifecycle_round(*registry_, last).value());
}

}  // namespace
}  // namespace millwright::resources
