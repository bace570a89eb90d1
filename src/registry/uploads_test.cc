#include <atomic>
#include <thread>

#include "registry/testing.h"

namespace millwright::registry {
namespace {

class UploadsTest : public RegistryTest {
  protected:
    std::string begin() {
        const auto upload = registry_->begin_upload(repository_);
        EXPECT_TRUE(upload);
        return upload->id;
    }
    Result<UploadInfo> append(const std::string& id, std::string_view bytes, const Registry::Piece& piece = {}) {
        return registry_->append(repository_, id, piece, source_of(bytes));
    }
    Result<BlobInfo> complete(const std::string& id, const std::string& digest, std::string_view last = "") {
        return registry_->complete_upload(repository_, id, digest, {}, source_of(last));
    }
};

TEST_F(UploadsTest, MakesABlobOfItsPieces) {
    const auto id = begin();
    EXPECT_EQ(append(id, "one ")->offset, 4u);
    EXPECT_EQ(append(id, "two ", {4, 4})->offset, 8u);
    EXPECT_EQ(registry_->find_upload(repository_, id)->offset, 8u);
    const auto blob = complete(id, sha256_of("one two three"), "three");
    ASSERT_TRUE(blob) << blob.error().message;
    EXPECT_EQ(blob->size, 13u);
    EXPECT_EQ(content(blob->digest), "one two three");
    EXPECT_EQ(why(registry_->find_upload(repository_, id)), "NotFound upload");
    EXPECT_EQ(why(complete(id, blob->digest)), "NotFound upload");
}

TEST_F(UploadsTest, OfNothingIsABlobToo) {
    const auto blob = complete(begin(), sha256_of(""));
    ASSERT_TRUE(blob) << blob.error().message;
    EXPECT_EQ(content(blob->digest), "");
}

TEST_F(UploadsTest, KnowsItsPlaceAndItsLength) {
    const auto id = begin();
    ASSERT_TRUE(append(id, "0123"));
    EXPECT_EQ(why(append(id, "x", {3, 1})), "InvalidInput position");
    EXPECT_EQ(why(append(id, "x", {5, 1})), "InvalidInput position");
    EXPECT_EQ(why(append(id, "45", {4, 3})), "InvalidInput length");
    EXPECT_EQ(registry_->find_upload(repository_, id)->offset, 6u) << "what came stays";
    EXPECT_TRUE(complete(id, sha256_of("0123456"), "6"));
}

TEST_F(UploadsTest, GoesOnAfterTheClientWasCutOff) {
    const auto id = begin();
    int reads = 0;
    const Source broken = [&](std::span<char> buffer) -> Result<size_t> {
        if (++reads > 1) return invalid_input("cut off");
        return std::string_view("half").copy(buffer.data(), buffer.size());
    };
    EXPECT_FALSE(registry_->append(repository_, id, {}, broken));
    EXPECT_EQ(registry_->find_upload(repository_, id)->offset, 4u);
    EXPECT_TRUE(complete(id, sha256_of("half and half"), " and half"));
}

TEST_F(UploadsTest, GoesOnAfterARestart) {
    const auto id = begin();
    ASSERT_TRUE(append(id, "before "));
    reopen();
    EXPECT_EQ(registry_->find_upload(repository_, id)->offset, 7u);
    ASSERT_TRUE(append(id, "after "));
    const auto blob = complete(id, sha256_of("before after all"), "all");
    ASSERT_TRUE(blob) << blob.error().message;
    EXPECT_EQ(content(blob->digest), "before after all");
}

TEST_F(UploadsTest, WithAnotherDigestIsDropped) {
    const auto id = begin();
    ASSERT_TRUE(append(id, "bytes"));
    EXPECT_EQ(why(complete(id, "sha256:short")), "InvalidInput digest");
    EXPECT_EQ(registry_->find_upload(repository_, id)->offset, 5u) << "a digest that is none tells nothing";
    EXPECT_EQ(why(complete(id, sha256_of("other"))), "InvalidInput digest");
    EXPECT_EQ(why(registry_->find_upload(repository_, id)), "NotFound upload");
    EXPECT_EQ(files(), 0u);
    EXPECT_EQ(why(registry_->put_blob(repository_, sha256_of("other"), source_of("bytes"))), "InvalidInput digest");
    EXPECT_EQ(files(), 0u);
    EXPECT_EQ(why(registry_->find_blob(repository_, sha256_of("other"))), "NotFound blob");
}

TEST_F(UploadsTest, TakesSha512) {
    const std::string digest = "sha512:" + std::string(
                                               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                                               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    const auto id = begin();
    ASSERT_TRUE(append(id, "ab"));
    ASSERT_TRUE(complete(id, digest, "c"));
    EXPECT_EQ(content(digest), "abc");
    EXPECT_TRUE(registry_->put_blob(repository_, digest, source_of("abc")));
}

TEST_F(UploadsTest, BelongsToItsRepository) {
    const RepositoryName other{"123456789012", "us-west-2", "other"};
    ASSERT_TRUE(registry_->create_repository(other, false));
    const auto id = begin();
    EXPECT_EQ(why(registry_->find_upload(other, id)), "NotFound upload");
    EXPECT_EQ(why(registry_->append(other, id, {}, source_of("x"))), "NotFound upload");
    EXPECT_EQ(why(registry_->abort_upload(other, id)), "NotFound upload");
    ASSERT_TRUE(registry_->abort_upload(repository_, id));
    EXPECT_EQ(why(append(id, "x")), "NotFound upload");
    EXPECT_EQ(files(), 0u);
}

TEST_F(UploadsTest, IsWrittenToByOneRequestAtATime) {
    const auto id = begin();
    std::atomic<bool> inside = false, leave = false;
    const Source slow = [&](std::span<char>) -> Result<size_t> {
        inside = true;
        while (!leave) std::this_thread::yield();
        return size_t{0};
    };
    std::jthread first([&] { EXPECT_TRUE(registry_->append(repository_, id, {}, slow)); });
    while (!inside) std::this_thread::yield();
    EXPECT_EQ(why(append(id, "x")), "Conflict upload is busy");
    EXPECT_EQ(why(complete(id, sha256_of("x"), "x")), "Conflict upload is busy");
    leave = true;
    first.join();
    EXPECT_TRUE(complete(id, sha256_of("x"), "x"));
}

TEST_F(UploadsTest, HasLimits) {
    reopen({.pause = std::chrono::milliseconds(0), .max_blob_bytes = 10, .max_uploads = 2});
    const auto id = begin();
    ASSERT_TRUE(append(id, "0123456789"));
    EXPECT_EQ(why(append(id, "x")), "LimitExceeded blob size");
    EXPECT_EQ(registry_->find_upload(repository_, id)->offset, 10u);
    begin();
    EXPECT_EQ(why(registry_->begin_upload(repository_)), "LimitExceeded many uploads");
    ASSERT_TRUE(complete(id, sha256_of("0123456789")));
    EXPECT_TRUE(registry_->begin_upload(repository_));
    EXPECT_EQ(files(), 3u) << "two uploads and a blob; the refused one left nothing";
}

TEST_F(UploadsTest, LargeOnesStayWhole) {
    std::string bytes;
    for (int i = 0; bytes.size() < (size_t{3} << 20); ++i) bytes += std::to_string(i) + ",";
    const auto id = begin();
    ASSERT_TRUE(append(id, std::string_view(bytes).substr(0, 1'000'001)));
    ASSERT_TRUE(complete(id, sha256_of(bytes), std::string_view(bytes).substr(1'000'001)));
    EXPECT_EQ(content(sha256_of(bytes)), bytes);
}

}  // namespace
}  // namespace millwright::registry
