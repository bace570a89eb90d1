#include <algorithm>

#include "base/strings.h"
#include "services/s3/object_versions.h"
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

constexpr std::string_view kAttributes[] = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"};

ApiResult<std::vector<std::string>> wanted_attributes(const Exchange& exchange) {
    constexpr std::string_view kHeader = "x-amz-object-attributes";
    std::vector<std::string> wanted;
    for (const auto& [name, value] : exchange.request.headers.all()) {
        if (!equals_ignoring_case(name, kHeader)) continue;
        for (const auto attribute : split(value, ',')) {
            const std::string text(trim(attribute));
            if (std::find(std::begin(kAttributes), std::end(kAttributes), text) == std::end(kAttributes))
                return invalid_argument("Invalid attribute name specified.", kHeader, text);
            wanted.push_back(text);
        }
    }
    if (wanted.empty()) return invalid_argument("Missing required header", kHeader, "");
    return wanted;
}

ApiResult<int> number_header(const Exchange& exchange, std::string_view name, int otherwise, int low, int high) {
    const auto text = exchange.request.headers.find(name);
    if (!text) return otherwise;
    const auto value = parse_int(*text);
    if (!value || *value < low) return invalid_argument("Invalid number", name, *text);
    return static_cast<int>(std::min<int64_t>(*value, high));
}

ApiResult<void> write_parts(XmlWriter& xml, const Exchange& exchange, const object_store::ObjectInfo& object) {
    const int limit = TRY(number_header(exchange, "x-amz-max-parts", 1000, 1, 1000));
    const int marker = TRY(number_header(exchange, "x-amz-part-number-marker", 0, 0, object_store::kMaxParts));
    const auto parts = object_store::parts_of(object);
    if (parts.empty()) return {};
    const auto first = std::find_if(parts.begin(), parts.end(), [&](const auto& part) { return part.number > marker; });
    const auto last = first + std::min<std::ptrdiff_t>(parts.end() - first, limit);
    xml.open("ObjectParts").element("PartsCount", std::to_string(parts.size()));
    xml.element("PartNumberMarker", std::to_string(marker)).element("MaxParts", std::to_string(limit));
    xml.element("IsTruncated", last == parts.end() ? "false" : "true");
    if (last != parts.end()) xml.element("NextPartNumberMarker", std::to_string((last - 1)->number));
    for (auto part = first; part != last; ++part) {
        xml.open("Part").element("PartNumber", std::to_string(part->number));
        xml.element("Size", std::to_string(part->size));
        write_checksums(xml, part->checksums, "");
        xml.close();
    }
    xml.close();
    return {};
}

}  // namespace

ApiResult<void> get_object_attributes(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const auto wanted = TRY(wanted_attributes(exchange));
    const auto object = TRY(head_object(exchange));
    XmlWriter xml;
    xml.open("GetObjectAttributesResponse", kXmlNamespace);
    for (const auto name : kAttributes) {
        if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) continue;
        if (name == "ETag") xml.element("ETag", object.etag);
        if (name == "Checksum" && !object.checksums.empty()) {
            xml.open("Checksum");
            write_checksums(xml, object.checksums, object.checksum_type);
            xml.close();
        }
        if (name == "ObjectParts") TRY(write_parts(xml, exchange, object));
        if (name == "StorageClass") xml.element("StorageClass", object.storage_class);
        if (name == "ObjectSize") xml.element("ObjectSize", std::to_string(object.size));
    }
    xml.close();
    net::Headers headers{{"Last-Modified", format_rfc1123(object.modified)}};
    add_version_header(headers, object.version);
    return exchange.send_xml(xml, std::move(headers));
}

}  // namespace millwright::s3
