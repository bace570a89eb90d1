#include "base/strings.h"
#include "services/s3/access.h"
#include "services/s3/documents.h"
#include "services/s3/object_versions.h"
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

using object_store::Removal;
using object_store::Removed;

ApiResult<Removal> read_removal(const Exchange& exchange) {
    Removal removal{exchange.key(), version_of(exchange)};
    if (const auto etag = exchange.request.headers.find("If-Match")) removal.if_match = unquoted(*etag);
    if (const auto time = exchange.request.headers.find("x-amz-if-match-last-modified-time")) {
        removal.if_modified_at = parse_rfc1123(*time);
        if (!removal.if_modified_at)
            return invalid_argument("Invalid time", "x-amz-if-match-last-modified-time", *time);
    }
    if (const auto text = exchange.request.headers.find("x-amz-if-match-size")) {
        const auto size = parse_int(*text);
        if (!size || *size < 0) return invalid_argument("Invalid size", "x-amz-if-match-size", *text);
        removal.if_size = static_cast<uint64_t>(*size);
    }
    return removal;
}

void write_error(XmlWriter& xml, const DeleteDocument::Object& object, std::string_view code, std::string_view text) {
    xml.open("Error").element("Key", object.key);
    if (!object.version.empty()) xml.element("VersionId", object.version);
    xml.element("Code", code).element("Message", text).close();
}

void write_deleted(XmlWriter& xml, const DeleteDocument::Object& object, const Removed& removed) {
    xml.open("Deleted").element("Key", object.key);
    if (!object.version.empty()) xml.element("VersionId", object.version);
    if (removed.delete_marker) xml.element("DeleteMarker", "true").element("DeleteMarkerVersionId", removed.version);
    xml.close();
}

}  // namespace

ApiResult<void> delete_object(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const Removal removal = TRY(read_removal(exchange));
    const auto answers = TRY(in_s3(exchange.store.remove(exchange.bucket(), std::span(&removal, 1))));
    const Removed removed = TRY(in_s3(answers.front()));
    net::Headers headers;
    add_version_header(headers, removed.version);
    if (removed.delete_marker) headers.add("x-amz-delete-marker", "true");
    return exchange.send_empty(204, std::move(headers));
}

ApiResult<void> delete_objects(Exchange& exchange) {
    TRY(open_bucket(exchange));
    bool verified = exchange.has_header("Content-MD5") || exchange.has_header("x-amz-trailer");
    for (const auto& [name, value] : exchange.request.headers.all())
        if (to_lower(name).starts_with("x-amz-checksum-")) verified = true;
    if (!verified) return invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
    const auto document = TRY(parse_delete(TRY(read_document(exchange))));

    std::vector<Removal> removals;
    std::vector<const DeleteDocument::Object*> removing;
    XmlWriter xml;
    xml.open("DeleteResult", kXmlNamespace);
    for (const auto& object : document.objects) {
        auto usable = in_s3(object_store::check_key(object.key));
        if (usable)
            usable = require_object(exchange, {"s3:DeleteObject", exchange.bucket(), object.key, object.version});
        if (!usable) {
            write_error(xml, object, usable.error().code, usable.error().message);
            continue;
        }
        removals.push_back({object.key, object.version, object.etag, object.modified, object.size});
        removing.push_back(&object);
    }
    const auto answers = TRY(in_s3(exchange.store.remove(exchange.bucket(), removals)));
    for (size_t i = 0; i < answers.size(); ++i) {
        if (answers[i]) {
            if (!document.quiet) write_deleted(xml, *removing[i], *answers[i]);
        } else if (answers[i].error().detail == object_store::reason::kVersion) {
            write_error(xml, *removing[i], "NoSuchVersion", "The specified version does not exist.");
        } else {
            const ApiError error = s3_error(answers[i].error());
            write_error(xml, *removing[i], error.code, error.message);
        }
    }
    xml.close();
    return exchange.send_xml(xml);
}

}  // namespace millwright::s3
