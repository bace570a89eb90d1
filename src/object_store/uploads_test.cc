#include <thread>

#include "base/digest.h"
#include "base/encoding.h"
#include "object_store/testing.h"

namespace millwright::object_store {
namespace {

constexpr size_t kPart = size_t{5} << 20;

class UploadsTest : public StoreTest {
  protected:
    void start(const UploadOptions& options = {}) {
        const auto upload = store_->create_upload("bucket", "k", options);
        ASSERT_TRUE(upload) << upload.error().message;
        id_ = upload->id;
    }
    static std::string bytes_of(int number, size_t size) { return std::string(size, static_cast<char>('a' + number)); }
    CompletedPart upload(int number, const std::string& bytes, PartOptions options = {}) {
        options.length = bytes.size();
        const auto part = store_->upload_part("bucket", "k", id_, number, options, source_of(bytes));
        EXPECT_TRUE(part) << part.error().message << part.error().detail;
        return part ? CompletedPart{number, part->etag, {}} : CompletedPart{};
    }
    Result<ObjectInfo> complete(const std::vector<CompletedPart>& parts, const CompleteOptions& options = {}) {
        return store_->complete_upload("bucket", "k", id_, parts, options);
    }
    std::string id_;
};

TEST_F(UploadsTest, MakesOneObjectOfItsParts) {
    UploadOptions options;
    options.content_type = "x/y";
    options.metadata = {{"m", "v"}};
    start(options);
    const auto one = bytes_of(1, kPart), two = bytes_of(2, kPart), three = bytes_of(3, 100);
    const auto p2 = upload(2, two), p1 = upload(1, one), p3 = upload(3, three);
    EXPECT_EQ(files().size(), 1u) << "parts of equal size share a file";
    EXPECT_EQ(store_->head("bucket", "k").error().detail, reason::kKey);
    const auto object = complete({p1, p2, p3});
    ASSERT_TRUE(object) << object.error().message;
    std::string md5s;
    for (const auto& part : {one, two, three}) md5s += digest(DigestKind::Md5, part);
    EXPECT_EQ(object->etag, to_hex(digest(DigestKind::Md5, md5s)) + "-3");
    EXPECT_EQ(content("k"), one + two + three);
    const auto head = store_->head("bucket", "k");
    EXPECT_EQ(head->content_type, "x/y");
    EXPECT_EQ(head->metadata, options.metadata);
    EXPECT_EQ(head->part_sizes, (std::vector<uint64_t>{kPart, kPart, 100}));
    EXPECT_EQ(files().size(), 1u);
    EXPECT_EQ(store_->list_parts("bucket", "k", id_, 0, 10).error().detail, reason::kUpload);
}

TEST_F(UploadsTest, MakesTheSameObjectOfPartsOfAnySizeAndOrder) {
    start();
    const auto one = bytes_of(1, kPart + 7), two = bytes_of(2, kPart), three = bytes_of(3, kPart + 100),
               four = bytes_of(4, 1);
    const auto p4 = upload(4, four), p3 = upload(3, three), p1 = upload(1, one), p2 = upload(2, two);
    ASSERT_TRUE(complete({p1, p2, p3, p4}));
    EXPECT_EQ(content("k"), one + two + three + four);
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(UploadsTest, TakesPartsOfUnknownLength) {
    start();
    const auto one = bytes_of(1, kPart);
    const auto part = store_->upload_part("bucket", "k", id_, 1, {}, source_of(one));
    ASSERT_TRUE(part);
    ASSERT_TRUE(complete({{1, part->etag, {}}}));
    EXPECT_EQ(content("k"), one);
}

TEST_F(UploadsTest, LeavesOutPartsNotListed) {
    start();
    const auto one = bytes_of(1, kPart), two = bytes_of(2, kPart), three = bytes_of(3, kPart);
    const auto p1 = upload(1, one), p2 = upload(2, two), p3 = upload(3, three);
    ASSERT_TRUE(complete({p1, p3}));
    EXPECT_EQ(content("k"), one + three);
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(UploadsTest, AnswersACompletionThatIsAskedForAgain) {
    start({.checksum_algorithm = "CRC32", .tags = {{"a", "1"}}});
    const auto p1 = upload(1, bytes_of(1, kPart)), p2 = upload(2, bytes_of(2, 10));
    const auto first = complete({p1, p2});
    ASSERT_TRUE(first);
    EXPECT_EQ(first->tags, (Tags{{"a", "1"}}));
    ASSERT_TRUE(store_->remove("bucket", std::vector<Removal>{{"k"}}));
    reopen();
    const auto again = complete({p1, p2});
    ASSERT_TRUE(again);
    EXPECT_EQ(again->etag, first->etag);
    EXPECT_EQ(again->checksums, first->checksums);
    EXPECT_EQ(again->modified, first->modified);
    const auto parts = parts_of(*again);
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_EQ(parts[1].size, 10u);
    EXPECT_EQ(parts[1].checksums.at("CRC32").size(), 8u);
    EXPECT_EQ(store_->get("bucket", "k").error().detail, reason::kKey) << "the object is not brought back";
    EXPECT_EQ(store_->complete_upload("bucket", "other", id_, {}, {}).error().detail, reason::kUpload);
    clock_.now_ms += 25 * 3600 * 1000;
    EXPECT_EQ(complete({p1, p2}).error().detail, reason::kUpload);
}

TEST_F(UploadsTest, ForgetsOldCompletions) {
    const auto complete_one = [&] {
        start();
        const auto part = upload(1, "x");
        ASSERT_TRUE(complete({part}));
    };
    const auto remembered = [&] {
        const auto row = database_->read(
            [](metadata_store::Connection& c) { return c.query_one("SELECT count(*) FROM completed_upload"); });
        return (*row)->integer(0);
    };
    for (int i = 0; i < 8; ++i) complete_one();
    EXPECT_EQ(remembered(), 8);
    clock_.now_ms += 25 * 3600 * 1000;
    complete_one();
    complete_one();
    EXPECT_EQ(remembered(), 2);
    ASSERT_TRUE(database_->write([](metadata_store::Transaction& tx) -> Result<void> {
        TRY(tx.run("UPDATE completed_upload SET number=number-?", kCompletedUploads));
        return {};
    }));
    ASSERT_TRUE(database_->write([](metadata_store::Transaction& tx) -> Result<void> {
        TRY(tx.run(
            "INSERT INTO completed_upload SELECT 'last', ?, completed, bucket, key, answer FROM completed_upload "
            "LIMIT 1",
            kCompletedUploads));
        return {};
    }));
    complete_one();
    EXPECT_EQ(remembered(), 2) << "as many as are kept, counted from the newest";
}

TEST_F(UploadsTest, UsesTheLastPartOfANumber) {
    start();
    const auto first = upload(1, bytes_of(1, kPart));
    const auto other = bytes_of(9, kPart + 3), two = bytes_of(2, 10);
    const auto p1 = upload(1, other), p2 = upload(2, two);
    EXPECT_EQ(complete({first, p2}).error().detail, reason::kPart) << "the replaced part has another ETag";
    const auto third = bytes_of(5, kPart);
    const auto replaced = upload(1, third);
    ASSERT_TRUE(complete({replaced, p2}));
    EXPECT_EQ(content("k"), third + two);
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(UploadsTest, KeepsThePartWhenItsReplacementFails) {
    start();
    const auto one = bytes_of(1, kPart);
    const auto p1 = upload(1, one);
    PartOptions wrong;
    wrong.length = kPart;
    wrong.expected_md5 = digest(DigestKind::Md5, "other");
    EXPECT_EQ(store_->upload_part("bucket", "k", id_, 1, wrong, source_of(bytes_of(2, kPart))).error().detail,
              reason::kMd5);
    EXPECT_EQ(store_->upload_part("bucket", "k", id_, 2, wrong, source_of(bytes_of(2, kPart))).error().detail,
              reason::kMd5);
    const auto two = bytes_of(3, 1000);
    const auto p2 = upload(2, two);
    ASSERT_TRUE(complete({p1, p2}));
    EXPECT_EQ(content("k"), one + two);
}

TEST_F(UploadsTest, RefusesBadLists) {
    start();
    const auto p1 = upload(1, bytes_of(1, kPart)), p2 = upload(2, bytes_of(2, 10)), p3 = upload(3, bytes_of(3, 10));
    EXPECT_EQ(complete({}).error().detail, reason::kPartOrder);
    EXPECT_EQ(complete({p2, p1}).error().detail, reason::kPartOrder);
    EXPECT_EQ(complete({p1, p1}).error().detail, reason::kPartOrder);
    EXPECT_EQ(complete({p1, p2, p3}).error().detail, reason::kPartTooSmall);
    EXPECT_EQ(complete({p1, {2, "0123", {}}}).error().detail, reason::kPart);
    EXPECT_EQ(complete({p1, {4, p2.etag, {}}}).error().detail, reason::kPart);
    EXPECT_EQ(complete({p1, p2}, {.expected_size = 7}).error().detail, reason::kLength);
    EXPECT_EQ(store_->complete_upload("bucket", "other", id_, std::vector{p1}, {}).error().detail, reason::kUpload);
    EXPECT_TRUE(complete({p1, p2})) << "a refused attempt costs nothing";
}

TEST_F(UploadsTest, RefusesBadParts) {
    start();
    PartOptions five;
    five.length = 5;
    EXPECT_EQ(store_->upload_part("bucket", "k", id_, 0, {}, source_of("x")).error().detail, reason::kPartNumber);
    EXPECT_EQ(store_->upload_part("bucket", "k", id_, 10'001, {}, source_of("x")).error().detail, reason::kPartNumber);
    EXPECT_EQ(store_->upload_part("bucket", "k", "no such id", 1, {}, source_of("x")).error().detail, reason::kUpload);
    EXPECT_EQ(store_->upload_part("bucket", "k", id_, 1, five, source_of("four")).error().detail, reason::kLength);
    EXPECT_EQ(store_->upload_part("bucket", "k", id_, 1, five, source_of("six six")).error().detail, reason::kLength);
    EXPECT_TRUE(store_->list_parts("bucket", "k", id_, 0, 10)->parts.empty());
}

TEST_F(UploadsTest, TruncatesWhatAFailedLongerPartLeft) {
    start();
    const auto p1 = upload(1, bytes_of(1, kPart));
    PartOptions wrong;
    wrong.length = kPart;
    wrong.expected_md5 = digest(DigestKind::Md5, "other");
    ASSERT_FALSE(store_->upload_part("bucket", "k", id_, 2, wrong, source_of(bytes_of(2, kPart))));
    const auto p2 = upload(2, "short");
    ASSERT_TRUE(complete({p1, p2}));
    ASSERT_TRUE(store_->link_to("bucket", "k", folder_ + "/linked"));
    EXPECT_EQ(read_file(folder_ + "/linked")->size(), kPart + 5);
}

TEST_F(UploadsTest, SurvivesARestartInTheMiddle) {
    start();
    const auto one = bytes_of(1, kPart), two = bytes_of(2, kPart), three = bytes_of(3, kPart);
    const auto p1 = upload(1, one), p3 = upload(3, three);
    reopen();
    const auto p2 = upload(2, two);
    const auto again = upload(1, one);
    EXPECT_EQ(*store_->remove_orphans(), 0u);
    ASSERT_TRUE(complete({again, p2, p3}));
    EXPECT_EQ(content("k"), one + two + three);
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(UploadsTest, TakesPartsFromManyThreads) {
    UploadOptions options;
    options.checksum_algorithm = "CRC32";
    options.checksum_type = "FULL_OBJECT";
    start(options);
    std::vector<CompletedPart> parts(6);
    std::vector<std::jthread> clients;
    for (int i = 0; i < 6; ++i)
        clients.emplace_back(
            [&, i] { parts[static_cast<size_t>(i)] = upload(i + 1, bytes_of(i, i == 5 ? 77 : kPart)); });
    clients.clear();
    ASSERT_TRUE(complete(parts));
    const auto bytes = content("k");
    std::string expected;
    for (int i = 0; i < 6; ++i) expected += bytes_of(i, i == 5 ? 77 : kPart);
    EXPECT_TRUE(bytes == expected);
    EXPECT_EQ(store_->head("bucket", "k")->checksums.at("CRC32"), to_base64(digest(DigestKind::Crc32, expected)));
}

TEST_F(UploadsTest, ChecksTheChecksumOfTheWhole) {
    UploadOptions options;
    options.checksum_algorithm = "SHA256";
    start(options);
    const auto p1 = upload(1, "only part");
    const auto sum = to_base64(digest(DigestKind::Sha256, digest(DigestKind::Sha256, "only part")));
    EXPECT_EQ(complete({p1}, {.expected_checksums = {{"SHA256", "AAAA"}}}).error().detail, reason::kChecksum);
    CompletedPart wrong = p1;
    wrong.checksums = {{"SHA256", "AAAA"}};
    EXPECT_EQ(complete({wrong}).error().detail, reason::kPart);
    ASSERT_TRUE(complete({p1}, {.expected_checksums = {{"SHA256", sum}}}));
    EXPECT_EQ(store_->head("bucket", "k")->checksums.at("SHA256"), sum + "-1");
    EXPECT_EQ(store_->head("bucket", "k")->checksum_type, "COMPOSITE");
    for (const auto& [algorithm, type] :
         {std::pair("SHA256", "FULL_OBJECT"), {"CRC64NVME", "COMPOSITE"}, {"MD4", ""}, {"", "COMPOSITE"}}) {
        UploadOptions bad;
        bad.checksum_algorithm = algorithm;
        bad.checksum_type = type;
        EXPECT_EQ(store_->create_upload("bucket", "k", bad).error().detail, reason::kChecksumName);
    }
}

TEST_F(UploadsTest, HoldsTheConditionAndStaysUsable) {
    ASSERT_TRUE(put("k", "there"));
    start();
    const auto p1 = upload(1, bytes_of(1, kPart)), p2 = upload(2, "end");
    EXPECT_EQ(complete({p1, p2}, {.if_none_match = "*"}).error().kind, ErrorKind::AlreadyExists);
    EXPECT_EQ(content("k"), "there");
    const auto p3 = upload(3, "tail");
    EXPECT_EQ(complete({p1, p2, p3}).error().detail, reason::kPartTooSmall);
    ASSERT_TRUE(complete({p1, p2}));
    EXPECT_EQ(content("k"), bytes_of(1, kPart) + "end");
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(UploadsTest, ForgetsAnAbortedUpload) {
    start();
    upload(1, bytes_of(1, kPart));
    upload(2, bytes_of(2, kPart + 1));
    EXPECT_EQ(files().size(), 2u);
    EXPECT_TRUE(store_->abort_upload("bucket", "k", id_));
    EXPECT_TRUE(files().empty());
    EXPECT_EQ(store_->abort_upload("bucket", "k", id_).error().detail, reason::kUpload);
    EXPECT_EQ(store_->upload_part("bucket", "k", id_, 1, {}, source_of("x")).error().detail, reason::kUpload);
    EXPECT_TRUE(files().empty());
}

TEST_F(UploadsTest, CleansUpWhenTheUploadEndsDuringAPart) {
    start();
    PartOptions options;
    options.length = kPart;
    bool done = false;
    const auto outcome =
        store_->upload_part("bucket", "k", id_, 1, options, [&](std::span<char> buffer) -> Result<size_t> {
            if (!std::exchange(done, true)) {
                EXPECT_TRUE(store_->abort_upload("bucket", "k", id_));
            }
            return buffer.size() > kPart ? kPart : buffer.size();
        });
    EXPECT_FALSE(outcome);
    EXPECT_TRUE(files().empty());
}

TEST_F(UploadsTest, CompletesBesideAPartStillArriving) {
    start();
    const auto one = bytes_of(1, kPart);
    const auto p1 = upload(1, one);
    PartOptions options;
    options.length = 10;
    bool done = false;
    const auto late =
        store_->upload_part("bucket", "k", id_, 2, options, [&](std::span<char> buffer) -> Result<size_t> {
            if (std::exchange(done, true)) return size_t{0};
            EXPECT_TRUE(complete({p1}));
            std::fill_n(buffer.begin(), 10, 'x');
            return size_t{10};
        });
    EXPECT_EQ(late.error().detail, reason::kUpload);
    EXPECT_EQ(content("k"), one);
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(UploadsTest, GoesWithItsBucket) {
    start();
    upload(1, bytes_of(1, kPart));
    ASSERT_TRUE(store_->delete_bucket("bucket"));
    EXPECT_TRUE(files().empty());
}

TEST_F(UploadsTest, AreListedByKeyAndTime) {
    std::vector<std::string> ids;
    for (const auto* key : {"b", "a/1", "b", "a/2", "c"}) {
        clock_.now_ms += 1000;
        ids.push_back(store_->create_upload("bucket", key, {})->id);
    }
    const std::vector<std::string> expected = {ids[1], ids[3], ids[0], ids[2], ids[4]};
    for (size_t size = 1; size <= 6; ++size) {
        std::vector<std::string> seen;
        UploadListRequest request;
        request.max_uploads = size;
        for (bool more = true; more;) {
            const auto page = store_->list_uploads("bucket", request);
            ASSERT_TRUE(page);
            for (const auto& upload : page->uploads) seen.push_back(upload.id);
            more = page->truncated;
            request.after_key = page->last_key;
            request.after_id = page->last_id;
        }
        EXPECT_EQ(seen, expected) << "pages of " << size;
    }
    const auto rolled = store_->list_uploads("bucket", {.delimiter = "/"});
    EXPECT_EQ(rolled->common_prefixes, std::vector<std::string>{"a/"});
    EXPECT_EQ(rolled->uploads.size(), 3u);
}

TEST_F(UploadsTest, ListsPartsInPages) {
    start();
    for (const int number : {7, 1, 3}) upload(number, "part " + std::to_string(number));
    const auto first = store_->list_parts("bucket", "k", id_, 0, 2);
    ASSERT_TRUE(first);
    EXPECT_TRUE(first->truncated);
    ASSERT_EQ(first->parts.size(), 2u);
    EXPECT_EQ(first->parts[1].number, 3);
    const auto rest = store_->list_parts("bucket", "k", id_, 3, 2);
    EXPECT_FALSE(rest->truncated);
    ASSERT_EQ(rest->parts.size(), 1u);
    EXPECT_EQ(rest->parts[0].number, 7);
    EXPECT_EQ(rest->parts[0].size, 6u);
}

}  // namespace
}  // namespace millwright::object_store
