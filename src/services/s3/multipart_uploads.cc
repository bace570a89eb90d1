#include "base/strings.h"
#include "object_store/writing.h"
#include "services/s3/acl.h"
#include "services/s3/conditions.h"
#include "services/s3/copy_source.h"
#include "services/s3/documents.h"
#include "services/s3/new_object.h"
#include "services/s3/object_versions.h"
#include "services/s3/operations.h"
#include "services/s3/put_headers.h"

namespace millwright::s3 {
namespace {

constexpr int kMaxUploads = 1000;

ApiResult<int> part_number(const Exchange& exchange) {
    const std::string text = exchange.parameter("partNumber").value_or("");
    const auto number = parse_int(text);
    if (!number || *number < 1 || *number > object_store::kMaxParts)
        return invalid_argument("Part number must be an integer between 1 and 10000, inclusive", "partNumber", text);
    return static_cast<int>(*number);
}

std::string upload_id(const Exchange& exchange) { return exchange.parameter("uploadId").value_or(""); }

// The label the upload was created with; every part's answer repeats it.
net::Headers encryption_of_upload(const Exchange& exchange) {
    net::Headers headers;
    const auto upload = exchange.store.find_upload(exchange.bucket(), exchange.key(), upload_id(exchange));
    if (upload) add_encryption_headers(headers, upload->options.headers);
    return headers;
}

void write_upload(XmlWriter& xml, const object_store::UploadInfo& upload, const std::string& account,
                  bool url_encoded) {
    xml.open("Upload").element("Key", shown(upload.key, url_encoded)).element("UploadId", upload.id);
    write_owner(xml, "Initiator", account);
    write_owner(xml, "Owner", account);
    xml.element("StorageClass", upload.options.storage_class);
    xml.element("Initiated", format_iso8601(upload.initiated, Fraction::Milliseconds));
    if (!upload.options.checksum_algorithm.empty())
        xml.element("ChecksumAlgorithm", upload.options.checksum_algorithm)
            .element("ChecksumType", upload.options.checksum_type);
    xml.close();
}

}  // namespace

ApiResult<void> create_multipart_upload(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    auto given = TRY(read_object_headers(exchange.request.headers));
    TRY(add_bucket_defaults(exchange, bucket, given.headers));
    object_store::UploadOptions options;
    options.content_type = given.content_type;
    options.headers = given.headers;
    options.metadata = given.metadata;
    options.storage_class = given.storage_class;
    options.tags = given.tags;
    options.checksum_algorithm = TRY(checksum_algorithm(exchange.request.headers));
    options.checksum_type = exchange.header("x-amz-checksum-type");
    const auto upload = TRY(in_s3(exchange.store.create_upload(exchange.bucket(), exchange.key(), options)));
    XmlWriter xml;
    xml.open("InitiateMultipartUploadResult", kXmlNamespace);
    xml.element("Bucket", exchange.bucket()).element("Key", exchange.key()).element("UploadId", upload.id).close();
    net::Headers headers;
    add_encryption_headers(headers, given.headers);
    if (!upload.options.checksum_algorithm.empty()) {
        headers.add("x-amz-checksum-algorithm", upload.options.checksum_algorithm);
        headers.add("x-amz-checksum-type", upload.options.checksum_type);
    }
    return exchange.send_xml(xml, std::move(headers));
}

ApiResult<void> upload_part(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const int number = TRY(part_number(exchange));
    const auto digests = TRY(read_digests(exchange.request.headers));
    object_store::PartOptions options;
    options.length = exchange.request.body->length();
    if (!options.length)
        return ApiError{411, "MissingContentLength", "You must provide the Content-Length HTTP header."};
    options.expected_checksums = digests.expected;
    options.expected_md5 = digests.md5;
    options.compute_checksums = digests.in_trailer;
    const auto part = TRY(in_s3(exchange.store.upload_part(exchange.bucket(), exchange.key(), upload_id(exchange),
                                                           number, options, body_source(exchange.request))));
    net::Headers headers = encryption_of_upload(exchange);
    headers.add("ETag", quoted(part.etag));
    add_checksum_headers(headers, part.checksums, "");
    return exchange.send_empty(200, std::move(headers));
}

ApiResult<void> upload_part_copy(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const int number = TRY(part_number(exchange));
    const auto source = TRY(open_copy_source(exchange));
    Range range{Range::Kind::Part, 0, source.object.info.size};
    if (const auto text = exchange.request.headers.find("x-amz-copy-source-range")) {
        range = parse_range(*text, source.object.info.size);
        const bool open_ended = text->ends_with('-') || text->starts_with("bytes=-");
        if (range.kind == Range::Kind::Whole || open_ended)
            return invalid_argument(
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "
                "the zero-based offsets of the first and last bytes to copy",
                "x-amz-copy-source-range", *text);
        const auto last = parse_int(trim(std::string_view(*text).substr(text->find('-') + 1)));
        if (range.kind == Range::Kind::Unsatisfiable || !last ||
            static_cast<uint64_t>(*last) >= source.object.info.size)
            return ApiError{416, "InvalidRange",
                            "The specified copy range is invalid for the source object size: " +
                                std::to_string(source.object.info.size)};
    }
    object_store::PartOptions options;
    options.length = range.length;
    const auto part =
        TRY(in_s3(exchange.store.upload_part(exchange.bucket(), exchange.key(), upload_id(exchange), number, options,
                                             source.object.source(range.first, range.length))));
    XmlWriter xml;
    xml.open("CopyPartResult", kXmlNamespace);
    xml.element("LastModified", format_iso8601(part.modified, Fraction::Milliseconds));
    xml.element("ETag", quoted(part.etag));
    write_checksums(xml, part.checksums, "");
    xml.close();
    net::Headers headers = encryption_of_upload(exchange);
    if (!source.object.info.version.empty()) headers.add("x-amz-copy-source-version-id", source.object.info.version);
    return exchange.send_xml(xml, std::move(headers));
}

ApiResult<void> complete_multipart_upload(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const auto conditions = TRY(read_write_conditions(exchange.request.headers));
    // Here the checksum headers speak of the object, not of this body.
    const auto expected = TRY(take_object_checksums(exchange.request.headers));
    const auto parts = TRY(parse_completed_parts(TRY(read_document(exchange))));
    if (parts.empty()) return malformed_xml();
    object_store::CompleteOptions options;
    options.expected_checksums = expected;
    options.if_none_match = conditions.if_none_match;
    options.if_match = conditions.if_match;
    if (const auto text = exchange.request.headers.find("x-amz-mp-object-size")) {
        const auto size = parse_int(*text);
        if (!size || *size < 0) return invalid_argument("Invalid object size", "x-amz-mp-object-size", *text);
        options.expected_size = static_cast<uint64_t>(*size);
    }
    options.checksum_type = exchange.header("x-amz-checksum-type");
    const auto object = TRY(
        in_s3(exchange.store.complete_upload(exchange.bucket(), exchange.key(), upload_id(exchange), parts, options)));
    XmlWriter xml;
    xml.open("CompleteMultipartUploadResult", kXmlNamespace);
    xml.element("Location", "http://" + exchange.header("Host") + std::string(exchange.request.raw_path()));
    xml.element("Bucket", exchange.bucket()).element("Key", exchange.key()).element("ETag", quoted(object.etag));
    write_checksums(xml, object.checksums, object.checksum_type);
    xml.close();
    net::Headers headers;
    add_encryption_headers(headers, object.headers);
    add_written_headers(headers, bucket, object);
    return exchange.send_xml(xml, std::move(headers));
}

ApiResult<void> abort_multipart_upload(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.abort_upload(exchange.bucket(), exchange.key(), upload_id(exchange))));
    return exchange.send_empty(204);
}

ApiResult<void> list_parts(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const int limit = TRY(number_parameter(exchange, "max-parts", 1000, 0, 1000));
    const int marker = TRY(number_parameter(exchange, "part-number-marker", 0, 0, object_store::kMaxParts));
    const std::string id = upload_id(exchange);
    const auto upload = TRY(in_s3(exchange.store.find_upload(exchange.bucket(), exchange.key(), id)));
    const auto page = TRY(
        in_s3(exchange.store.list_parts(exchange.bucket(), exchange.key(), id, marker, static_cast<size_t>(limit))));
    XmlWriter xml;
    xml.open("ListPartsResult", kXmlNamespace);
    xml.element("Bucket", exchange.bucket()).element("Key", exchange.key()).element("UploadId", id);
    const std::string owner = stored_acl(kept_acl(upload.options.headers), bucket.account).owner;
    write_owner(xml, "Initiator", owner);
    write_owner(xml, "Owner", owner);
    xml.element("StorageClass", upload.options.storage_class);
    if (!upload.options.checksum_algorithm.empty())
        xml.element("ChecksumAlgorithm", upload.options.checksum_algorithm)
            .element("ChecksumType", upload.options.checksum_type);
    xml.element("PartNumberMarker", std::to_string(marker));
    xml.element("NextPartNumberMarker", std::to_string(page.parts.empty() ? marker : page.parts.back().number));
    xml.element("MaxParts", std::to_string(limit)).element("IsTruncated", page.truncated ? "true" : "false");
    for (const auto& part : page.parts) {
        xml.open("Part").element("PartNumber", std::to_string(part.number));
        xml.element("LastModified", format_iso8601(part.modified, Fraction::Milliseconds));
        xml.element("ETag", quoted(part.etag)).element("Size", std::to_string(part.size));
        write_checksums(xml, part.checksums, "");
        xml.close();
    }
    xml.close();
    return exchange.send_xml(xml);
}

ApiResult<void> list_multipart_uploads(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const bool url_encoded = TRY(wants_url_encoding(exchange));
    const int limit = TRY(number_parameter(exchange, "max-uploads", kMaxUploads, 1, kMaxUploads));
    object_store::UploadListRequest request;
    request.prefix = exchange.parameter("prefix").value_or("");
    request.delimiter = exchange.parameter("delimiter").value_or("");
    request.after_key = exchange.parameter("key-marker").value_or("");
    if (!request.after_key.empty()) request.after_id = exchange.parameter("upload-id-marker").value_or("");
    request.max_uploads = static_cast<size_t>(limit);
    const auto page = TRY(in_s3(exchange.store.list_uploads(exchange.bucket(), request)));
    XmlWriter xml;
    xml.open("ListMultipartUploadsResult", kXmlNamespace).element("Bucket", exchange.bucket());
    xml.element("KeyMarker", shown(request.after_key, url_encoded)).element("UploadIdMarker", request.after_id);
    if (page.truncated)
        xml.element("NextKeyMarker", shown(page.last_key, url_encoded)).element("NextUploadIdMarker", page.last_id);
    xml.element("Prefix", shown(request.prefix, url_encoded));
    if (!request.delimiter.empty()) xml.element("Delimiter", shown(request.delimiter, url_encoded));
    if (url_encoded) xml.element("EncodingType", "url");
    xml.element("MaxUploads", std::to_string(limit)).element("IsTruncated", page.truncated ? "true" : "false");
    for (const auto& upload : page.uploads) write_upload(xml, upload, bucket.account, url_encoded);
    for (const auto& prefix : page.common_prefixes)
        xml.open("CommonPrefixes").element("Prefix", shown(prefix, url_encoded)).close();
    xml.close();
    return exchange.send_xml(xml);
}

}  // namespace millwright::s3
