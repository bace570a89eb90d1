#include "services/s3/s3_service.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "base/xml.h"

namespace millwright::s3 {
namespace {

class TextBody final : public net::BodyReader {
  public:
    explicit TextBody(std::string text, bool cut = false) : text_(std::move(text)), cut_(cut) {}
    Result<size_t> read(std::span<char> buffer) override {
        if (at_ == text_.size() && cut_) return invalid_input("the connection was closed");
        const size_t count = text_.copy(buffer.data(), buffer.size(), at_);
        at_ += count;
        return count;
    }
    std::optional<uint64_t> length() const override { return text_.size() + (cut_ ? 1 : 0); }

  private:
    std::string text_;
    bool cut_;
    size_t at_ = 0;
};

struct Recorder final : net::ResponseWriter {
    int status = 0;
    net::Headers headers;
    std::string body;
    uint64_t length = 0;

    Result<void> send(int code, const net::Headers& fields, std::string_view text) override {
        note(code, fields);
        body = text;
        return {};
    }
    Result<void> send_file(int code, const net::Headers& fields, int fd, uint64_t offset, uint64_t count) override {
        note(code, fields);
        body.resize(count);
        EXPECT_EQ(::pread(fd, body.data(), count, static_cast<off_t>(offset)), static_cast<ssize_t>(count));
        return {};
    }
    Result<void> send_headers_only(int code, const net::Headers& fields, uint64_t content_length) override {
        note(code, fields);
        length = content_length;
        return {};
    }
    Result<void> start(int, const net::Headers&) override { return internal_error("not used"); }
    Result<void> write(std::string_view) override { return internal_error("not used"); }
    Result<void> finish() override { return internal_error("not used"); }
    bool answered() const override { return status != 0; }
    void note(int code, const net::Headers& fields) {
        EXPECT_EQ(status, 0) << "answered once";
        status = code;
        headers = fields;
    }
};

struct Answer {
    int status = 0;
    std::string code;  // of an error
    net::Headers headers;
    std::string body;
    uint64_t length = 0;
};

class S3ServiceTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::string base = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : testing::TempDir();
        folder_ = base + "s3_service_test." + std::to_string(::getpid());
        ASSERT_TRUE(remove_tree(folder_));
        ASSERT_TRUE(make_directories(folder_));
        database_ = *metadata_store::Database::open(folder_ + "/metadata.db");
        store_ = *object_store::ObjectStore::open(folder_ + "/objects", *database_, system_clock(), system_random());
        service_ = s3_service(*store_, {{"localhost"}});
        ASSERT_EQ(call("PUT", "/bkt", kOregon).status, 200);
    }
    void TearDown() override {
        store_.reset();
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }
    Answer call(const std::string& method, const std::string& target, const std::string& body = "",
                net::Headers headers = {}, bool cut = false) {
        TextBody reader(body, cut);
        if (!headers.has("Host")) headers.add("Host", "127.0.0.1:9770");
        net::Request request{method, target, std::move(headers), &reader, "test"};
        aws::Call context;
        context.caller.account = account_;
        context.caller.arn = "arn:aws:iam::" + account_ + ":root";
        context.caller.region = region_;
        Recorder recorder;
        const auto outcome = service_.stream(context, request, recorder);
        EXPECT_EQ(outcome.has_value(), recorder.answered()) << method << " " << target;
        if (!outcome) return {outcome.error().status, outcome.error().code, {}, outcome.error().message, 0};
        return {recorder.status, "", recorder.headers, recorder.body, recorder.length};
    }
    Answer put(const std::string& key, const std::string& body, net::Headers headers = {}) {
        return call("PUT", "/bkt/" + percent_encode(key), body, std::move(headers));
    }
    static XmlElement xml(const Answer& answer) {
        auto parsed = parse_xml(answer.body);
        EXPECT_TRUE(parsed) << answer.body;
        return parsed ? *parsed : XmlElement{};
    }
    static std::vector<std::string> all(const XmlElement& root, std::string_view list, std::string_view field) {
        std::vector<std::string> found;
        for (const auto& child : root.children)
            if (child.name == list) found.push_back(child.text_of(field));
        return found;
    }

    static inline const std::string kOregon =
        "<CreateBucketConfiguration><LocationConstraint>us-west-2</LocationConstraint></CreateBucketConfiguration>";
    std::string account_ = "123456789012", region_ = "us-west-2", folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<object_store::ObjectStore> store_;
    aws::Service service_;
};

TEST_F(S3ServiceTest, CreatesListsAndDeletesBuckets) {
    EXPECT_EQ(call("PUT", "/bkt", kOregon).code, "BucketAlreadyOwnedByYou");
    EXPECT_EQ(call("PUT", "/other").code, "IllegalLocationConstraintException");
    EXPECT_EQ(call("PUT", "/Bad_Name", kOregon).code, "InvalidBucketName");
    EXPECT_EQ(xml(call("GET", "/bkt?location")).text, "us-west-2");
    region_ = "us-east-1";
    EXPECT_EQ(call("PUT", "/virginia").status, 200);
    EXPECT_EQ(call("PUT", "/virginia").status, 200) << "us-east-1 answers again";
    EXPECT_EQ(xml(call("GET", "/virginia?location")).text, "");
    const auto buckets = xml(call("GET", "/"));
    EXPECT_EQ(all(*buckets.find("Buckets"), "Bucket", "Name"), (std::vector<std::string>{"bkt", "virginia"}));
    EXPECT_EQ(call("HEAD", "/bkt").headers.get("x-amz-bucket-region"), "us-west-2");
    EXPECT_EQ(call("DELETE", "/virginia").status, 204);
    EXPECT_EQ(call("HEAD", "/virginia").status, 404);
}

TEST_F(S3ServiceTest, KeepsBucketsOfOthersClosed) {
    ASSERT_EQ(put("k", "v").status, 200);
    account_ = "999999999999";
    for (const auto* method : {"GET", "HEAD", "DELETE"})
        EXPECT_EQ(call(method, "/bkt/k").code, "AccessDenied") << method;
    EXPECT_EQ(call("GET", "/bkt").code, "AccessDenied");
    EXPECT_EQ(call("PUT", "/bkt/x", "v").code, "AccessDenied");
    EXPECT_EQ(call("PUT", "/bkt", kOregon).code, "BucketAlreadyExists");
    ASSERT_EQ(call("PUT", "/mine", kOregon).status, 200);
    EXPECT_EQ(call("PUT", "/mine/x", "", {{"x-amz-copy-source", "/bkt/k"}}).code, "AccessDenied");
}

TEST_F(S3ServiceTest, ChecksTheExpectedOwner) {
    EXPECT_EQ(call("HEAD", "/bkt", "", {{"x-amz-expected-bucket-owner", "123456789012"}}).status, 200);
    EXPECT_EQ(call("HEAD", "/bkt", "", {{"x-amz-expected-bucket-owner", "111111111111"}}).status, 403);
}

TEST_F(S3ServiceTest, GivesBackWhatWasPut) {
    const auto stored = put("dir/a b+c", "hello",
                            {{"Content-Type", "text/plain"},
                             {"Cache-Control", "no-cache"},
                             {"x-amz-meta-Owner", "me"},
                             {"x-amz-server-side-encryption", "aws:kms"},
                             {"x-amz-server-side-encryption-aws-kms-key-id", "key"}});
    ASSERT_EQ(stored.status, 200) << stored.code;
    EXPECT_EQ(stored.headers.get("ETag"), "\"5d41402abc4b2a76b9719d911017c592\"");
    EXPECT_EQ(stored.headers.get("x-amz-server-side-encryption"), "aws:kms");
    const auto got = call("GET", "/bkt/dir/a%20b+c");
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.body, "hello");
    EXPECT_EQ(got.headers.get("Content-Type"), "text/plain");
    EXPECT_EQ(got.headers.get("x-amz-meta-owner"), "me");
    EXPECT_EQ(got.headers.get("Cache-Control"), "no-cache");
    EXPECT_EQ(got.headers.get("x-amz-server-side-encryption-aws-kms-key-id"), "key");
    const auto head = call("HEAD", "/bkt/dir/a%20b+c");
    EXPECT_EQ(head.length, 5u);
    EXPECT_EQ(head.body, "");
    EXPECT_EQ(call("GET", "/dir/a%20b%2Bc", "", {{"Host", "bkt.localhost:9770"}}).body, "hello")
        << "virtual-host style";
    EXPECT_EQ(call("GET", "/bkt/dir/a%20b+c?response-content-type=x/y").headers.get("Content-Type"), "x/y");
}

TEST_F(S3ServiceTest, AnswersRangesAndConditions) {
    put("k", "0123456789");
    const auto part = call("GET", "/bkt/k", "", {{"Range", "bytes=2-4"}});
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, "234");
    EXPECT_EQ(part.headers.get("Content-Range"), "bytes 2-4/10");
    EXPECT_EQ(call("GET", "/bkt/k", "", {{"Range", "bytes=10-"}}).code, "InvalidRange");
    EXPECT_EQ(call("HEAD", "/bkt/k", "", {{"Range", "bytes=-3"}}).length, 3u);
    const std::string etag = call("HEAD", "/bkt/k").headers.get("ETag");
    EXPECT_EQ(call("GET", "/bkt/k", "", {{"If-None-Match", etag}}).status, 304);
    EXPECT_EQ(call("GET", "/bkt/k", "", {{"If-Match", "\"x\""}}).code, "PreconditionFailed");
    EXPECT_EQ(call("PUT", "/bkt/k", "new", {{"If-None-Match", "*"}}).code, "PreconditionFailed");
    EXPECT_EQ(call("PUT", "/bkt/k", "new", {{"If-Match", etag}}).status, 200);
    EXPECT_EQ(call("GET", "/bkt/k?partNumber=1").status, 206);
    EXPECT_EQ(call("GET", "/bkt/k?partNumber=2").status, 416);
}

TEST_F(S3ServiceTest, NamesWhatIsMissing) {
    EXPECT_EQ(call("GET", "/bkt/none").code, "NoSuchKey");
    EXPECT_EQ(call("HEAD", "/bkt/none").status, 404);
    EXPECT_EQ(call("GET", "/nobody/none").code, "NoSuchBucket");
    EXPECT_EQ(call("PUT", "/nobody/none", "x").code, "NoSuchBucket");
    EXPECT_EQ(call("GET", "/nobody").code, "NoSuchBucket");
    EXPECT_EQ(call("DELETE", "/bkt/none").status, 204);
    EXPECT_EQ(call("GET", "/bkt/k?uploadId=x").code, "NoSuchUpload");
}

TEST_F(S3ServiceTest, StoresNothingWhenADigestIsWrong) {
    const std::string right = to_base64(digest(DigestKind::Crc32, "data"));
    EXPECT_EQ(put("k", "data", {{"Content-MD5", to_base64(digest(DigestKind::Md5, "other"))}}).code, "BadDigest");
    EXPECT_EQ(put("k", "data", {{"Content-MD5", "nonsense"}}).code, "InvalidDigest");
    EXPECT_EQ(put("k", "data", {{"x-amz-checksum-crc32", "AAAAAA=="}}).code, "BadDigest");
    EXPECT_EQ(put("k", "data", {{"x-amz-checksum-crc32", "AAAA"}}).code, "InvalidRequest");
    EXPECT_EQ(put("k", "data", {{"x-amz-checksum-crc32", right}, {"x-amz-checksum-sha1", "x"}}).code, "InvalidRequest");
    EXPECT_EQ(put("k", "data", {{"x-amz-sdk-checksum-algorithm", "CRC32"}}).code, "InvalidRequest");
    EXPECT_EQ(call("PUT", "/bkt/k", "data", {}, true).code, "IncompleteBody");
    EXPECT_EQ(call("HEAD", "/bkt/k").status, 404);
    const auto stored = put("k", "data", {{"x-amz-sdk-checksum-algorithm", "CRC32"}, {"x-amz-checksum-crc32", right}});
    EXPECT_EQ(stored.headers.get("x-amz-checksum-crc32"), right);
    EXPECT_EQ(call("GET", "/bkt/k", "", {{"x-amz-checksum-mode", "ENABLED"}}).headers.get("x-amz-checksum-crc32"),
              right);
    EXPECT_FALSE(call("GET", "/bkt/k").headers.has("x-amz-checksum-crc32"));
}

TEST_F(S3ServiceTest, TellsOfVersionsAndDeleteMarkers) {
    EXPECT_FALSE(put("k", "zero").headers.has("x-amz-version-id"));
    EXPECT_EQ(xml(call("GET", "/bkt?versioning")).find("Status"), nullptr);
    const auto configure = [&](const std::string& status) {
        return call("PUT", "/bkt?versioning",
                    "<VersioningConfiguration><Status>" + status + "</Status></VersioningConfiguration>");
    };
    EXPECT_EQ(configure("On").code, "MalformedXML");
    EXPECT_EQ(call("PUT", "/bkt?versioning", "<VersioningConfiguration/>").code,
              "IllegalVersioningConfigurationException");
    EXPECT_EQ(call("PUT", "/bkt?versioning",
                   "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled"
                   "</MfaDelete></VersioningConfiguration>")
                  .code,
              "NotImplemented");
    EXPECT_EQ(configure("Enabled").status, 200);
    EXPECT_EQ(xml(call("GET", "/bkt?versioning")).text_of("Status"), "Enabled");
    const std::string one = put("k", "one").headers.get("x-amz-version-id");
    EXPECT_EQ(call("GET", "/bkt/k?versionId=null").body, "zero");
    EXPECT_EQ(call("GET", "/bkt/k?versionId=null").headers.get("x-amz-version-id"), "null");
    EXPECT_EQ(call("GET", "/bkt/k").headers.get("x-amz-version-id"), one);
    const auto removed = call("DELETE", "/bkt/k");
    const std::string marker = removed.headers.get("x-amz-version-id");
    EXPECT_EQ(removed.status, 204);
    EXPECT_EQ(removed.headers.get("x-amz-delete-marker"), "true");
    EXPECT_EQ(call("GET", "/bkt/k").code, "NoSuchKey");
    EXPECT_EQ(call("GET", "/bkt/k?versionId=" + marker).code, "MethodNotAllowed");
    EXPECT_EQ(call("GET", "/bkt/k?versionId=" + std::string(32, 'a')).code, "NoSuchVersion");
    EXPECT_EQ(call("GET", "/bkt/k?versionId=nonsense").code, "InvalidArgument");
    EXPECT_EQ(call("GET", "/bkt/k?versionId=").code, "InvalidArgument");
    EXPECT_EQ(call("PUT", "/bkt/k?versionId=" + one, "x").code, "InvalidArgument");
    const auto list = xml(call("GET", "/bkt?versions&max-keys=2"));
    EXPECT_EQ(all(list, "DeleteMarker", "VersionId"), std::vector<std::string>{marker});
    EXPECT_EQ(all(list, "Version", "VersionId"), std::vector<std::string>{one});
    EXPECT_EQ(list.text_of("NextVersionIdMarker"), one);
    EXPECT_EQ(all(xml(call("GET", "/bkt?versions&key-marker=k&version-id-marker=" + one)), "Version", "VersionId"),
              std::vector<std::string>{"null"});
    EXPECT_EQ(call("GET", "/bkt?versions&version-id-marker=" + one).code, "InvalidArgument");
    EXPECT_EQ(call("DELETE", "/bkt").code, "BucketNotEmpty");
    EXPECT_EQ(call("PUT", "/bkt/copy", "", {{"x-amz-copy-source", "bkt/k?versionId=" + one}})
                  .headers.get("x-amz-copy-source-version-id"),
              one);
    EXPECT_EQ(call("GET", "/bkt/copy").body, "one");
}

TEST_F(S3ServiceTest, RefusesWhatItDoesNotDo) {
    for (const auto& [name, value] :
         std::vector<std::pair<std::string, std::string>>{{"x-amz-object-lock-mode", "GOVERNANCE"},
                                                          {"x-amz-server-side-encryption-customer-algorithm", "AES256"},
                                                          {"x-amz-website-redirect-location", "/"},
                                                          {"x-amz-storage-class", "GLACIER"}})
        EXPECT_EQ(put("k", "v", {{name, value}}).code, "NotImplemented") << name;
    for (const auto* target : {"/bkt?replication", "/bkt?website", "/bkt?object-lock", "/bkt/k?retention"})
        EXPECT_EQ(call("PUT", target, "x").code, "NotImplemented") << target;
    EXPECT_EQ(call("DELETE", "/bkt?website").code, "NotImplemented");
    EXPECT_EQ(call("HEAD", "/bkt").status, 200) << "the bucket was not deleted";
    EXPECT_EQ(
        put("k", "v", {{"x-amz-acl", "bucket-owner-full-control"}, {"x-amz-storage-class", "STANDARD_IA"}}).status,
        200);
    EXPECT_EQ(call("HEAD", "/bkt/k").headers.get("x-amz-storage-class"), "STANDARD_IA");
}

TEST_F(S3ServiceTest, SaysTruthfullyWhatABucketDoesNotHave) {
    EXPECT_TRUE(xml(call("GET", "/bkt?versioning")).children.empty());
    EXPECT_EQ(call("GET", "/bkt?policy").code, "NoSuchBucketPolicy");
    EXPECT_EQ(call("GET", "/bkt?lifecycle").code, "NoSuchLifecycleConfiguration");
    EXPECT_NE(call("GET", "/bkt?acl").body.find("<Permission>FULL_CONTROL</Permission>"), std::string::npos);
    EXPECT_EQ(call("GET", "/nobody?versioning").code, "NoSuchBucket");
}

TEST_F(S3ServiceTest, ListsWithBothVersions) {
    for (const auto* key : {"a/1", "a/2", "b c", "d"}) put(key, "x");
    const auto v2 = xml(call("GET", "/bkt?list-type=2&delimiter=/&encoding-type=url&max-keys=2"));
    EXPECT_EQ(all(v2, "Contents", "Key"), std::vector<std::string>{"b%20c"});
    EXPECT_EQ(all(v2, "CommonPrefixes", "Prefix"), std::vector<std::string>{"a/"});
    EXPECT_EQ(v2.text_of("KeyCount"), "2");
    EXPECT_EQ(v2.text_of("IsTruncated"), "true");
    const auto rest = xml(call("GET", "/bkt?list-type=2&delimiter=/&continuation-token=" +
                                          percent_encode(v2.text_of("NextContinuationToken"))));
    EXPECT_EQ(all(rest, "Contents", "Key"), std::vector<std::string>{"d"});
    EXPECT_EQ(all(xml(call("GET", "/bkt?list-type=2&start-after=b%20c")), "Contents", "Key"),
              std::vector<std::string>{"d"});
    const auto v1 = xml(call("GET", "/bkt?delimiter=/&max-keys=1"));
    EXPECT_EQ(v1.text_of("NextMarker"), "a/");
    EXPECT_EQ(all(xml(call("GET", "/bkt?delimiter=/&marker=a/")), "Contents", "Key"),
              (std::vector<std::string>{"b c", "d"}));
    for (const auto* bad : {"/bkt?max-keys=-1", "/bkt?max-keys=x", "/bkt?encoding-type=x", "/bkt?list-type=3",
                            "/bkt?list-type=2&continuation-token=%21"})
        EXPECT_EQ(call("GET", bad).code, "InvalidArgument") << bad;
}

TEST_F(S3ServiceTest, CopiesObjects) {
    put("source", "data", {{"Content-Type", "text/csv"}, {"x-amz-meta-a", "1"}});
    EXPECT_EQ(call("PUT", "/bkt/copy", "", {{"x-amz-copy-source", "bkt/source"}}).status, 200);
    EXPECT_EQ(call("GET", "/bkt/copy").headers.get("x-amz-meta-a"), "1");
    EXPECT_EQ(call("GET", "/bkt/copy").body, "data");
    EXPECT_EQ(
        call("PUT", "/bkt/new", "",
             {{"x-amz-copy-source", "/bkt/source"}, {"x-amz-metadata-directive", "REPLACE"}, {"x-amz-meta-b", "2"}})
            .status,
        200);
    EXPECT_FALSE(call("GET", "/bkt/new").headers.has("x-amz-meta-a"));
    EXPECT_EQ(call("GET", "/bkt/new").headers.get("x-amz-meta-b"), "2");
    EXPECT_EQ(call("PUT", "/bkt/source", "", {{"x-amz-copy-source", "/bkt/source"}}).code, "InvalidRequest");
    EXPECT_EQ(call("PUT", "/bkt/x", "", {{"x-amz-copy-source", "/bkt/none"}}).code, "NoSuchKey");
    EXPECT_EQ(call("PUT", "/bkt/x", "", {{"x-amz-copy-source", "nothing"}}).code, "InvalidArgument");
    EXPECT_EQ(
        call("PUT", "/bkt/x", "", {{"x-amz-copy-source", "/bkt/source"}, {"x-amz-copy-source-if-match", "x"}}).code,
        "PreconditionFailed");
}

TEST_F(S3ServiceTest, DeletesManyKeys) {
    put("a", "1");
    put("b&c", "2");
    const std::string body =
        "<Delete><Object><Key>a</Key></Object><Object><Key>b&amp;c</Key></Object><Object><Key>none</Key></Object>"
        "<Object><Key></Key></Object></Delete>";
    const net::Headers md5{{"Content-MD5", to_base64(digest(DigestKind::Md5, body))}};
    EXPECT_EQ(call("POST", "/bkt?delete", body).code, "InvalidRequest");
    EXPECT_EQ(call("POST", "/bkt?delete", body + " ", md5).code, "BadDigest");
    EXPECT_EQ(call("HEAD", "/bkt/a").status, 200);
    const auto result = xml(call("POST", "/bkt?delete", body, md5));
    EXPECT_EQ(all(result, "Deleted", "Key"), (std::vector<std::string>{"a", "b&c", "none"}));
    EXPECT_EQ(all(result, "Error", "Code"), std::vector<std::string>{"InvalidURI"});
    EXPECT_EQ(call("HEAD", "/bkt/a").status, 404);
}

TEST_F(S3ServiceTest, UploadsInParts) {
    const auto started =
        xml(call("POST", "/bkt/big?uploads", "", {{"Content-Type", "x/y"}, {"x-amz-checksum-algorithm", "CRC32"}}));
    const std::string id = started.text_of("UploadId"), upload = "/bkt/big?uploadId=" + id;
    const std::string one(5 << 20, '1'), two = "two";
    const auto first = call("PUT", upload + "&partNumber=1", one), second = call("PUT", upload + "&partNumber=2", two);
    ASSERT_EQ(first.status, 200) << first.code;
    EXPECT_TRUE(first.headers.has("x-amz-checksum-crc32"));
    EXPECT_EQ(call("PUT", upload + "&partNumber=0", two).code, "InvalidArgument");
    EXPECT_EQ(call("PUT", upload + "x&partNumber=1", two).code, "NoSuchUpload");
    EXPECT_EQ(all(xml(call("GET", upload)), "Part", "Size"), (std::vector<std::string>{"5242880", "3"}));
    EXPECT_EQ(all(xml(call("GET", "/bkt?uploads")), "Upload", "Key"), std::vector<std::string>{"big"});
    const auto list = [](const std::string& a, const std::string& b) {
        return "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + a +
               "</ETag></Part><Part><PartNumber>2</PartNumber><ETag>" + b + "</ETag></Part></CompleteMultipartUpload>";
    };
    EXPECT_EQ(call("POST", upload, list("x", "y")).code, "InvalidPart");
    EXPECT_EQ(call("POST", upload, "").code, "MalformedXML");
    const auto done = call("POST", upload, list(first.headers.get("ETag"), second.headers.get("ETag")));
    ASSERT_EQ(done.status, 200) << done.code;
    EXPECT_TRUE(xml(done).text_of("ETag").ends_with("-2\""));
    EXPECT_TRUE(xml(done).text_of("ChecksumCRC32").ends_with("-2"));
    EXPECT_EQ(call("GET", "/bkt/big").body, one + two);
    const auto part = call("GET", "/bkt/big?partNumber=2");
    EXPECT_EQ(part.body, "two");
    EXPECT_EQ(part.headers.get("x-amz-mp-parts-count"), "2");
}

TEST_F(S3ServiceTest, CopiesIntoPartsAndAborts) {
    put("source", "0123456789");
    const std::string id = xml(call("POST", "/bkt/t?uploads")).text_of("UploadId"), upload = "/bkt/t?uploadId=" + id;
    const auto copied = call("PUT", upload + "&partNumber=1", "",
                             {{"x-amz-copy-source", "/bkt/source"}, {"x-amz-copy-source-range", "bytes=2-4"}});
    ASSERT_EQ(copied.status, 200) << copied.code;
    EXPECT_EQ(xml(copied).text_of("ETag"), "\"" + to_hex(digest(DigestKind::Md5, "234")) + "\"");
    for (const auto* range : {"bytes=5-", "bytes=-2", "0-4"})
        EXPECT_EQ(call("PUT", upload + "&partNumber=1", "",
                       {{"x-amz-copy-source", "/bkt/source"}, {"x-amz-copy-source-range", range}})
                      .code,
                  "InvalidArgument")
            << range;
    EXPECT_EQ(call("DELETE", upload).status, 204);
    EXPECT_EQ(call("DELETE", upload).code, "NoSuchUpload");
}

TEST_F(S3ServiceTest, TakesHostileKeysAsKeys) {
    for (const auto& key : std::vector<std::string>{"../../x", "//", "a/./b", "/lead", std::string(1024, 'k')}) {
        ASSERT_EQ(put(key, "content").status, 200) << key;
        EXPECT_EQ(call("GET", "/bkt/" + percent_encode(key)).body, "content") << key;
        EXPECT_EQ(call("GET", "/bkt/" + percent_encode(key, Slash::Keep)).body, "content") << key;
    }
    EXPECT_EQ(put(std::string(1025, 'k'), "x").code, "KeyTooLongError");
    EXPECT_EQ(call("PUT", "/bkt/a%00b", "x").code, "InvalidURI");
    EXPECT_EQ(call("PUT", "/bkt/%FF", "x").code, "InvalidURI");
    EXPECT_EQ(call("PUT", "/bkt/%zz", "x").code, "InvalidURI");
    EXPECT_EQ(call("GET", "/../etc/passwd").code, "NoSuchBucket");
}

}  // namespace
}  // namespace millwright::s3
