#include "object_store/properties.h"

#include "base/encoding.h"
#include "base/json.h"

namespace millwright::object_store {
namespace {

using Strings = std::map<std::string, std::string>;

Json to_json(const Strings& strings) {
    Json document = Json::object();
    for (const auto& [name, value] : strings) document.set(name, value);
    return document;
}

Strings to_strings(const Json& document) {
    Strings strings;
    for (const auto& member : document.members()) strings[member.name] = member.value.string_or("");
    return strings;
}

void set_unless_empty(Json& document, std::string_view name, const Strings& strings) {
    if (!strings.empty()) document.set(name, to_json(strings));
}
void set_unless_empty(Json& document, std::string_view name, const std::string& text) {
    if (!text.empty()) document.set(name, text);
}

Json write_sizes(const std::vector<uint64_t>& sizes) {
    Json runs = Json::array();
    for (size_t i = 0; i < sizes.size();) {
        size_t end = i + 1;
        while (end < sizes.size() && sizes[end] == sizes[i]) ++end;
        runs.push_back(sizes[i]);
        runs.push_back(static_cast<int64_t>(end - i));
        i = end;
    }
    return runs;
}

std::vector<uint64_t> read_sizes(const Json& runs) {
    std::vector<uint64_t> sizes;
    for (size_t i = 0; i + 1 < runs.size(); i += 2) {
        const auto count = static_cast<size_t>(runs[i + 1].int_or(0));
        if (sizes.size() + count > static_cast<size_t>(kMaxParts)) break;
        sizes.insert(sizes.end(), count, static_cast<uint64_t>(runs[i].int_or(0)));
    }
    return sizes;
}

Result<Json> parse(const std::string& text) {
    auto document = Json::parse(text);
    if (!document) return internal_error("a record of the object store cannot be read", document.error().message);
    return document;
}

}  // namespace

std::string write_properties(const ObjectInfo& object) {
    Json document = Json::object();
    document.set("type", object.content_type);
    set_unless_empty(document, "headers", object.headers);
    set_unless_empty(document, "metadata", object.metadata);
    set_unless_empty(document, "checksums", object.checksums);
    set_unless_empty(document, "checksum_type", object.checksum_type);
    if (!object.part_sizes.empty()) document.set("parts", write_sizes(object.part_sizes));
    if (!object.part_checksums.empty()) document.set("part_checksums", to_base64(object.part_checksums));
    set_unless_empty(document, "tags", object.tags);
    return document.dump();
}

Result<void> read_properties(const std::string& text, ObjectInfo& object) {
    const Json document = TRY(parse(text));
    object.content_type = document["type"].string_or("");
    object.headers = to_strings(document["headers"]);
    object.metadata = to_strings(document["metadata"]);
    object.checksums = to_strings(document["checksums"]);
    object.checksum_type = document["checksum_type"].string_or("");
    object.part_sizes = read_sizes(document["parts"]);
    object.part_checksums = from_base64(document["part_checksums"].string_or("")).value_or("");
    object.tags = to_strings(document["tags"]);
    return {};
}

std::string write_options(const UploadOptions& options) {
    Json document = Json::object();
    document.set("type", options.content_type);
    set_unless_empty(document, "headers", options.headers);
    set_unless_empty(document, "metadata", options.metadata);
    document.set("class", options.storage_class);
    set_unless_empty(document, "checksum", options.checksum_algorithm);
    set_unless_empty(document, "checksum_type", options.checksum_type);
    set_unless_empty(document, "tags", options.tags);
    return document.dump();
}

Result<UploadOptions> read_options(const std::string& text) {
    const Json document = TRY(parse(text));
    UploadOptions options;
    options.content_type = document["type"].string_or("");
    options.headers = to_strings(document["headers"]);
    options.metadata = to_strings(document["metadata"]);
    options.storage_class = document["class"].string_or("");
    options.checksum_algorithm = document["checksum"].string_or("");
    options.checksum_type = document["checksum_type"].string_or("");
    options.tags = to_strings(document["tags"]);
    return options;
}

std::string write_completed(const ObjectInfo& object) {
    Json document = Json::object();
    document.set("version", object.version);
    document.set("etag", object.etag);
    document.set("size", object.size);
    document.set("modified", to_epoch_milliseconds(object.modified));
    document.set("class", object.storage_class);
    document.set("properties", write_properties(object));
    return document.dump();
}

Result<ObjectInfo> read_completed(const std::string& text, std::string_view key) {
    const Json document = TRY(parse(text));
    ObjectInfo object;
    object.key = key;
    object.version = document["version"].string_or("");
    object.etag = document["etag"].string_or("");
    object.size = static_cast<uint64_t>(document["size"].int_or(0));
    object.modified = from_epoch_milliseconds(document["modified"].int_or(0));
    object.storage_class = document["class"].string_or("");
    TRY(read_properties(document["properties"].string_or("{}"), object));
    return object;
}

std::string write_checksums(const Strings& checksums) { return to_json(checksums).dump(); }

Result<Strings> read_checksums(const std::string& text) { return to_strings(TRY(parse(text))); }

}  // namespace millwright::object_store
