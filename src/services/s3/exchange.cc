#include "services/s3/exchange.h"

#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "services/s3/put_headers.h"

namespace millwright::s3 {
namespace {
constexpr size_t kMaxDocumentBytes = size_t{8} << 20;  // ten thousand parts, or a thousand keys of full length
}

std::optional<std::string> Exchange::parameter(std::string_view name) const {
    for (const auto& [known, value] : query)
        if (known == name) return value;
    return std::nullopt;
}

ApiResult<void> Exchange::send_xml(XmlWriter& xml, net::Headers headers) {
    headers.set("Content-Type", "application/xml");
    return sent(response.send(200, headers, xml.finish()));
}

ApiResult<void> Exchange::send_empty(int status, net::Headers headers) {
    if (request.method == "HEAD" || status == 304) return sent(response.send_headers_only(status, headers, 0));
    return sent(response.send(status, headers, ""));
}

ApiResult<object_store::BucketInfo> open_bucket(const Exchange& exchange) {
    return open_bucket(exchange, exchange.bucket(), "x-amz-expected-bucket-owner");
}

ApiResult<object_store::BucketInfo> open_bucket(const Exchange& exchange, const std::string& name,
                                                std::string_view owner_header) {
    auto found = exchange.store.find_bucket(name);
    if (!found) {
        ApiError error = s3_error(found.error());
        if (error.code == "NoSuchBucket") error.members.set("BucketName", name);
        return error;
    }
    // With a gate, who may was asked before; without one there is only the owner.
    if (!exchange.call.gate && found->account != exchange.call.caller.account) return access_denied();
    const auto expected = exchange.request.headers.find(owner_header);
    if (expected && *expected != found->account) return access_denied();
    return std::move(*found);
}

ApiResult<std::string> read_document(const Exchange& exchange) {
    const auto digests = TRY(read_digests(exchange.request.headers));
    std::string text;
    auto source = body_source(exchange.request);
    char buffer[16 * 1024];
    for (;;) {
        const size_t got = TRY(in_s3(source(buffer)));
        if (got == 0) break;
        if (text.size() + got > kMaxDocumentBytes) return malformed_xml();
        text.append(buffer, got);
    }
    if (digests.md5 && *digests.md5 != digest(DigestKind::Md5, text))
        return ApiError{400, "BadDigest", "The Content-MD5 you specified did not match what we received."};
    for (const auto& [name, value] : digests.expected)
        if (value != checksum_of(name, text))
            return ApiError{400, "BadDigest", "The " + name + " you specified did not match the calculated checksum."};
    return text;
}

object_store::Source body_source(net::Request& request) {
    return [body = request.body](std::span<char> buffer) -> Result<size_t> {
        auto got = body->read(buffer);
        if (!got) got.error().detail = std::string(kBody) + got.error().detail;
        return got;
    };
}

std::string owner_id(const std::string& account) { return sha256_hex("millwright:" + account); }

void write_owner(XmlWriter& xml, std::string_view element, const std::string& account) {
    xml.open(element).element("ID", owner_id(account)).element("DisplayName", account).close();
}

std::string quoted(std::string_view etag) { return '"' + std::string(etag) + '"'; }

std::string unquoted(std::string_view etag) {
    etag = trim(etag);
    if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
    return std::string(etag);
}

void write_checksums(XmlWriter& xml, const std::map<std::string, std::string>& checksums, std::string_view type) {
    for (const auto& [name, value] : checksums) xml.element("Checksum" + name, value);
    if (!checksums.empty() && !type.empty()) xml.element("ChecksumType", type);
}

void add_checksum_headers(net::Headers& headers, const std::map<std::string, std::string>& checksums,
                          std::string_view type) {
    for (const auto& [name, value] : checksums) headers.add("x-amz-checksum-" + to_lower(name), value);
    if (!checksums.empty() && !type.empty()) headers.add("x-amz-checksum-type", std::string(type));
}

ApiResult<int> number_parameter(const Exchange& exchange, std::string_view name, int otherwise, int low, int high) {
    const auto text = exchange.parameter(name);
    if (!text || text->empty()) return otherwise;
    const auto value = parse_int(*text);
    if (!value || *value < low || *value > INT32_MAX)
        return invalid_argument("Provided " + std::string(name) + " not an integer or within integer range", name,
                                *text);
    return static_cast<int>(std::min<int64_t>(*value, high));
}

ApiResult<bool> wants_url_encoding(const Exchange& exchange) {
    const auto encoding = exchange.parameter("encoding-type");
    if (!encoding || encoding->empty()) return false;
    if (*encoding != "url")
        return invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", *encoding);
    return true;
}

std::string shown(const std::string& text, bool url_encoded) {
    return url_encoded ? percent_encode(text, Slash::Keep) : text;
}

}  // namespace millwright::s3
