// The headers of requests that write: digests, properties of the object, and everything that must be refused.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/api_error.h"
#include "net/http.h"
#include "object_store/object_store.h"

namespace millwright::s3 {

struct Digests {
    std::optional<std::string> md5;               // raw
    std::map<std::string, std::string> expected;  // "CRC32" -> base64, from x-amz-checksum-*
    std::vector<std::string> in_trailer;          // algorithms whose value follows the body (the front verifies it)
};
// InvalidDigest, InvalidRequest.
aws::ApiResult<Digests> read_digests(const net::Headers& headers);
// The same headers of a completion, which speak of the object and not of the body; they are removed. A composite value
// may end with "-<parts>".
aws::ApiResult<std::map<std::string, std::string>> take_object_checksums(net::Headers& headers);
// "CRC32" -> base64 of its value for `bytes`. REQUIRES: a known algorithm.
std::string checksum_of(const std::string& algorithm, std::string_view bytes);
// x-amz-checksum-algorithm: "" when absent.
aws::ApiResult<std::string> checksum_algorithm(const net::Headers& headers);

// Content-Type, Cache-Control and the like, x-amz-meta-*, storage class, server-side encryption as a label. Refuses
// what is not supported: locks, redirects, customer keys.
struct ObjectHeaders {
    std::string content_type = "binary/octet-stream";
    std::map<std::string, std::string> headers, metadata;
    std::string storage_class = "STANDARD";
    object_store::Tags tags;
};
aws::ApiResult<ObjectHeaders> read_object_headers(const net::Headers& headers);

// If-Match and If-None-Match of a write.
struct WriteConditions {
    std::optional<std::string> if_none_match, if_match;  // an ETag without quotes, or "*"
};
aws::ApiResult<WriteConditions> read_write_conditions(const net::Headers& headers);

// Those of `headers` that answers about the write echo: x-amz-server-side-encryption….
void add_encryption_headers(net::Headers& out, const std::map<std::string, std::string>& headers);

}  // namespace millwright::s3
