#include "resources/images/image_aliases.h"

#include "base/files.h"
#include "base/json.h"
#include "oci/reference.h"

namespace millwright::resources {
namespace {

constexpr size_t kMaxFile = size_t{1} << 20;

bool is_host(std::string_view part) {
    return part == "localhost" || part.find_first_of(".:") != std::string_view::npos;
}

// Where the tag or digest begins, or npos.
size_t tag_of(std::string_view uri) {
    const auto at = uri.find('@');
    if (at != std::string_view::npos) return at;
    const auto slash = uri.rfind('/');
    return uri.find(':', slash == std::string_view::npos ? 0 : slash);
}

}  // namespace

std::optional<std::string> alias_of(const std::map<std::string, std::string>& aliases, std::string_view uri) {
    const auto tag = tag_of(uri);
    const auto with_tag_of = [&](const std::string& target) {
        if (tag_of(target) != std::string::npos || tag == std::string_view::npos) return target;
        return target + std::string(uri.substr(tag));
    };
    if (const auto exact = aliases.find(std::string(uri)); exact != aliases.end()) return with_tag_of(exact->second);
    const auto slash = uri.find('/');
    const bool has_host = slash != std::string_view::npos && is_host(uri.substr(0, slash));
    const std::string_view path = has_host ? uri.substr(slash + 1) : uri;
    for (const std::string_view name : {path, path.substr(path.rfind('/') + 1)}) {
        const auto found = aliases.find(std::string(name));
        if (found != aliases.end()) return with_tag_of(found->second);
        const auto any_tag = aliases.find(std::string(name.substr(0, tag_of(name))));
        if (any_tag != aliases.end()) return with_tag_of(any_tag->second);
    }
    return std::nullopt;
}

Result<std::map<std::string, std::string>> ImageAliases::all() const {
    std::map<std::string, std::string> aliases;
    if (!file_exists(file_)) return aliases;
    const auto text = TRY(read_file(file_, kMaxFile));
    const auto document = Json::parse(text);
    if (!document || !document->is_object())
        return internal_error("the file " + file_ + " is not a JSON object", document ? "" : document.error().message);
    for (const auto& [name, target] : document->members()) aliases[name] = target.string_or("");
    return aliases;
}

Result<std::optional<std::string>> ImageAliases::find(std::string_view uri) const {
    const auto aliases = TRY(all());
    return alias_of(aliases, uri);
}

Result<void> ImageAliases::set(const std::string& name, const std::string& target) {
    for (const auto& text : {name, target})
        if (auto parsed = oci::parse_reference(text); !parsed) return parsed.error();
    auto aliases = TRY(all());
    aliases[name] = target;
    return write(aliases);
}

Result<void> ImageAliases::remove(const std::string& name) {
    auto aliases = TRY(all());
    if (aliases.erase(name) == 0) return not_found("There is no alias " + name + ".");
    return write(aliases);
}

Result<void> ImageAliases::write(const std::map<std::string, std::string>& aliases) const {
    auto document = Json::object();
    for (const auto& [name, target] : aliases) document.set(name, target);
    return replace_file_durably(file_, document.dump() + "\n", 0600);
}

}  // namespace millwright::resources
