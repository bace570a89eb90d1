#include "services/s3/object_versions.h"
#include "services/s3/operations.h"
#include "services/s3/tags.h"

namespace millwright::s3 {
namespace {

ApiResult<void> change_tags(Exchange& exchange, const object_store::Tags& tags, int status) {
    const auto object = exchange.store.set_tags(exchange.bucket(), exchange.key(), version_of(exchange), tags);
    if (!object) return object_error(exchange, object.error());
    net::Headers headers;
    add_version_header(headers, object->version);
    return exchange.send_empty(status, std::move(headers));
}

}  // namespace

ApiResult<void> get_object_tagging(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const auto object = TRY(head_object(exchange));
    XmlWriter xml;
    write_tagging(xml, object.tags);
    net::Headers headers;
    add_version_header(headers, object.version);
    return exchange.send_xml(xml, std::move(headers));
}

ApiResult<void> put_object_tagging(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const auto tags = TRY(parse_tagging(TRY(read_document(exchange)), Tagged::Object));
    return change_tags(exchange, tags, 200);
}

ApiResult<void> delete_object_tagging(Exchange& exchange) {
    TRY(open_bucket(exchange));
    return change_tags(exchange, {}, 204);
}

ApiResult<void> get_bucket_tagging(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const auto tags = stored_tags(bucket.document(kTaggingDocument));
    if (tags.empty()) {
        ApiError error(404, "NoSuchTagSet", "The TagSet does not exist");
        error.members.set("BucketName", exchange.bucket());
        return error;
    }
    XmlWriter xml;
    write_tagging(xml, tags);
    return exchange.send_xml(xml);
}

ApiResult<void> put_bucket_tagging(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const auto tags = TRY(parse_tagging(TRY(read_document(exchange)), Tagged::Bucket));
    const auto document = tags.empty() ? std::nullopt : std::optional(format_tags(tags));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kTaggingDocument, document)));
    return exchange.send_empty(204);
}

ApiResult<void> delete_bucket_tagging(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kTaggingDocument, std::nullopt)));
    return exchange.send_empty(204);
}

}  // namespace millwright::s3
