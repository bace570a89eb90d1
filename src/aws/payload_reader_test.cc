#include <gtest/gtest.h>

#include <array>

#include "aws/sigv4.h"
#include "aws/test_support.h"
#include "base/digest.h"
#include "base/encoding.h"

namespace millwright::aws {
namespace {

const SigningKeys kKeys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
const FixedClock kClock("20130524T000000Z");
const SigningScope kScope{"us-east-1", "s3", kClock.now()};

FixedCredentials example_credentials() {
    FixedCredentials credentials;
    credentials.by_id[kKeys.access_key_id] = {kKeys.secret_access_key, "", std::nullopt, {}};
    return credentials;
}

struct Upload {
    net::Request request;
    std::string wire;
};

std::string signature_in(const net::Request& request) {
    const std::string header = request.headers.get("authorization");
    return header.substr(header.rfind('=') + 1);
}

struct Plan {
    std::string kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    std::string trailer_name = {}, trailer_value = {};
    size_t chunk = 64 * 1024;
    std::string declared_length = {};  // that of the body when empty
};

Upload upload(std::string_view body, const Plan& plan) {
    Upload out;
    out.request.method = "PUT";
    out.request.target = "/examplebucket/chunkObject.txt";
    out.request.headers = {{"Host", "s3.amazonaws.com"},
                           {"x-amz-content-sha256", plan.kind},
                           {"x-amz-decoded-content-length",
                            plan.declared_length.empty() ? std::to_string(body.size()) : plan.declared_length}};
    if (!plan.trailer_name.empty()) out.request.headers.add("x-amz-trailer", plan.trailer_name);
    sign_request(out.request, kKeys, kScope, plan.kind);
    const ChunkOptions options{plan.chunk, plan.kind != "STREAMING-UNSIGNED-PAYLOAD-TRAILER", plan.trailer_name,
                               plan.trailer_value};
    out.wire = chunked_body(body, kKeys, kScope, signature_in(out.request), options);
    return out;
}

struct Outcome {
    std::string body;
    std::string error_code;  // "" when everything held
    net::Headers trailers;
};

Outcome read_out(const Verified& verified, const std::string& wire, size_t step = 1 << 20, size_t buffer_size = 4096,
                 bool cut = false) {
    SteppedBody body(wire, step, cut);
    PayloadReader reader(verified.payload, body);
    Outcome outcome;
    std::string buffer(buffer_size, '\0');
    for (;;) {
        const auto got = reader.read({buffer.data(), buffer.size()});
        if (!got) {
            EXPECT_TRUE(reader.failure());
            outcome.error_code = reader.failure()->code;
            EXPECT_FALSE(reader.read({buffer.data(), buffer.size()})) << "an error is final";
            return outcome;
        }
        if (*got == 0) break;
        outcome.body.append(buffer, 0, *got);
    }
    outcome.trailers = reader.trailers();
    return outcome;
}

Verified verified(const net::Request& request) {
    static const FixedCredentials credentials = example_credentials();
    const SignatureVerifier verifier(credentials, kClock);
    auto result = verifier.verify(request, "");
    EXPECT_TRUE(result) << result.error().text << "\n" << result.error().detail;
    return std::move(result).value();
}

// The worked example of the S3 documentation, "Signature Calculations: Transferring Payload in Multiple Chunks".
TEST(SignedChunks, MatchTheDocumentedExample) {
    net::Request request;
    request.method = "PUT";
    request.target = "/examplebucket/chunkObject.txt";
    request.headers = {{"Host", "s3.amazonaws.com"},
                       {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
                       {"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
                       {"Content-Encoding", "aws-chunked"},
                       {"x-amz-decoded-content-length", "66560"},
                       {"Content-Length", "66824"}};
    sign_request(request, kKeys, kScope, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    EXPECT_EQ(signature_in(request), "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
    const std::string body(66560, 'a');
    const std::string wire = chunked_body(body, kKeys, kScope, signature_in(request), {});
    EXPECT_EQ(wire.size(), 66824u);
    for (const char* signature :
         {"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
          "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
          "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"})
        EXPECT_NE(wire.find(signature), std::string::npos) << signature;
    const Outcome outcome = read_out(verified(request), wire);
    EXPECT_EQ(outcome.error_code, "");
    EXPECT_EQ(outcome.body, body);
}

TEST(SignedTrailers, MatchTheDocumentedExample) {
    net::Request request;
    request.method = "PUT";
    request.target = "/examplebucket/chunkObject.txt";
    request.headers = {{"Host", "s3.amazonaws.com"},
                       {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
                       {"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"},
                       {"Content-Encoding", "aws-chunked"},
                       {"x-amz-decoded-content-length", "66560"},
                       {"x-amz-trailer", "x-amz-checksum-crc32c"}};
    sign_request(request, kKeys, kScope, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER");
    EXPECT_EQ(signature_in(request), "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
    const std::string body(66560, 'a');
    ChunkOptions options;
    options.trailer_name = "x-amz-checksum-crc32c";
    options.trailer_value = "sOO8/Q==";
    const std::string wire = chunked_body(body, kKeys, kScope, signature_in(request), options);
    EXPECT_NE(wire.find("x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"),
              std::string::npos);
    const Outcome outcome = read_out(verified(request), wire);
    EXPECT_EQ(outcome.error_code, "");
    EXPECT_EQ(outcome.body, body);
    EXPECT_EQ(outcome.trailers.get("x-amz-checksum-crc32c"), "sOO8/Q==");
}

const std::array kKinds = {DigestKind::Crc32, DigestKind::Crc32c, DigestKind::Crc64Nvme, DigestKind::Sha1,
                           DigestKind::Sha256};
const std::array<std::string, 5> kNames = {"crc32", "crc32c", "crc64nvme", "sha1", "sha256"};

TEST(PayloadReader, ReadsEveryChecksumInEverySplit) {
    std::string body;
    for (int i = 0; i < 3000; ++i) body += static_cast<char>(i * 31);
    for (size_t i = 0; i < kKinds.size(); ++i)
        for (const char* kind : {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
            for (const size_t step : {1u, 7u, 100000u}) {
                const Plan plan{kind, "x-amz-checksum-" + kNames[i], to_base64(digest(kKinds[i], body)), 1000};
                const Upload sent = upload(body, plan);
                const Outcome outcome = read_out(verified(sent.request), sent.wire, step, 333);
                EXPECT_EQ(outcome.error_code, "") << kNames[i];
                EXPECT_EQ(outcome.body, body);
            }
}

TEST(PayloadReader, EmptyBodyIsFine) {
    const Upload sent = upload("", {});
    const Outcome outcome = read_out(verified(sent.request), sent.wire);
    EXPECT_EQ(outcome.error_code + outcome.body, "");
}

TEST(PayloadReader, WrongChecksumIsABadDigest) {
    for (const char* kind : {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}) {
        const Upload sent = upload("hello", {kind, "x-amz-checksum-crc32", "AAAAAA=="});
        EXPECT_EQ(read_out(verified(sent.request), sent.wire).error_code, "BadDigest");
    }
    const Upload broken = upload("hello", {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-checksum-crc32", "!"});
    EXPECT_EQ(read_out(verified(broken.request), broken.wire).error_code, "InvalidRequest");
}

TEST(PayloadReader, AnnouncedTrailerMustComeAndOthersMustNot) {
    Upload missing = upload("hello", {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-checksum-crc32", "NhCmhg=="});
    EXPECT_EQ(read_out(verified(missing.request), missing.wire).error_code, "");
    EXPECT_EQ(read_out(verified(missing.request), "5\r\nhello\r\n0\r\n\r\n").error_code, "MalformedTrailerError");
    EXPECT_EQ(
        read_out(verified(missing.request), "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\nx-other:1\r\n\r\n")
            .error_code,
        "MalformedTrailerError");
    const Upload unknown = upload("hello", {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-checksum-md7", "NhCmhg=="});
    EXPECT_EQ(read_out(verified(unknown.request), unknown.wire).error_code, "InvalidRequest");
}

TEST(PayloadReader, BodyCutAnywhereIsAnError) {
    const Upload sent = upload("hello world", {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "x-amz-checksum-crc32",
                                               to_base64(digest(DigestKind::Crc32, "hello world")), 4});
    const Verified claims = verified(sent.request);
    ASSERT_EQ(read_out(claims, sent.wire).error_code, "");
    for (size_t length = 0; length < sent.wire.size(); ++length) {
        EXPECT_EQ(read_out(claims, sent.wire.substr(0, length)).error_code, "IncompleteBody") << length;
        EXPECT_EQ(read_out(claims, sent.wire.substr(0, length), 5, 3, true).error_code, "IncompleteBody") << length;
    }
}

TEST(PayloadReader, AnyChangedByteOfSignedChunksIsAnError) {
    const Upload sent = upload("hello world", {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "", 4});
    const Verified claims = verified(sent.request);
    for (size_t at = 0; at < sent.wire.size(); ++at)
        for (const char c : {'0', 'f', 'x', '\r', '\n', '\0'}) {
            std::string changed = sent.wire;
            if (changed[at] == c) continue;
            changed[at] = c;
            EXPECT_NE(read_out(claims, changed).error_code, "") << at << " " << int{c};
        }
    EXPECT_NE(read_out(claims, sent.wire + "x").error_code, "");
}

TEST(PayloadReader, ChunksCannotBeReorderedOrDropped) {
    const Upload sent = upload("aaaabbbb", {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "", 4});
    const size_t chunk = (sent.wire.size() - std::string("0;chunk-signature=").size() - 64 - 4) / 2;
    const std::string first = sent.wire.substr(0, chunk), second = sent.wire.substr(chunk, chunk),
                      rest = sent.wire.substr(2 * chunk);
    const Verified claims = verified(sent.request);
    EXPECT_EQ(read_out(claims, first + second + rest).error_code, "");
    EXPECT_EQ(read_out(claims, second + first + rest).error_code, "SignatureDoesNotMatch");
    EXPECT_EQ(read_out(claims, first + rest).error_code, "SignatureDoesNotMatch");
}

TEST(PayloadReader, DeclaredLengthMustBeTheTrueOne) {
    for (const char* declared : {"4", "6", "0"}) {
        const Upload sent = upload("hello", {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "", "", 64, declared});
        EXPECT_EQ(read_out(verified(sent.request), sent.wire).error_code, "IncompleteBody") << declared;
    }
    const Upload sent = upload("hello", {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "", "", 64, "many"});
    EXPECT_EQ(read_out(verified(sent.request), sent.wire).error_code, "MissingContentLength");
}

TEST(PayloadReader, HashOfAPlainBodyIsChecked) {
    net::Request request;
    request.method = "PUT";
    request.target = "/b/k";
    request.headers = {{"Host", "h"}, {"x-amz-content-sha256", sha256_hex("hello")}};
    sign_request(request, kKeys, kScope, sha256_hex("hello"));
    EXPECT_EQ(read_out(verified(request), "hello", 2, 3).body, "hello");
    EXPECT_EQ(read_out(verified(request), "hellO").error_code, "XAmzContentSHA256Mismatch");
    EXPECT_EQ(read_out(verified(request), "hell").error_code, "XAmzContentSHA256Mismatch");
    EXPECT_EQ(read_out(verified(request), "hell", 2, 3, true).error_code, "IncompleteBody");
}

}  // namespace
}  // namespace millwright::aws
