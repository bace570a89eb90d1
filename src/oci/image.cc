#include "oci/image.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/strings.h"
#include "oci/reference.h"

namespace millwright::oci {
namespace {

constexpr size_t kMaxMediaType = 255, kMaxEntries = 10'000;

constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json",
                           kOciIndex = "application/vnd.oci.image.index.v1+json",
                           kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json",
                           kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";

constexpr std::array<std::string_view, 5> kLayers = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
};
constexpr std::array<std::string_view, 4> kForeignLayers = {
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
};

template <typename List>
bool contains(const List& list, std::string_view item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

Error wrong(std::string_view member, std::string_view why) {
    return invalid_input("the member '" + std::string(member) + "' " + std::string(why));
}

// A parser that takes the first of two members and one that takes the last would see two different images.
Result<void> check_members_once(const Json& object) {
    std::set<std::string_view> seen;
    for (const auto& [name, value] : object.members())
        if (!seen.insert(name).second) return wrong(valid_utf8(name.substr(0, 64)), "is there twice");
    return {};
}

Result<Json> parse_object(std::string_view text) {
    if (text.size() > kMaxManifestBytes)
        return Error{ErrorKind::LimitExceeded, "a manifest has at most 4 MiB", std::to_string(text.size()) + " bytes"};
    auto json = Json::parse(text);
    if (!json) return invalid_input("it is not JSON: " + json.error().message);
    if (!json->is_object()) return invalid_input("it is not a JSON object");
    TRY(check_members_once(*json));
    return json;
}

Result<std::string> optional_text(const Json& object, std::string_view name) {
    const Json& value = object[name];
    if (value.is_null()) return std::string();
    if (!value.is_string()) return wrong(name, "is not a string");
    return value.as_string();
}

bool is_media_type(std::string_view text) {
    const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7F'; });
    return printable && text.size() <= kMaxMediaType && text.find('/') != std::string_view::npos;
}

Result<std::string> optional_media_type(const Json& object, std::string_view name) {
    std::string text = TRY(optional_text(object, name));
    if (!text.empty() && !is_media_type(text)) return wrong(name, "is no media type");
    return text;
}

Result<Json> annotations_of(const Json& object) {
    const Json& annotations = object["annotations"];
    if (annotations.is_null()) return Json();
    if (!annotations.is_object()) return wrong("annotations", "is not an object");
    for (const auto& [name, value] : annotations.members())
        if (!value.is_string()) return wrong("annotations", "has a value that is not a string");
    return annotations;
}

Result<Platform> parse_platform(const Json& json) {
    if (!json.is_object()) return wrong("platform", "is not an object");
    Platform platform;
    platform.architecture = TRY(optional_text(json, "architecture"));
    platform.os = TRY(optional_text(json, "os"));
    platform.variant = TRY(optional_text(json, "variant"));
    return platform;
}

Result<Descriptor> parse_descriptor(const Json& json, std::string_view name) {
    if (!json.is_object()) return wrong(name, json.is_null() ? "is missing" : "is not an object");
    TRY(check_members_once(json));
    Descriptor descriptor;
    descriptor.media_type = TRY(optional_media_type(json, "mediaType"));
    if (descriptor.media_type.empty()) return wrong(name, "has no mediaType");
    descriptor.digest = TRY(optional_text(json, "digest"));
    if (!is_digest(descriptor.digest)) return wrong(name, "has no digest of the form sha256:<64 hex digits>");
    const Json& size = json["size"];
    if (!size.is_int() || size.as_int() < 0) return wrong(name, "has no size");
    descriptor.size = static_cast<uint64_t>(size.as_int());
    if (json.has("platform") && !json["platform"].is_null())
        descriptor.platform = TRY(parse_platform(json["platform"]));
    descriptor.artifact_type = TRY(optional_media_type(json, "artifactType"));
    descriptor.annotations = TRY(annotations_of(json));
    return descriptor;
}

Result<std::vector<Descriptor>> parse_descriptors(const Json& json, std::string_view name) {
    std::vector<Descriptor> list;
    const Json* items = json.find(name);
    if (items == nullptr) return wrong(name, "is missing");
    if (!items->is_array() && !items->is_null()) return wrong(name, "is not an array");
    if (items->items().size() > kMaxEntries) return wrong(name, "has more than 10000 entries");
    for (const Json& item : items->items()) {
        auto descriptor = TRY(parse_descriptor(item, name));
        list.push_back(std::move(descriptor));
    }
    return list;
}

Result<std::optional<Descriptor>> subject_of(const Json& json) {
    if (json["subject"].is_null()) return std::optional<Descriptor>();
    auto subject = TRY(parse_descriptor(json["subject"], "subject"));
    return std::optional<Descriptor>(std::move(subject));
}

Result<void> check_version(const Json& json) {
    const Json& version = json["schemaVersion"];
    if (version == Json(1))
        return invalid_input("manifests of schema 1 are not supported; push with a client of this decade");
    if (version != Json(2)) return wrong("schemaVersion", "is not 2");
    return {};
}

}  // namespace

bool is_index(std::string_view media_type) { return media_type == kOciIndex || media_type == kDockerList; }
bool is_manifest(std::string_view media_type) { return media_type == kOciManifest || media_type == kDockerManifest; }
bool is_layer(std::string_view media_type) {
    return contains(kLayers, media_type) || contains(kForeignLayers, media_type);
}
bool is_foreign_layer(std::string_view media_type) { return contains(kForeignLayers, media_type); }

Result<Manifest> parse_manifest(std::string_view text) {
    const Json json = TRY(parse_object(text));
    TRY(check_version(json));
    Manifest manifest;
    manifest.media_type = TRY(optional_media_type(json, "mediaType"));
    if (manifest.media_type.empty()) manifest.media_type = kOciManifest;
    if (!is_manifest(manifest.media_type))
        return wrong("mediaType", "is " + manifest.media_type + ", which is no manifest of an image");
    if (json.has("manifests")) return wrong("manifests", "does not belong into a manifest of one image");
    manifest.artifact_type = TRY(optional_media_type(json, "artifactType"));
    manifest.config = TRY(parse_descriptor(json["config"], "config"));
    manifest.layers = TRY(parse_descriptors(json, "layers"));
    manifest.subject = TRY(subject_of(json));
    manifest.annotations = TRY(annotations_of(json));
    return manifest;
}

Result<Index> parse_index(std::string_view text) {
    const Json json = TRY(parse_object(text));
    TRY(check_version(json));
    Index index;
    index.media_type = TRY(optional_media_type(json, "mediaType"));
    if (index.media_type.empty()) index.media_type = kOciIndex;
    if (!is_index(index.media_type)) return wrong("mediaType", "is " + index.media_type + ", which is no index");
    for (const auto* member : {"config", "layers"})
        if (json.has(member)) return wrong(member, "does not belong into an index");
    index.artifact_type = TRY(optional_media_type(json, "artifactType"));
    index.manifests = TRY(parse_descriptors(json, "manifests"));
    index.subject = TRY(subject_of(json));
    index.annotations = TRY(annotations_of(json));
    return index;
}

}  // namespace millwright::oci
