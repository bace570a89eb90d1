#include "services/s3/put_headers.h"

#include <algorithm>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "services/s3/errors.h"
#include "services/s3/tags.h"

namespace millwright::s3 {
namespace {

using aws::ApiError;
using aws::ApiResult;

constexpr size_t kMaxMetadataBytes = 2048;
constexpr std::string_view kChecksumPrefix = "x-amz-checksum-";
constexpr std::string_view kMetadataPrefix = "x-amz-meta-";
constexpr std::string_view kEncryptionPrefix = "x-amz-server-side-encryption";

struct Algorithm {
    std::string_view name, header;
    DigestKind kind;
    size_t bytes;
};
constexpr Algorithm kAlgorithms[] = {{"CRC32", "crc32", DigestKind::Crc32, 4},
                                     {"CRC32C", "crc32c", DigestKind::Crc32c, 4},
                                     {"CRC64NVME", "crc64nvme", DigestKind::Crc64Nvme, 8},
                                     {"SHA1", "sha1", DigestKind::Sha1, 20},
                                     {"SHA256", "sha256", DigestKind::Sha256, 32}};

const Algorithm* find_algorithm(std::string_view header) {
    if (!header.starts_with(kChecksumPrefix)) return nullptr;
    for (const auto& algorithm : kAlgorithms)
        if (header.substr(kChecksumPrefix.size()) == algorithm.header) return &algorithm;
    return nullptr;
}

// Headers that ask for something Millwright does not do.
struct Refused {
    std::string_view prefix, what;
};
constexpr Refused kRefused[] = {
    {"x-amz-server-side-encryption-customer-", "encryption with customer-provided keys (SSE-C)"},
    {"x-amz-copy-source-server-side-encryption-customer-", "encryption with customer-provided keys (SSE-C)"},
    {"x-amz-object-lock-", "object lock"},
    {"x-amz-website-redirect-location", "website redirects"},
    {"x-amz-write-offset-bytes", "appending to objects"},
};

constexpr std::string_view kStorageClasses[] = {"STANDARD",   "REDUCED_REDUNDANCY",  "STANDARD_IA",
                                                "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"};

ApiResult<void> refuse_unsupported(std::string_view name) {
    for (const auto& refused : kRefused) {
        if (!name.starts_with(refused.prefix)) continue;
        return not_implemented(refused.what);
    }
    return {};
}

ApiResult<void> check_encryption(const std::map<std::string, std::string>& headers) {
    const auto kind = headers.find(std::string(kEncryptionPrefix));
    const bool kms = kind != headers.end() && kind->second.starts_with("aws:kms");
    if (kind != headers.end() && !kms && kind->second != "AES256")
        return invalid_argument("The encryption method specified is not supported", kEncryptionPrefix, kind->second);
    if (headers.contains("x-amz-server-side-encryption-aws-kms-key-id") && !kms)
        return invalid_argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header "
            "x-amz-server-side-encryption : aws:kms",
            kEncryptionPrefix, kind == headers.end() ? "" : kind->second);
    return {};
}

}  // namespace

ApiResult<Digests> read_digests(const net::Headers& headers) {
    Digests digests;
    if (const auto text = headers.find("Content-MD5")) {
        digests.md5 = from_base64(*text);
        if (!digests.md5 || digests.md5->size() != 16)
            return ApiError{400, "InvalidDigest", "The Content-MD5 you specified was invalid."};
    }
    for (const auto& [raw_name, value] : headers.all()) {
        const std::string name = to_lower(raw_name);
        const auto* algorithm = find_algorithm(name);
        if (!algorithm) continue;
        const auto raw = from_base64(value);
        if (!raw || raw->size() != algorithm->bytes)
            return invalid_request("Value for " + name + " header is invalid.");
        digests.expected[std::string(algorithm->name)] = value;
    }
    if (digests.expected.size() > 1)
        return invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    for (const auto name : split(headers.find("x-amz-trailer").value_or(""), ','))
        if (const auto* algorithm = find_algorithm(to_lower(trim(name))))
            digests.in_trailer.emplace_back(algorithm->name);
    if (headers.has("x-amz-sdk-checksum-algorithm") && digests.expected.empty() && digests.in_trailer.empty() &&
        !digests.md5)
        return invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
            "headers were found.");
    return digests;
}

ApiResult<std::map<std::string, std::string>> take_object_checksums(net::Headers& headers) {
    net::Headers bare;
    std::map<std::string, std::string> given;
    for (const auto& algorithm : kAlgorithms) {
        const std::string name = std::string(kChecksumPrefix) + std::string(algorithm.header);
        const auto value = headers.find(name);
        if (!value) continue;
        given[std::string(algorithm.name)] = *value;
        bare.add(name, std::string(value->substr(0, value->find('-'))));
        headers.erase(name);
    }
    headers.erase("Content-MD5");
    TRY(read_digests(bare));
    return given;
}

std::string checksum_of(const std::string& name, std::string_view bytes) {
    const auto* algorithm = std::find_if(std::begin(kAlgorithms), std::end(kAlgorithms),
                                         [&](const Algorithm& known) { return known.name == name; });
    CHECK(algorithm != std::end(kAlgorithms));
    return to_base64(digest(algorithm->kind, bytes));
}

ApiResult<std::string> checksum_algorithm(const net::Headers& headers) {
    const std::string name = headers.get("x-amz-checksum-algorithm");
    if (!name.empty() && !object_store::is_checksum_algorithm(name))
        return invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, "
            "CRC32C, CRC64NVME, SHA1, SHA256]");
    return name;
}

ApiResult<ObjectHeaders> read_object_headers(const net::Headers& headers) {
    ObjectHeaders object;
    size_t metadata_bytes = 0;
    for (const auto& [raw_name, value] : headers.all()) {
        const std::string name = to_lower(raw_name);
        TRY(refuse_unsupported(name));
        if (name.starts_with(kMetadataPrefix)) {
            const std::string key = name.substr(kMetadataPrefix.size());
            auto& stored = object.metadata[key];
            stored += (stored.empty() ? "" : ",") + value;
            metadata_bytes += key.size() + value.size();
        } else if (name == "content-type") {
            object.content_type = value;
        } else if (name == "cache-control" || name == "content-disposition" || name == "content-encoding" ||
                   name == "content-language" || name == "expires") {
            if (!value.empty()) object.headers[raw_name] = value;
        } else if (name.starts_with(kEncryptionPrefix)) {
            object.headers[name] = value;
        } else if (name == "x-amz-tagging") {
            object.tags = TRY(parse_tagging_header(value));
        } else if (name == "x-amz-storage-class") {
            if (std::find(std::begin(kStorageClasses), std::end(kStorageClasses), value) == std::end(kStorageClasses))
                return value == "GLACIER" || value == "DEEP_ARCHIVE"
                           ? not_implemented("the archive storage class " + value)
                           : ApiError{400, "InvalidStorageClass", "The storage class you specified is not valid"};
            object.storage_class = value;
        }
    }
    TRY(check_encryption(object.headers));
    if (metadata_bytes > kMaxMetadataBytes)
        return ApiError{400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"};
    return object;
}

ApiResult<WriteConditions> read_write_conditions(const net::Headers& headers) {
    WriteConditions conditions;
    const auto etag_of = [&](std::string_view name) -> std::optional<std::string> {
        const auto text = headers.find(name);
        if (!text) return std::nullopt;
        std::string_view etag = trim(*text);
        if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
        return std::string(etag);
    };
    conditions.if_none_match = etag_of("If-None-Match");
    conditions.if_match = etag_of("If-Match");
    return conditions;
}

void add_encryption_headers(net::Headers& out, const std::map<std::string, std::string>& headers) {
    for (const auto& [name, value] : headers)
        if (name.starts_with(kEncryptionPrefix)) out.add(name, value);
}

}  // namespace millwright::s3
