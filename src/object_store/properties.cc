#include "object_store/properties.h"

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
    return options;
}

std::string write_checksums(const Strings& checksums) { return to_json(checksums).dump(); }

Result<Strings> read_checksums(const std::string& text) { return to_strings(TRY(parse(text))); }

}  // namespace millwright::object_store
