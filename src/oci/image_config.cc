#include "base/strings.h"
#include "oci/image.h"
#include "oci/reference.h"

namespace millwright::oci {
namespace {

Error wrong(std::string_view member, std::string_view why) {
    return invalid_input("the image's configuration: '" + std::string(member) + "' " + std::string(why));
}

// Everything here ends up in argv, the environment or a path, where a NUL would cut it.
Result<std::string> text_of(const Json& value, std::string_view name) {
    if (!value.is_string()) return wrong(name, "is not a string");
    if (value.as_string().find('\0') != std::string::npos) return wrong(name, "has a NUL character");
    return value.as_string();
}

Result<std::string> optional_text(const Json& object, std::string_view name) {
    if (object[name].is_null()) return std::string();
    return text_of(object[name], name);
}

// Old builders wrote one word as a string instead of a list.
Result<std::vector<std::string>> texts(const Json& object, std::string_view name) {
    std::vector<std::string> out;
    const Json& value = object[name];
    if (value.is_null()) return out;
    if (value.is_string()) {
        auto text = TRY(text_of(value, name));
        out.push_back(std::move(text));
        return out;
    }
    if (!value.is_array()) return wrong(name, "is not an array of strings");
    for (const Json& item : value.items()) {
        auto text = TRY(text_of(item, name));
        out.push_back(std::move(text));
    }
    return out;
}

Result<void> read_settings(const Json& json, ImageConfig& config) {
    if (json.is_null()) return {};
    if (!json.is_object()) return wrong("config", "is not an object");
    config.entrypoint = TRY(texts(json, "Entrypoint"));
    config.command = TRY(texts(json, "Cmd"));
    config.environment = TRY(texts(json, "Env"));
    config.working_folder = TRY(optional_text(json, "WorkingDir"));
    config.user = TRY(optional_text(json, "User"));
    config.stop_signal = TRY(optional_text(json, "StopSignal"));
    for (const auto& [name, value] : json["Labels"].members()) {
        auto text = TRY(text_of(value, "Labels"));
        config.labels[name] = std::move(text);
    }
    for (const auto& [name, value] : json["ExposedPorts"].members()) config.exposed_ports.push_back(name);
    return {};
}

}  // namespace

Result<ImageConfig> parse_image_config(std::string_view text) {
    if (text.size() > kMaxManifestBytes) return wrong("", "has more than 4 MiB");
    const auto json = Json::parse(text);
    if (!json) return invalid_input("the image's configuration is not JSON: " + json.error().message);
    if (!json->is_object()) return invalid_input("the image's configuration is not a JSON object");
    ImageConfig config;
    config.platform.architecture = TRY(optional_text(*json, "architecture"));
    config.platform.os = TRY(optional_text(*json, "os"));
    config.platform.variant = TRY(optional_text(*json, "variant"));
    config.created = TRY(optional_text(*json, "created"));
    TRY(read_settings((*json)["config"], config));
    config.diff_ids = TRY(texts((*json)["rootfs"], "diff_ids"));
    for (const auto& id : config.diff_ids)
        if (!is_digest(id)) return wrong("diff_ids", "has an entry that is no digest: " + valid_utf8(id.substr(0, 80)));
    return config;
}

}  // namespace millwright::oci
