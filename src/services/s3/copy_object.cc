#include "base/encoding.h"
#include "services/s3/access.h"
#include "services/s3/conditions.h"
#include "services/s3/copy_source.h"
#include "services/s3/new_object.h"
#include "services/s3/object_versions.h"
#include "services/s3/operations.h"
#include "services/s3/put_headers.h"

namespace millwright::s3 {
namespace {

// COPY unless REPLACE is asked for.
ApiResult<bool> replaces(const Exchange& exchange, const std::string& what) {
    const std::string header = "x-amz-" + what + "-directive", directive = exchange.header(header);
    if (directive == "REPLACE") return true;
    if (directive.empty() || directive == "COPY") return false;
    return invalid_argument("Unknown " + what + " directive.", header, directive);
}

// "versionId=…" behind the key.
ApiResult<std::string> source_version(std::string_view query) {
    for (const auto& [name, value] : net::parse_query(query)) {
        if (name != "versionId" || value.empty())
            return invalid_argument("Unsupported copy source parameter.", "x-amz-copy-source", name);
        return value;
    }
    return std::string();
}

}  // namespace

ApiResult<CopySource> open_copy_source(const Exchange& exchange) {
    std::string_view text = exchange.request.headers.find("x-amz-copy-source").value_or("");
    std::string version;
    if (const size_t question = text.find('?'); question != std::string_view::npos) {
        version = TRY(source_version(text.substr(question + 1)));
        text = text.substr(0, question);
    }
    const std::string decoded = percent_decode(text);
    std::string_view path = decoded;
    if (path.starts_with('/')) path.remove_prefix(1);
    const size_t slash = path.find('/');
    if (path.starts_with("arn:") || slash == std::string_view::npos || slash + 1 == path.size())
        return invalid_argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
                                "x-amz-copy-source", decoded);
    CopySource source{std::string(path.substr(0, slash)), std::string(path.substr(slash + 1)), version, {}};
    TRY(open_bucket(exchange, source.bucket, "x-amz-source-expected-bucket-owner"));
    TRY(require_object(exchange, {"s3:GetObject", source.bucket, source.key, source.version}));
    auto object = exchange.store.get(source.bucket, source.key, source.version);
    if (!object && object.error().kind == ErrorKind::Conflict)  // a delete marker
        return invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version "
            "id.");
    source.object = TRY(in_s3(std::move(object)));
    const auto condition = check_conditions(exchange.request.headers, "x-amz-copy-source-", source.object.info.etag,
                                            source.object.info.modified);
    if (condition.verdict != Verdict::Proceed)
        return precondition_failed("x-amz-copy-source-" + std::string(condition.header));
    return source;
}

ApiResult<void> copy_object(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const bool replace = TRY(replaces(exchange, "metadata")), replace_tags = TRY(replaces(exchange, "tagging"));
    auto given = TRY(read_object_headers(exchange.request.headers));
    TRY(add_bucket_defaults(exchange, bucket, given.headers));
    const auto conditions = TRY(read_write_conditions(exchange.request.headers));
    const std::string algorithm = TRY(checksum_algorithm(exchange.request.headers));
    const auto source = TRY(open_copy_source(exchange));
    const auto& info = source.object.info;
    if (info.size > object_store::kMaxPutBytes)
        return invalid_request(
            "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120");
    const bool same = source.bucket == exchange.bucket() && source.key == exchange.key();
    if (same && source.version.empty() && !replace && !exchange.has_header("x-amz-storage-class") &&
        !exchange.has_header("x-amz-server-side-encryption"))
        return invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.");

    object_store::PutOptions options;
    if (replace) {
        options.content_type = given.content_type;
        options.headers = given.headers;
        options.metadata = given.metadata;
    } else {
        options.content_type = info.content_type;
        options.metadata = info.metadata;
        for (const auto& [name, value] : info.headers)
            if (!name.starts_with("x-amz-")) options.headers[name] = value;
        for (const auto& [name, value] : given.headers)
            if (name.starts_with("x-amz-")) options.headers[name] = value;
    }
    options.storage_class = given.storage_class;
    options.tags = replace_tags ? given.tags : info.tags;
    if (!algorithm.empty() && !(info.checksums.contains(algorithm) && info.checksum_type == "FULL_OBJECT"))
        options.compute_checksums = {algorithm};
    options.if_none_match = conditions.if_none_match;
    options.if_match = conditions.if_match;
    const auto copied = TRY(in_s3(exchange.store.copy(exchange.bucket(), exchange.key(), options, source.object)));

    XmlWriter xml;
    xml.open("CopyObjectResult", kXmlNamespace);
    xml.element("LastModified", format_iso8601(copied.modified, Fraction::Milliseconds));
    xml.element("ETag", quoted(copied.etag));
    write_checksums(xml, copied.checksums, copied.checksum_type);
    xml.close();
    net::Headers headers;
    add_encryption_headers(headers, copied.headers);
    add_written_headers(headers, bucket, copied);
    if (!info.version.empty()) headers.add("x-amz-copy-source-version-id", info.version);
    return exchange.send_xml(xml, std::move(headers));
}

}  // namespace millwright::s3
