#include "base/strings.h"
#include "services/s3/documents.h"
#include "services/s3/operations.h"

namespace millwright::s3 {

ApiResult<void> delete_object(Exchange& exchange) {
    TRY(open_bucket(exchange));
    for (const std::string_view condition : {"If-Match", "x-amz-if-match-last-modified-time", "x-amz-if-match-size"})
        if (exchange.has_header(condition)) return not_implemented("conditional deletes");
    TRY(in_s3(object_store::check_key(exchange.key())));
    const object_store::Removal removal{exchange.key()};
    TRY(in_s3(exchange.store.remove(exchange.bucket(), std::span(&removal, 1))));
    return exchange.send_empty(204);
}

ApiResult<void> delete_objects(Exchange& exchange) {
    TRY(open_bucket(exchange));
    bool verified = exchange.has_header("Content-MD5") || exchange.has_header("x-amz-trailer");
    for (const auto& [name, value] : exchange.request.headers.all())
        if (to_lower(name).starts_with("x-amz-checksum-")) verified = true;
    if (!verified) return invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
    const auto document = TRY(parse_delete(TRY(read_document(exchange))));

    std::vector<object_store::Removal> keys;
    XmlWriter xml;
    xml.open("DeleteResult", kXmlNamespace);
    for (const auto& object : document.objects) {
        const auto usable = in_s3(object_store::check_key(object.key));
        const bool version = !object.version.empty() && object.version != "null";
        if (usable && !version) {
            keys.push_back({object.key});
            continue;
        }
        xml.open("Error").element("Key", object.key);
        xml.element("Code", usable ? "NoSuchVersion" : usable.error().code);
        xml.element("Message", usable ? "The specified version does not exist." : usable.error().message).close();
    }
    TRY(in_s3(exchange.store.remove(exchange.bucket(), keys)));
    if (!document.quiet)
        for (const auto& removal : keys) xml.open("Deleted").element("Key", removal.key).close();
    xml.close();
    return exchange.send_xml(xml);
}

}  // namespace millwright::s3
