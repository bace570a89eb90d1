#include "base/encoding.h"
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

constexpr int kMaxKeys = 1000;

struct Listing {
    object_store::ListRequest request;
    object_store::ListPage page;
    bool url_encoded = false;
    int max_keys = kMaxKeys;
};

ApiResult<Listing> read_listing(Exchange& exchange, std::string after) {
    for (const auto& [name, value] : exchange.query)
        if (name == "x-amz-optional-object-attributes") return not_implemented("optional object attributes");
    Listing listing;
    listing.url_encoded = TRY(wants_url_encoding(exchange));
    listing.max_keys = TRY(number_parameter(exchange, "max-keys", kMaxKeys, 0, kMaxKeys));
    listing.request.prefix = exchange.parameter("prefix").value_or("");
    listing.request.delimiter = exchange.parameter("delimiter").value_or("");
    listing.request.after = std::move(after);
    listing.request.max_keys = static_cast<size_t>(listing.max_keys);
    listing.page = TRY(in_s3(exchange.store.list(exchange.bucket(), listing.request)));
    return listing;
}

void write_head(XmlWriter& xml, const Exchange& exchange, const Listing& listing) {
    xml.open("ListBucketResult", kXmlNamespace);
    xml.element("Name", exchange.bucket());
    xml.element("Prefix", shown(listing.request.prefix, listing.url_encoded));
    if (!listing.request.delimiter.empty())
        xml.element("Delimiter", shown(listing.request.delimiter, listing.url_encoded));
    xml.element("MaxKeys", std::to_string(listing.max_keys));
    if (listing.url_encoded) xml.element("EncodingType", "url");
    xml.element("IsTruncated", listing.page.truncated ? "true" : "false");
}

void write_entries(XmlWriter& xml, const Listing& listing, const std::string* owner) {
    for (const auto& object : listing.page.objects) {
        xml.open("Contents").element("Key", shown(object.key, listing.url_encoded));
        xml.element("LastModified", format_iso8601(object.modified, Fraction::Milliseconds));
        xml.element("ETag", quoted(object.etag));
        xml.element("Size", std::to_string(object.size));
        if (owner) write_owner(xml, "Owner", *owner);
        xml.element("StorageClass", object.storage_class).close();
    }
    for (const auto& prefix : listing.page.common_prefixes)
        xml.open("CommonPrefixes").element("Prefix", shown(prefix, listing.url_encoded)).close();
}

}  // namespace

ApiResult<void> list_objects(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const std::string marker = exchange.parameter("marker").value_or("");
    const Listing listing = TRY(read_listing(exchange, marker));
    XmlWriter xml;
    write_head(xml, exchange, listing);
    xml.element("Marker", shown(marker, listing.url_encoded));
    // Without a delimiter clients go on from the last key.
    if (listing.page.truncated && !listing.request.delimiter.empty())
        xml.element("NextMarker", shown(listing.page.last, listing.url_encoded));
    write_entries(xml, listing, &bucket.account);
    xml.close();
    return exchange.send_xml(xml, {{"x-amz-bucket-region", bucket.region}});
}

ApiResult<void> list_objects_v2(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    if (exchange.parameter("list-type") != "2")
        return invalid_argument("Invalid List Type specified in Request", "list-type",
                                *exchange.parameter("list-type"));
    const std::string start_after = exchange.parameter("start-after").value_or("");
    const auto token = exchange.parameter("continuation-token");
    const auto resumed = from_base64(token.value_or(""));
    if (!resumed)
        return invalid_argument("The continuation token provided is incorrect", "continuation-token",
                                token.value_or(""));
    const Listing listing = TRY(read_listing(exchange, resumed->empty() ? start_after : *resumed));
    XmlWriter xml;
    write_head(xml, exchange, listing);
    xml.element("KeyCount", std::to_string(listing.page.objects.size() + listing.page.common_prefixes.size()));
    if (token) xml.element("ContinuationToken", *token);
    if (listing.page.truncated) xml.element("NextContinuationToken", to_base64(listing.page.last));
    if (!start_after.empty()) xml.element("StartAfter", shown(start_after, listing.url_encoded));
    write_entries(xml, listing, exchange.parameter("fetch-owner") == "true" ? &bucket.account : nullptr);
    xml.close();
    return exchange.send_xml(xml, {{"x-amz-bucket-region", bucket.region}});
}

}  // namespace millwright::s3
