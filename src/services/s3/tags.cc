#include "services/s3/tags.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "net/http.h"
#include "services/s3/exchange.h"

namespace millwright::s3 {
namespace {

using object_store::Tags;

constexpr size_t kMaxKeyLength = 128, kMaxValueLength = 256;  // in characters

ApiError invalid_tag(std::string text, const std::string& key) {
    ApiError error(400, "InvalidTag", std::move(text));
    error.members.set("TagKey", valid_utf8(key));
    return error;
}

bool has_good_letters(std::string_view text) {
    return is_valid_utf8(text) && std::all_of(text.begin(), text.end(), [](char c) {
               const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
               return letter || static_cast<unsigned char>(c) >= 0x80 ||
                      std::string_view(" +-=._:/@").find(c) != std::string_view::npos;
           });
}

ApiResult<void> add_tag(Tags& tags, const std::string& key, const std::string& value) {
    if (key.empty() || utf8_length(key) > kMaxKeyLength || !has_good_letters(key))
        return invalid_tag("The TagKey you have provided is invalid", key);
    if (utf8_length(value) > kMaxValueLength || !has_good_letters(value)) {
        ApiError error = invalid_tag("The TagValue you have provided is invalid", key);
        error.members.set("TagValue", valid_utf8(value));
        return error;
    }
    if (equals_ignoring_case(std::string_view(key).substr(0, 4), "aws:"))
        return invalid_tag("System tags cannot be added/updated by requester", key);
    if (!tags.emplace(key, value).second) return invalid_tag("Cannot provide multiple Tags with the same key", key);
    return {};
}

ApiResult<void> check_count(const Tags& tags, Tagged tagged) {
    const size_t limit = tagged == Tagged::Object ? 10 : 50;
    if (tags.size() <= limit) return {};
    return ApiError{400, "InvalidTag",
                    std::string(tagged == Tagged::Object ? "Object" : "Bucket") + " tags cannot be greater than " +
                        std::to_string(limit)};
}

}  // namespace

aws::ApiResult<Tags> parse_tagging(std::string_view text, Tagged tagged) {
    const auto root = parse_xml(text);
    if (!root || root->name != "Tagging") return malformed_xml();
    const auto* set = root->find("TagSet");
    if (!set || root->children.size() != 1) return malformed_xml();
    Tags tags;
    for (const auto& tag : set->children) {
        const auto *key = tag.find("Key"), *value = tag.find("Value");
        if (tag.name != "Tag" || !key || !value || tag.children.size() != 2) return malformed_xml();
        TRY(add_tag(tags, key->text, value->text));
    }
    TRY(check_count(tags, tagged));
    return tags;
}

aws::ApiResult<Tags> parse_tagging_header(std::string_view text) {
    Tags tags;
    for (const auto& [key, value] : net::parse_query(text)) {
        if (key.empty())
            return invalid_argument(
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
                "name duplicates.",
                "x-amz-tagging", text);
        TRY(add_tag(tags, key, value));
    }
    TRY(check_count(tags, Tagged::Object));
    return tags;
}

void write_tagging(XmlWriter& xml, const Tags& tags) {
    xml.open("Tagging", kXmlNamespace).open("TagSet");
    for (const auto& [key, value] : tags) xml.open("Tag").element("Key", key).element("Value", value).close();
    xml.close().close();
}

std::string format_tags(const Tags& tags) {
    Json document = Json::object();
    for (const auto& [key, value] : tags) document.set(key, value);
    return document.dump();
}

Tags stored_tags(const std::string* document) {
    Tags tags;
    if (!document) return tags;
    const auto parsed = Json::parse(*document);
    if (!parsed) return tags;
    for (const auto& member : parsed->members()) tags[member.name] = member.value.string_or("");
    return tags;
}

}  // namespace millwright::s3
