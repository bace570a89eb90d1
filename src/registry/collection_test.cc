#include <thread>

#include "registry/testing.h"

namespace millwright::registry {
namespace {

using std::chrono::hours;

class CollectionTest : public RegistryTest {
  protected:
    Collected collect() {
        const auto collected = registry_->collect_garbage();
        EXPECT_TRUE(collected) << collected.error().detail;
        return collected ? *collected : Collected{};
    }
    // Garbage is found by its age; files are as old as they are.
    void make_old() { pass(hours(25)); }
};

TEST_F(CollectionTest, KeepsWhatImagesHave) {
    const auto digest = push({"one", "two"}, "v1");
    make_old();
    EXPECT_EQ(collect().blobs, 0u);
    EXPECT_EQ(content(sha256_of("one")), "one");
    ASSERT_TRUE(registry_->remove_image(repository_, digest, Registry::Referenced::Allow));
    const auto collected = collect();
    EXPECT_EQ(collected.blobs, 3u);
    EXPECT_EQ(collected.bytes, 8u);
    EXPECT_EQ(files(), 0u);
    EXPECT_EQ(why(registry_->open_blob_file(repository_, sha256_of("one"))), "NotFound blob");
}

TEST_F(CollectionTest, LeavesLayersThatAreBeingPushed) {
    push_blob("layer");
    pass(hours(23));
    EXPECT_EQ(collect().blobs, 0u);
    // A client that asks will not push it again.
    ASSERT_TRUE(registry_->find_blob(repository_, sha256_of("layer")));
    pass(hours(23));
    EXPECT_EQ(collect().blobs, 0u);
    EXPECT_EQ(content(sha256_of("layer")), "layer");
    pass(hours(2));
    EXPECT_EQ(collect().blobs, 1u);
    EXPECT_EQ(why(registry_->find_blob(repository_, sha256_of("layer"))), "NotFound blob");
    EXPECT_EQ(files(), 0u);
}

TEST_F(CollectionTest, TakesTheLayersOfARemovedImageSoon) {
    const auto digest = push({"one", "two"}, "v1");
    ASSERT_TRUE(registry_->remove_image(repository_, digest, Registry::Referenced::Allow));
    EXPECT_EQ(collect().blobs, 0u) << "somebody may just be pushing an image with them";
    pass(std::chrono::minutes(14));
    ASSERT_TRUE(registry_->find_blob(repository_, sha256_of("two")));
    pass(std::chrono::minutes(2));
    EXPECT_EQ(collect().blobs, 2u);
    EXPECT_EQ(content(sha256_of("two")), "two") << "it was asked for";
    pass(hours(25));
    EXPECT_EQ(collect().blobs, 1u);
}

TEST_F(CollectionTest, LayersAreSharedByRepositories) {
    const RepositoryName other{"210987654321", "us-west-2", "other"};
    ASSERT_TRUE(registry_->create_repository(other, false));
    push_blob("layer");
    EXPECT_EQ(why(registry_->find_blob(other, sha256_of("layer"))), "NotFound blob") << "not seen before it is mounted";
    EXPECT_EQ(why(registry_->mount_blob(other, sha256_of("none"), repository_)), "NotFound blob");
    ASSERT_TRUE(registry_->mount_blob(other, sha256_of("layer"), repository_));
    EXPECT_EQ(files(), 1u);
    ASSERT_TRUE(registry_->remove_blob(repository_, sha256_of("layer")));
    collect();
    EXPECT_EQ(why(registry_->find_blob(repository_, sha256_of("layer"))), "NotFound blob");
    EXPECT_EQ(registry_->find_blob(other, sha256_of("layer"))->size, 5u);
    ASSERT_TRUE(registry_->put_blob(repository_, sha256_of("layer"), source_of("layer")));
    EXPECT_EQ(files(), 1u) << "one file for all";
    ASSERT_TRUE(registry_->remove_repository(other, Registry::Contents::Remove));
    collect();
    EXPECT_EQ(content(sha256_of("layer")), "layer");
}

TEST_F(CollectionTest, LayersOfImagesAreNotRemoved) {
    push({"one"}, "v1");
    EXPECT_EQ(why(registry_->remove_blob(repository_, sha256_of("one"))), "Conflict blob in use");
    EXPECT_EQ(why(registry_->remove_blob(repository_, sha256_of("two"))), "NotFound blob");
}

TEST_F(CollectionTest, PushingAgainHealsALostFile) {
    const auto digest = push_blob("layer");
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/registry"))
        if (!entry.is_directory() && entry.path().filename() != object_store::kRemovalLock)
            std::filesystem::remove(entry.path());
    EXPECT_EQ(registry_->open_blob_file(repository_, digest).error().kind, ErrorKind::Internal);
    push_blob("layer");
    EXPECT_EQ(content(digest), "layer");
    EXPECT_EQ(files(), 1u);
}

TEST_F(CollectionTest, ForgetsUploadsNobodyContinues) {
    const auto upload = registry_->begin_upload(repository_);
    ASSERT_TRUE(registry_->append(repository_, upload->id, {}, source_of("bytes")));
    clock_.now_ms = to_epoch_milliseconds(system_clock().now());
    EXPECT_EQ(collect().uploads, 0u) << "just written to, though begun long ago";
    make_old();
    EXPECT_EQ(collect().uploads, 1u);
    EXPECT_EQ(why(registry_->find_upload(repository_, upload->id)), "NotFound upload");
    EXPECT_EQ(files(), 0u);
}

TEST_F(CollectionTest, RemovesFilesThatACrashLeft) {
    const auto digest = push({"one"}, "v1");
    ASSERT_TRUE(registry_->begin_upload(repository_));
    const std::string orphan = folder_ + "/registry/ab/ab" + std::string(30, '0');
    ASSERT_TRUE(write_file(orphan, "left"));
    ASSERT_TRUE(write_file(folder_ + "/registry/ab/something else", "no file of ours"));
    reopen({});
    while (file_exists(orphan)) std::this_thread::yield();
    EXPECT_EQ(content(sha256_of("one")), "one");
    EXPECT_EQ(files(), 4u) << "two blobs, an upload, and what is not ours";
    EXPECT_TRUE(registry_->find_image(repository_, {"", digest}));
}

// A push and the collector at the same time: an image that was acknowledged has all its layers, whatever came first.
TEST_F(CollectionTest, NeverTakesALayerFromAnImage) {
    reopen({.grace = std::chrono::milliseconds(0), .pause = std::chrono::milliseconds(0)});
    std::atomic<bool> done = false;
    std::jthread collector([&] {
        while (!done) {
            pass(std::chrono::milliseconds(1));
            collect();
        }
    });
    int pushed = 0, refused = 0;
    for (int i = 0; i < 200; ++i) {
        const std::string layer = "layer " + std::to_string(i);
        for (const std::string_view bytes : {std::string_view("{}"), std::string_view(layer)})
            ASSERT_TRUE(registry_->put_blob(repository_, sha256_of(bytes), source_of(bytes)));
        const auto put = registry_->put_image(repository_, manifest_of({layer}).dump(), {.tag = "v"});
        if (put) {
            ++pushed;
            ASSERT_EQ(content(sha256_of(layer)), layer);
        } else {
            ++refused;
            ASSERT_EQ(why(put), "InvalidInput missing blob");
        }
    }
    done = true;
    collector.join();
    const auto images = registry_->list_images(repository_, {});
    for (const auto& image : *images) {
        const auto stored = registry_->find_image(repository_, {"", image.digest});
        const auto manifest = oci::parse_manifest(stored->text);
        EXPECT_EQ(sha256_of(content(manifest->layers.at(0).digest)), manifest->layers.at(0).digest);
    }
    EXPECT_EQ(pushed + refused, 200);
    EXPECT_GT(pushed, 0);
}

}  // namespace
}  // namespace millwright::registry
