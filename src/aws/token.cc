#include "aws/token.h"

#include "base/digest.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::aws {
namespace {

constexpr size_t kTagBytes = 16;

std::string to_url_safe(std::string text) {
    while (text.ends_with('=')) text.pop_back();
    for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
    return text;
}

std::optional<std::string> from_url_safe(std::string_view text) {
    std::string standard(text);
    for (char& c : standard) c = c == '-' ? '+' : c == '_' ? '/' : c;
    while (standard.size() % 4) standard += '=';
    auto bytes = from_base64(standard);
    // One spelling per token: unused bits and the other alphabet do not pass.
    if (!bytes || to_url_safe(to_base64(*bytes)) != text) return std::nullopt;
    return bytes;
}

}  // namespace

std::string PageTokens::tag(std::string_view scope, std::string_view payload) const {
    return hmac_sha256(key_, std::string(scope) + "\n" + std::string(payload)).substr(0, kTagBytes);
}

std::string PageTokens::encode(std::string_view scope, const std::vector<std::string>& position) const {
    Json payload = Json::array();
    for (const std::string& part : position) payload.push_back(part);
    const std::string text = payload.dump();
    return to_url_safe(to_base64(tag(scope, text) + text));
}

ApiResult<std::vector<std::string>> PageTokens::decode(std::string_view scope, std::string_view token) const {
    const ApiError refused = validation_exception("Invalid pagination token.");
    const auto bytes = from_url_safe(token);
    if (!bytes || bytes->size() < kTagBytes) return refused;
    const std::string_view payload = std::string_view(*bytes).substr(kTagBytes);
    if (!constant_time_equal(bytes->substr(0, kTagBytes), tag(scope, payload))) return refused;
    const auto document = Json::parse(payload);
    if (!document) return refused;
    std::vector<std::string> position;
    for (const Json& part : document->items()) position.push_back(part.string_or(""));
    return position;
}

}  // namespace millwright::aws
