// AWS Signature Version 4: verification of every request, the body readers that go with it, and a small signer.
//
// What is verified: header and presigned signatures (and S3's old presigned form, aws/presigned_v2.h); the time (15
// minutes either way, or the life of a presigned URL); that host and every x-amz-* header are signed; the session token
// and its expiry; and the body, against x-amz-content-sha256 or chunk by chunk while it is read.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/api_error.h"
#include "aws/service.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "net/http.h"

namespace millwright::aws {

// "20261122/us-west-2/sagemaker/aws4_request" and who signed.
struct CredentialScope {
    std::string access_key_id, date, region, service;
    std::string text() const;  // without the key
};

// The claim of a request, before anything is verified. Nothing when it carries no signature at all.
// Understands the Authorization header and the X-Amz-* query; broken ones yield what could be read.
std::optional<CredentialScope> claimed_scope(const net::Request& request);

enum class PayloadKind {
    Buffered,         // no x-amz-content-sha256: the hash of the whole body is needed to verify
    Hashed,           // x-amz-content-sha256 is the hash; the body is checked while it is read
    Unsigned,         // UNSIGNED-PAYLOAD
    SignedChunks,     // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
    SignedTrailer,    // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
    UnsignedTrailer,  // STREAMING-UNSIGNED-PAYLOAD-TRAILER
};

// Why a request is refused; each protocol has its own code and text for it.
enum class AuthFailureKind {
    Anonymous,
    Malformed,
    UnknownKey,
    BadSignature,
    Skewed,
    UrlExpired,
    BadToken,
    ExpiredToken,
    UnsignedHeader,
    BadScope,
    MissingPayloadHash,
    BadPayloadHash
};
struct [[nodiscard]] AuthFailure {
    AuthFailureKind kind;
    std::string text;         // AWS's text for JSON and query services, where it depends on the request; else empty
    std::string detail = {};  // for the log: expected canonical request and the like; never a secret
};
// How the failure looks to a client of a JSON or query service, or of S3.
enum class ErrorStyle { Json, Query, S3 };
ApiError auth_error(const AuthFailure& failure, ErrorStyle style);

// What the body of a verified request still has to prove.
struct PayloadCheck {
    PayloadKind kind = PayloadKind::Unsigned;
    std::string sha256_hex;                                     // Hashed
    std::string signing_key, timestamp, scope, seed_signature;  // chunks
    std::optional<uint64_t> decoded_length;                     // x-amz-decoded-content-length
    std::vector<std::string> trailers;                          // lower-case names announced by x-amz-trailer
};

struct Verified {
    Credential credential;  // caller.region from the scope, caller.access_key_id filled
    CredentialScope scope;
    bool presigned = false;
    PayloadCheck payload;
};

// What a request claims, checked as far as it can be without its body.
class CheckedClaims {
  public:
    struct Parts;
    CheckedClaims(PayloadKind kind, std::unique_ptr<Parts> parts);
    ~CheckedClaims();
    CheckedClaims(CheckedClaims&&) noexcept;
    CheckedClaims& operator=(CheckedClaims&&) noexcept;

    PayloadKind kind() const { return kind_; }

  private:
    friend class SignatureVerifier;
    PayloadKind kind_;
    std::unique_ptr<Parts> parts_;  // null for presigned URLs of the old form
};

// Thread-safe.
class SignatureVerifier {
  public:
    // `bucket_of_host`: the bucket a Host header names, "" for path style; as S3 resolves it, because URLs of the old
    // form sign the bucket and not the host. Without it such URLs are taken for hosts that cannot name a bucket only.
    using BucketOfHost = std::function<std::string(std::string_view host)>;
    SignatureVerifier(const CredentialSource& credentials, const Clock& clock, BucketOfHost bucket_of_host = {})
        : credentials_(credentials), clock_(clock), bucket_of_host_(std::move(bucket_of_host)) {}

    // Everything that can be checked before the body is read: form, key, time, signed headers. Buffered means "read the
    // body and pass its hash to verify()"; nobody without a known key makes the server read a body.
    Result<CheckedClaims, AuthFailure> check_claims(const net::Request& request) const;
    // The rest of it. REQUIRES: the claims are of this request, which has not changed since.
    // `body_sha256_hex`: hash of the whole body for Buffered, otherwise ignored.
    Result<Verified, AuthFailure> verify(CheckedClaims claims, const net::Request& request,
                                         std::string_view body_sha256_hex) const;
    // Both at once.
    Result<Verified, AuthFailure> verify(const net::Request& request, std::string_view body_sha256_hex) const;

  private:
    struct CachedKey {
        std::string secret, key;
    };
    std::string signing_key(const CredentialScope& scope, const std::string& secret) const;
    Result<Verified, AuthFailure> verify_v2(const net::Request& request, bool with_signature) const;

    const CredentialSource& credentials_;
    const Clock& clock_;
    BucketOfHost bucket_of_host_;
    mutable Mutex mutex_;
    mutable std::map<std::string, CachedKey> keys_ GUARDED_BY(mutex_);  // by scope; emptied when it is full
};

// The decoded payload of a verified request. Bytes are handed out before their chunk is proved: whoever reads acts on
// nothing until read() has returned 0. After an error, failure() is the answer S3 gives for it.
class PayloadReader : public net::BodyReader {
  public:
    PayloadReader(PayloadCheck check, net::BodyReader& inner);
    ~PayloadReader() override;

    Result<size_t> read(std::span<char> buffer) override;
    std::optional<uint64_t> length() const override;  // decoded
    // Fields after the last chunk, once read() has returned 0: "x-amz-checksum-crc32" and its base64 text.
    const net::Headers& trailers() const;
    const std::optional<ApiError>& failure() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// A body from memory.
class StringBody : public net::BodyReader {
  public:
    explicit StringBody(std::string bytes) : bytes_(std::move(bytes)) {}
    Result<size_t> read(std::span<char> buffer) override;
    std::optional<uint64_t> length() const override { return bytes_.size(); }

  private:
    std::string bytes_;
    size_t at_ = 0;
};

// The signer, for tests and for our own clients.
struct SigningKeys {
    std::string access_key_id, secret_access_key, session_token = {};
};
struct SigningScope {
    std::string region, service;
    Timestamp time;
};
// Adds X-Amz-Date, X-Amz-Security-Token and Authorization. Every header present is signed, Host must be among them.
// `payload_hash`: hex SHA-256 of the body, or what x-amz-content-sha256 says (which the caller sets for S3).
void sign_request(net::Request& request, const SigningKeys& keys, const SigningScope& scope,
                  std::string_view payload_hash);
// The target with X-Amz-* query parameters. Only `host` is signed.
std::string presign_target(const net::Request& request, const SigningKeys& keys, const SigningScope& scope,
                           std::chrono::seconds lifetime);
// The body as signed chunks of at most `chunk` bytes that continue `seed_signature` (the one of the request); with a
// trailer field when `trailer_name` is not empty.
struct ChunkOptions {
    size_t chunk = 64 * 1024;
    bool signed_chunks = true;
    std::string trailer_name = {}, trailer_value = {};
};
std::string chunked_body(std::string_view body, const SigningKeys& keys, const SigningScope& scope,
                         std::string_view seed_signature, const ChunkOptions& options);

}  // namespace millwright::aws
