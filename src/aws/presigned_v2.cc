#include "aws/presigned_v2.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace millwright::aws::presigned_v2 {
namespace {

constexpr std::array<std::string_view, 34> kSubResources = {"accelerate",
                                                            "acl",
                                                            "analytics",
                                                            "cors",
                                                            "defaultObjectAcl",
                                                            "delete",
                                                            "inventory",
                                                            "lifecycle",
                                                            "location",
                                                            "logging",
                                                            "metrics",
                                                            "notification",
                                                            "object-lock",
                                                            "partNumber",
                                                            "policy",
                                                            "replication",
                                                            "requestPayment",
                                                            "response-cache-control",
                                                            "response-content-disposition",
                                                            "response-content-encoding",
                                                            "response-content-language",
                                                            "response-content-type",
                                                            "response-expires",
                                                            "restore",
                                                            "select",
                                                            "select-type",
                                                            "storageClass",
                                                            "tagging",
                                                            "torrent",
                                                            "uploadId",
                                                            "uploads",
                                                            "versionId",
                                                            "versioning",
                                                            "website"};

std::string query_value(const net::Request& request, std::string_view name) {
    for (const std::string_view piece : split(request.raw_query(), '&'))
        if (piece.size() > name.size() && piece.starts_with(name) && piece[name.size()] == '=')
            return percent_decode(piece.substr(name.size() + 1));
    return "";
}

// From the headers, and from the query where SDKs move what they signed as headers.
std::string amz_lines(const net::Request& request) {
    std::map<std::string, std::string> values;
    for (const auto& [name, value] : request.headers.all()) {
        const std::string lower = to_lower(name);
        if (!lower.starts_with("x-amz-")) continue;
        std::string& joined = values[lower];
        joined += (joined.empty() ? "" : ",") + std::string(trim(value));
    }
    for (const std::string_view piece : split(request.raw_query(), '&')) {
        const size_t mark = piece.find('=');
        if (mark != std::string_view::npos && piece.starts_with("x-amz-"))
            values.emplace(piece.substr(0, mark), percent_decode(piece.substr(mark + 1)));
    }
    std::string out;
    for (const auto& [name, value] : values) out.append(name).append(":").append(value).append("\n");
    return out;
}

std::string resource(const net::Request& request, std::string_view bucket) {
    std::vector<std::pair<std::string, std::string>> parts;
    for (const std::string_view piece : split(request.raw_query(), '&')) {
        const size_t mark = piece.find('=');
        const std::string name(piece.substr(0, mark));
        if (std::find(kSubResources.begin(), kSubResources.end(), name) == kSubResources.end()) continue;
        parts.emplace_back(name, mark == std::string_view::npos ? "" : "=" + percent_decode(piece.substr(mark + 1)));
    }
    std::sort(parts.begin(), parts.end());
    std::string out = bucket.empty() ? "" : "/" + std::string(bucket);
    out += request.raw_path();
    for (size_t i = 0; i < parts.size(); ++i) out += (i == 0 ? "?" : "&") + parts[i].first + parts[i].second;
    return out;
}

std::string header_or_query(const net::Request& request, std::string_view name) {
    const auto header = request.headers.find(name);
    return header ? std::string(trim(*header)) : query_value(request, name);
}

}  // namespace

std::string hmac_sha1(std::string_view key, std::string_view text) {
    constexpr size_t kBlock = 64;
    std::string block = key.size() > kBlock ? digest(DigestKind::Sha1, key) : std::string(key);
    block.resize(kBlock, '\0');
    std::string inner = block, outer = block;
    for (char& c : inner) c = static_cast<char>(c ^ 0x36);
    for (char& c : outer) c = static_cast<char>(c ^ 0x5c);
    return digest(DigestKind::Sha1, outer + digest(DigestKind::Sha1, inner + std::string(text)));
}

std::optional<Claim> parse(const net::Request& request) {
    Claim claim{query_value(request, "AWSAccessKeyId"), query_value(request, "Signature"),
                query_value(request, "Expires"), query_value(request, "x-amz-security-token")};
    if (claim.access_key_id.empty() || claim.signature.empty()) return std::nullopt;
    return claim;
}

std::string signature(const net::Request& request, const Claim& claim, std::string_view bucket,
                      std::string_view secret) {
    const std::string text = request.method + "\n" + header_or_query(request, "content-md5") + "\n" +
                             header_or_query(request, "content-type") + "\n" + claim.expires + "\n" +
                             amz_lines(request) + resource(request, bucket);
    return to_base64(hmac_sha1(secret, text));
}

}  // namespace millwright::aws::presigned_v2
