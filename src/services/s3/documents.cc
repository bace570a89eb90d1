#include "services/s3/documents.h"

#include "base/strings.h"
#include "base/xml.h"
#include "services/s3/errors.h"

namespace millwright::s3 {
namespace {

constexpr size_t kMaxDeletedKeys = 1000;

aws::ApiResult<XmlElement> parse(std::string_view text, std::string_view root) {
    auto element = parse_xml(text);
    if (!element || element->name != root) return malformed_xml();
    return std::move(*element);
}

std::string_view without_quotes(std::string_view etag) {
    etag = trim(etag);
    if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
    return etag;
}

}  // namespace

aws::ApiResult<std::vector<object_store::CompletedPart>> parse_completed_parts(std::string_view text) {
    std::vector<object_store::CompletedPart> parts;
    if (trim(text).empty()) return parts;
    const XmlElement root = TRY(parse(text, "CompleteMultipartUpload"));
    for (const auto& child : root.children) {
        if (child.name != "Part") return malformed_xml();
        const auto number = parse_int(trim(child.text_of("PartNumber")));
        const auto* etag = child.find("ETag");
        if (!number || *number < 1 || *number > object_store::kMaxParts || !etag) return malformed_xml();
        if (parts.size() == static_cast<size_t>(object_store::kMaxParts)) return malformed_xml();
        object_store::CompletedPart part;
        part.number = static_cast<int>(*number);
        part.etag = without_quotes(etag->text);
        for (const auto& field : child.children)
            if (field.name.starts_with("Checksum") && object_store::is_checksum_algorithm(field.name.substr(8)))
                part.checksums[field.name.substr(8)] = std::string(trim(field.text));
        parts.push_back(std::move(part));
    }
    return parts;
}

aws::ApiResult<DeleteDocument> parse_delete(std::string_view text) {
    const XmlElement root = TRY(parse(text, "Delete"));
    DeleteDocument document;
    for (const auto& child : root.children) {
        if (child.name == "Quiet") {
            document.quiet = trim(child.text) == "true";
        } else if (child.name == "Object") {
            const auto* key = child.find("Key");
            if (!key || document.objects.size() == kMaxDeletedKeys) return malformed_xml();
            DeleteDocument::Object object{key->text, child.text_of("VersionId")};
            if (const auto* etag = child.find("ETag")) object.etag = without_quotes(etag->text);
            if (const auto* time = child.find("LastModifiedTime")) {
                object.modified = parse_rfc1123(trim(time->text));
                if (!object.modified) object.modified = parse_iso8601(trim(time->text));
                if (!object.modified) return malformed_xml();
            }
            if (const auto* size = child.find("Size")) {
                const auto number = parse_int(trim(size->text));
                if (!number || *number < 0) return malformed_xml();
                object.size = static_cast<uint64_t>(*number);
            }
            document.objects.push_back(std::move(object));
        } else {
            return malformed_xml();
        }
    }
    if (document.objects.empty()) return malformed_xml();
    return document;
}

aws::ApiResult<std::string> parse_location_constraint(std::string_view text) {
    if (trim(text).empty()) return std::string();
    const XmlElement root = TRY(parse(text, "CreateBucketConfiguration"));
    for (const auto& child : root.children) {
        if (child.name == "Location" || child.name == "Bucket") return not_implemented("directory buckets");
        if (child.name == "Tags") return not_implemented("bucket tags");
        if (child.name != "LocationConstraint") return malformed_xml();
    }
    return std::string(trim(root.text_of("LocationConstraint")));
}

}  // namespace millwright::s3
