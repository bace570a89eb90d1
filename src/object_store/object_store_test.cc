#include <sys/mount.h>
#include <sys/stat.h>

#include <thread>

#include "base/digest.h"
#include "base/encoding.h"
#include "object_store/testing.h"

namespace millwright::object_store {
namespace {

class ObjectStoreTest : public StoreTest {};

TEST_F(ObjectStoreTest, KeepsBucketsByAccount) {
    ASSERT_TRUE(store_->create_bucket("123456789012", "us-west-2", "another"));
    ASSERT_TRUE(store_->create_bucket("999999999999", "us-west-2", "foreign"));
    EXPECT_EQ(store_->create_bucket("999999999999", "us-west-2", "bucket").error().kind, ErrorKind::AlreadyExists);
    EXPECT_EQ(store_->create_bucket("123456789012", "us-west-2", "No").error().kind, ErrorKind::InvalidInput);
    const auto buckets = store_->list_buckets("123456789012");
    ASSERT_TRUE(buckets);
    ASSERT_EQ(buckets->size(), 2u);
    EXPECT_EQ(buckets->front().name, "another");
    EXPECT_EQ(store_->find_bucket("foreign")->account, "999999999999");
    EXPECT_EQ(store_->find_bucket("nobody").error().detail, reason::kBucket);
}

TEST_F(ObjectStoreTest, DeletesOnlyEmptyBuckets) {
    ASSERT_TRUE(put("k", "v"));
    EXPECT_EQ(store_->delete_bucket("bucket").error().kind, ErrorKind::Conflict);
    ASSERT_TRUE(store_->remove("bucket", std::vector<Removal>{{"k"}}));
    EXPECT_TRUE(store_->delete_bucket("bucket"));
    EXPECT_EQ(store_->delete_bucket("bucket").error().detail, reason::kBucket);
}

TEST_F(ObjectStoreTest, KeepsBytesAndPropertiesAcrossARestart) {
    PutOptions options;
    options.content_type = "text/csv";
    options.headers = {{"Cache-Control", "no-store"}};
    options.metadata = {{"owner", "me \"quoted\" \xC3\xA9"}};
    options.compute_checksums = {"CRC32", "SHA256"};
    options.storage_class = "STANDARD_IA";
    const std::string bytes(1'000'003, 'z');
    const auto stored = put("dir/file.csv", bytes, options);
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->etag, to_hex(digest(DigestKind::Md5, bytes)));
    reopen();
    const auto object = store_->get("bucket", "dir/file.csv");
    ASSERT_TRUE(object);
    EXPECT_EQ(content(*object), bytes);
    EXPECT_EQ(object->info.etag, stored->etag);
    EXPECT_EQ(object->info.size, bytes.size());
    EXPECT_EQ(object->info.modified, clock_.now());
    EXPECT_EQ(object->info.content_type, "text/csv");
    EXPECT_EQ(object->info.headers, options.headers);
    EXPECT_EQ(object->info.metadata, options.metadata);
    EXPECT_EQ(object->info.checksums.at("SHA256"), to_base64(digest(DigestKind::Sha256, bytes)));
    EXPECT_EQ(object->info.checksums.size(), 2u);
    EXPECT_EQ(object->info.checksum_type, "FULL_OBJECT");
    EXPECT_EQ(object->info.storage_class, "STANDARD_IA");
}

// Pieces of 256 KiB are hashed beside the caller from the second on, by as many threads as there are processors.
TEST_F(ObjectStoreTest, HashesLargeObjectsRightlyAtEverySizeAndManyAtATime) {
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < 8; ++writer)
        writers.emplace_back([this, writer] {
            constexpr size_t kPiece = size_t{256} << 10;
            for (const size_t size : {kPiece - 1, kPiece, kPiece + 1, 2 * kPiece, 5 * kPiece + 7, 20 * kPiece}) {
                std::string bytes(size, '\0');
                for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + static_cast<size_t>(writer));
                PutOptions options;
                options.length = size;
                options.compute_checksums = {"CRC32C", "SHA256"};
                const std::string key = std::to_string(writer);
                const auto stored = put(key, bytes, options);
                ASSERT_TRUE(stored) << stored.error().message;
                EXPECT_EQ(stored->etag, to_hex(digest(DigestKind::Md5, bytes)));
                EXPECT_EQ(stored->checksums.at("SHA256"), to_base64(digest(DigestKind::Sha256, bytes)));
                EXPECT_EQ(content(key), bytes);
            }
        });
}

TEST_F(ObjectStoreTest, AStreamThatFailsLateLeavesNothingBehind) {
    int calls = 0;
    const auto outcome = store_->put("bucket", "k", {}, [&](std::span<char> buffer) -> Result<size_t> {
        if (++calls == 30) return invalid_input("cut short");
        const size_t count = std::min<size_t>(buffer.size(), 100'000);
        std::fill_n(buffer.begin(), count, 'x');
        return count;
    });
    EXPECT_EQ(outcome.error().message, "cut short");
    EXPECT_EQ(bodies(), 0u);
}

TEST_F(ObjectStoreTest, StoresEmptyObjects) {
    ASSERT_TRUE(put("empty", ""));
    EXPECT_EQ(content("empty"), "");
    EXPECT_EQ(store_->head("bucket", "empty")->etag, "d41d8cd98f00b204e9800998ecf8427e");
}

TEST_F(ObjectStoreTest, TellsWhatIsMissing) {
    EXPECT_EQ(store_->get("bucket", "nothing").error().detail, reason::kKey);
    EXPECT_EQ(store_->get("nobody", "nothing").error().detail, reason::kBucket);
    EXPECT_EQ(store_->put("nobody", "k", {}, source_of("v")).error().detail, reason::kBucket);
    EXPECT_EQ(bodies(), 0u);
}

TEST_F(ObjectStoreTest, ShowsNothingWhenTheDigestIsWrong) {
    ASSERT_TRUE(put("k", "old"));
    PutOptions wrong_md5;
    wrong_md5.expected_md5 = digest(DigestKind::Md5, "other");
    EXPECT_EQ(put("k", "new", wrong_md5).error().detail, reason::kMd5);
    PutOptions wrong_checksum;
    wrong_checksum.expected_checksums = {{"CRC32C", "AAAAAA=="}};
    EXPECT_EQ(put("k", "new", wrong_checksum).error().detail, reason::kChecksum);
    PutOptions unknown;
    unknown.compute_checksums = {"MD4"};
    EXPECT_EQ(put("k", "new", unknown).error().detail, reason::kChecksumName);
    EXPECT_EQ(content("k"), "old");
    EXPECT_EQ(bodies(), 1u);
}

TEST_F(ObjectStoreTest, ShowsNothingWhenTheSourceFails) {
    int calls = 0;
    const auto outcome = store_->put("bucket", "k", {}, [&](std::span<char> buffer) -> Result<size_t> {
        if (++calls == 4) return invalid_input("the body is cut short");
        buffer[0] = 'x';
        return size_t{1};
    });
    EXPECT_EQ(outcome.error().message, "the body is cut short");
    EXPECT_EQ(store_->head("bucket", "k").error().detail, reason::kKey);
    EXPECT_EQ(bodies(), 0u);
}

TEST_F(ObjectStoreTest, HoldsConditionalWritesToTheirCondition) {
    PutOptions create, replace;
    create.if_none_match = "*";
    ASSERT_TRUE(put("k", "one", create));
    EXPECT_EQ(put("k", "two", create).error().kind, ErrorKind::AlreadyExists);
    replace.if_match = store_->head("bucket", "k")->etag;
    ASSERT_TRUE(put("k", "two", replace));
    EXPECT_EQ(put("k", "three", replace).error().kind, ErrorKind::Conflict);
    EXPECT_EQ(put("absent", "three", replace).error().detail, reason::kKey);
    EXPECT_EQ(content("k"), "two");
}

TEST_F(ObjectStoreTest, LetsOneOfManyCreatorsWin) {
    std::atomic<int> created{0}, refused{0};
    std::vector<std::jthread> writers;
    for (int i = 0; i < 8; ++i)
        writers.emplace_back([&, i] {
            PutOptions create;
            create.if_none_match = "*";
            const auto outcome = put("contested", std::to_string(i), create);
            ++(outcome ? created : refused);
        });
    writers.clear();
    EXPECT_EQ(created, 1);
    EXPECT_EQ(refused, 7);
    EXPECT_EQ(bodies(), 1u);
}

TEST_F(ObjectStoreTest, KeepsAReaderReadingWhileTheKeyIsOverwrittenAndDeleted) {
    ASSERT_TRUE(put("k", "old bytes"));
    const auto open = store_->get("bucket", "k");
    ASSERT_TRUE(open);
    ASSERT_TRUE(put("k", "new"));
    ASSERT_TRUE(store_->remove("bucket", std::vector<Removal>{{"k"}}));
    EXPECT_EQ(bodies(), 0u);
    EXPECT_EQ(content(*open), "old bytes");
}

TEST_F(ObjectStoreTest, AlwaysOpensOneVersionWhileTheKeyIsOverwritten) {
    ASSERT_TRUE(put("k", "0"));
    std::jthread writer([&](const std::stop_token& stop) {
        for (int i = 1; !stop.stop_requested(); ++i)
            EXPECT_TRUE(put("k", std::string(static_cast<size_t>(i % 50), 'x')));
    });
    for (int i = 0; i < 300; ++i) {
        const auto object = store_->get("bucket", "k");
        ASSERT_TRUE(object) << object.error().message << object.error().detail;
        EXPECT_EQ(to_hex(digest(DigestKind::Md5, content(*object))), object->info.etag);
    }
}

TEST_F(ObjectStoreTest, NeverTurnsKeysIntoPaths) {
    const std::vector<std::string> keys = {
        "../../outside",        "/etc/passwd", "//",        ".",  "..",        "a/../../b",
        std::string(1024, '/'), "C:\\x",       "%2e%2e%2f", "\n", "a\xCC\x81", "\xC3\xA1"};
    for (const auto& key : keys) ASSERT_TRUE(put(key, "content of " + key)) << key;
    for (const auto& key : keys) EXPECT_EQ(content(key), "content of " + key);
    EXPECT_EQ(put(std::string("nul\0", 4), "x").error().detail, reason::kKey);
    EXPECT_EQ(bodies(), keys.size());
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
        EXPECT_TRUE(entry.path().filename() == "objects" ||
                    entry.path().filename().string().starts_with("metadata.db"));
}

TEST_F(ObjectStoreTest, RemovesManyKeysAtOnceAndMissingOnesToo) {
    ASSERT_TRUE(put("a", "1"));
    ASSERT_TRUE(put("b", "2"));
    EXPECT_TRUE(store_->remove("bucket", std::vector<Removal>{{"a"}, {"missing"}, {"b"}, {"a"}}));
    EXPECT_EQ(bodies(), 0u);
    EXPECT_EQ(store_->remove("nobody", std::vector<Removal>{{"a"}}).error().detail, reason::kBucket);
}

TEST_F(ObjectStoreTest, RemovesWhatACrashLeft) {
    ASSERT_TRUE(put("k", "kept"));
    const auto upload = store_->create_upload("bucket", "u", {});
    ASSERT_TRUE(upload);
    ASSERT_TRUE(store_->upload_part("bucket", "u", upload->id, 1, {}, source_of("part")));
    // A put that was killed between writing its file and committing its row.
    const std::string orphan = folder_ + "/objects/0f/0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";
    ASSERT_TRUE(write_file(orphan, "half an obj"));
    reopen();
    for (int i = 0; i < 2000 && file_exists(orphan); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_FALSE(file_exists(orphan)) << "swept by open()";
    EXPECT_EQ(*store_->remove_orphans(), 0u);
    EXPECT_EQ(content("k"), "kept");
    EXPECT_EQ(bodies(), 2u);
}

TEST_F(ObjectStoreTest, LeavesRunningWritesAloneWhenSweeping) {
    bool swept = false;
    const auto outcome = store_->put("bucket", "k", {}, [&](std::span<char> buffer) -> Result<size_t> {
        if (std::exchange(swept, true)) return size_t{0};
        EXPECT_EQ(*store_->remove_orphans(), 0u);
        buffer[0] = 'x';
        return size_t{1};
    });
    ASSERT_TRUE(outcome);
    EXPECT_EQ(content("k"), "x");
}

TEST_F(ObjectStoreTest, ReportsDamageInsteadOfServingIt) {
    ASSERT_TRUE(put("k", std::string(kSmallBytes + 1, 'c')));
    const std::string file = files().front();
    ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
    ASSERT_EQ(::truncate(file.c_str(), 3), 0);
    EXPECT_EQ(store_->get("bucket", "k").error().kind, ErrorKind::Internal);
    ASSERT_EQ(::unlink(file.c_str()), 0);
    EXPECT_EQ(store_->get("bucket", "k").error().kind, ErrorKind::Internal);
}

TEST_F(ObjectStoreTest, KeepsSmallObjectsInTheMetadataStoreAndLargeOnesInFiles) {
    std::string bytes(kSmallBytes, 's');
    bytes[1] = '\0';
    bytes[2] = '\xff';
    ASSERT_TRUE(put("small", bytes));
    EXPECT_TRUE(files().empty());
    ASSERT_TRUE(put("large", bytes + "x"));
    EXPECT_EQ(files().size(), 1u);
    reopen();
    for (const std::string key : {"small", "large"}) {
        const auto object = store_->get("bucket", key);
        ASSERT_TRUE(object);
        const std::string wanted = key == "small" ? bytes : bytes + "x";
        EXPECT_EQ(object->in_memory(), key == "small");
        EXPECT_EQ(content(*object), wanted);
        std::string part(10, ' ');
        EXPECT_EQ(*object->read_at(part, wanted.size() - 4), 4u);
        EXPECT_EQ(part.substr(0, 4), wanted.substr(wanted.size() - 4));
        EXPECT_EQ(*object->read_at(part, wanted.size()), 0u);
        EXPECT_EQ(object->read_all(100).error().kind, ErrorKind::LimitExceeded);
        const auto fd = object->descriptor();
        ASSERT_TRUE(fd);
        std::string again(wanted.size() + 1, ' ');
        EXPECT_EQ(::pread(fd->get(), again.data(), again.size(), 0), static_cast<ssize_t>(wanted.size()));
        EXPECT_EQ(again.substr(0, wanted.size()), wanted);
    }
    // From small to large and back: what the key named before is gone.
    ASSERT_TRUE(put("small", bytes + "x"));
    ASSERT_TRUE(put("large", "now small"));
    EXPECT_EQ(bodies(), 2u);
    EXPECT_EQ(files().size(), 1u);
    ASSERT_TRUE(store_->copy("bucket", "copy", {}, *store_->get("bucket", "large")));
    EXPECT_EQ(content("copy"), "now small");
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(ObjectStoreTest, LinksObjectsIntoFolders) {
    const std::string large(kSmallBytes + 1, 'd');
    ASSERT_TRUE(put("k", "data"));
    ASSERT_TRUE(put("large", large));
    const std::string path = folder_ + "/linked";
    ASSERT_TRUE(store_->link_to("bucket", "k", path));
    EXPECT_EQ(*read_file(path), "data");
    ASSERT_TRUE(store_->link_to("bucket", "large", folder_ + "/large"));
    EXPECT_EQ(*read_file(folder_ + "/large"), large);
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0222, 0u) << "read-only";
    EXPECT_EQ(store_->link_to("bucket", "k", path).error().kind, ErrorKind::AlreadyExists);
    EXPECT_EQ(store_->link_to("bucket", "absent", folder_ + "/other").error().detail, reason::kKey);
    ASSERT_TRUE(store_->remove("bucket", std::vector<Removal>{{"k"}}));
    EXPECT_EQ(*read_file(path), "data") << "the link outlives the object";
}

TEST_F(ObjectStoreTest, TakesOverFiles) {
    const std::string path = folder_ + "/model.tar.gz";
    ASSERT_TRUE(write_file(path, "artifact"));
    struct stat before {};
    ASSERT_EQ(::stat(path.c_str(), &before), 0);
    PutOptions options;
    options.content_type = "application/gzip";
    const auto object = store_->adopt_file("bucket", "out/model.tar.gz", options, path);
    ASSERT_TRUE(object) << object.error().message << object.error().detail;
    EXPECT_EQ(object->etag, to_hex(digest(DigestKind::Md5, "artifact")));
    EXPECT_FALSE(file_exists(path));
    EXPECT_EQ(content("out/model.tar.gz"), "artifact");
    EXPECT_EQ(store_->head("bucket", "out/model.tar.gz")->content_type, "application/gzip");
}

TEST_F(ObjectStoreTest, TakesOverNoLinksFoldersAndMissingFiles) {
    ASSERT_TRUE(write_file(folder_ + "/secret", "secret"));
    ASSERT_EQ(::symlink((folder_ + "/secret").c_str(), (folder_ + "/link").c_str()), 0);
    EXPECT_FALSE(store_->adopt_file("bucket", "k", {}, folder_ + "/link"));
    EXPECT_FALSE(store_->adopt_file("bucket", "k", {}, folder_));
    EXPECT_FALSE(store_->adopt_file("bucket", "k", {}, folder_ + "/nothing"));
    EXPECT_TRUE(file_exists(folder_ + "/link"));
    EXPECT_EQ(bodies(), 0u);
    // A file with a second name is copied: its bytes could change through the other one.
    ASSERT_EQ(::link((folder_ + "/secret").c_str(), (folder_ + "/second").c_str()), 0);
    ASSERT_TRUE(store_->adopt_file("bucket", "k", {}, folder_ + "/second"));
    ASSERT_TRUE(write_file(folder_ + "/secret", "edited"));
    EXPECT_EQ(content("k"), "secret");
}

TEST_F(ObjectStoreTest, KeepsTheFileItCouldNotTakeOver) {
    const std::string path = folder_ + "/model.tar.gz";
    ASSERT_TRUE(write_file(path, "artifact"));
    PutOptions options;
    options.expected_md5 = digest(DigestKind::Md5, "other");
    EXPECT_EQ(store_->adopt_file("bucket", "k", options, path).error().detail, reason::kMd5);
    EXPECT_EQ(store_->adopt_file("nobody", "k", {}, path).error().detail, reason::kBucket);
    EXPECT_EQ(*read_file(path), "artifact");
    EXPECT_EQ(bodies(), 0u);
}

TEST_F(ObjectStoreTest, CopiesObjectsWithNewProperties) {
    PutOptions options;
    options.content_type = "text/plain";
    ASSERT_TRUE(put("source", "data", options));
    const auto source = store_->get("bucket", "source");
    ASSERT_TRUE(source);
    PutOptions replaced;
    replaced.metadata = {{"a", "b"}};
    replaced.compute_checksums = {"SHA1"};
    ASSERT_TRUE(store_->remove("bucket", std::vector<Removal>{{"source"}}));
    const auto copied = store_->copy("bucket", "target", replaced, *source);
    ASSERT_TRUE(copied) << "the opened version can be copied even when it is gone: " << copied.error().detail;
    EXPECT_EQ(copied->etag, source->info.etag);
    EXPECT_EQ(copied->checksums.at("SHA1"), to_base64(digest(DigestKind::Sha1, "data")));
    EXPECT_EQ(content("target"), "data");
    // Copy of a living object: two keys, one life each.
    ASSERT_TRUE(store_->copy("bucket", "again", {}, *store_->get("bucket", "target")));
    ASSERT_TRUE(store_->remove("bucket", std::vector<Removal>{{"target"}}));
    EXPECT_EQ(content("again"), "data");
}

TEST_F(ObjectStoreTest, RefusesWritesClearlyWhenTheDiskIsFullAndRecovers) {
    const std::string mount_point = folder_ + "/small";
    ASSERT_TRUE(make_directories(mount_point));
    if (::mount("tmpfs", mount_point.c_str(), "tmpfs", 0, "size=8m") != 0)
        GTEST_SKIP() << "mounting a small file system needs root";
    {
        const auto store = *ObjectStore::open(mount_point + "/objects", *database_, clock_, system_random());
        const std::string large(12 << 20, 'x'), small(3 << 20, 'y');
        ASSERT_TRUE(store->put("bucket", "small", {}, source_of(small)));
        const auto full = store->put("bucket", "large", {}, source_of(large));
        ASSERT_FALSE(full);
        EXPECT_EQ(full.error().kind, ErrorKind::LimitExceeded);
        EXPECT_EQ(store->head("bucket", "large").error().detail, reason::kKey);
        EXPECT_TRUE(store->put("bucket", "second", {}, source_of(small))) << "the space is free again";
        EXPECT_TRUE(store->remove("bucket", std::vector<Removal>{{"small"}, {"second"}}));
    }
    EXPECT_EQ(::umount(mount_point.c_str()), 0);
}

}  // namespace
}  // namespace millwright::object_store
