#include "resources/identity/registry_login.h"

#include <algorithm>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr size_t kTagBytes = 32, kMaxTokenBytes = 4096, kParts = 3;

Error denied(std::string text) { return {ErrorKind::Denied, std::move(text), ""}; }

Error unknown() { return denied("The user name or the password is not valid."); }

std::string to_url_safe(std::string text) {
    while (text.ends_with('=')) text.pop_back();
    for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
    return text;
}

std::optional<std::string> from_url_safe(std::string_view text) {
    std::string standard(text);
    for (char& c : standard) c = c == '-' ? '+' : c == '_' ? '/' : c;
    while (standard.size() % 4) standard += '=';
    return from_base64(standard);
}

struct Content {
    std::string access_key_id, region;
    int64_t expires = 0;
};

std::optional<Content> parse_payload(std::string_view payload) {
    const auto document = Json::parse(payload);
    if (!document || document->items().size() != kParts) return std::nullopt;
    const auto parts = document->items();
    const auto expires = parse_int(parts[2].string_or(""));
    if (!expires) return std::nullopt;
    return Content{parts[0].string_or(""), parts[1].string_or(""), *expires};
}

}  // namespace

std::string RegistryLogin::tag(std::string_view secret, std::string_view payload) const {
    return hmac_sha256(hmac_sha256(key_, "registry token\n" + std::string(secret)), payload);
}

Result<RegistryToken> RegistryLogin::issue(const aws::Caller& caller) const {
    const auto credential = credentials_.find_credential(caller.access_key_id);
    if (!credential) return unknown();
    RegistryToken token;
    token.expires = std::chrono::floor<std::chrono::seconds>(clock_.now()) + kRegistryTokenLifetime;
    if (credential->expires) token.expires = std::min(token.expires, *credential->expires);
    const std::string seconds = std::to_string(to_epoch_milliseconds(token.expires) / 1000);
    Json content = Json::array();
    for (const std::string& part : {caller.access_key_id, caller.region, seconds}) content.push_back(part);
    const std::string payload = content.dump();
    token.password = to_url_safe(to_base64(tag(credential->secret_access_key, payload) + payload));
    return token;
}

Result<aws::Caller> RegistryLogin::caller_of(std::string_view user, std::string_view password) const {
    return user == kRegistryUser ? caller_of_token(password) : caller_of_key(user, password);
}

Result<aws::Caller> RegistryLogin::caller_of_token(std::string_view token) const {
    if (token.size() > kMaxTokenBytes) return unknown();
    const auto bytes = from_url_safe(token);
    // One spelling for each token.
    if (!bytes || bytes->size() <= kTagBytes || to_url_safe(to_base64(*bytes)) != token) return unknown();
    const std::string_view payload = std::string_view(*bytes).substr(kTagBytes);
    const auto content = parse_payload(payload);
    if (!content) return unknown();
    auto credential = credentials_.find_credential(content->access_key_id);
    if (!credential) return unknown();
    if (!constant_time_equal(bytes->substr(0, kTagBytes), tag(credential->secret_access_key, payload)))
        return unknown();
    const int64_t now = to_epoch_milliseconds(clock_.now());
    const int64_t longest = std::chrono::milliseconds(kRegistryTokenLifetime).count();
    const int64_t left = content->expires * 1000 - now;
    // One with more left is of a clock that was ahead and has been set back.
    if (left <= 0 || left > 2 * longest || (credential->expires && *credential->expires <= clock_.now()))
        return denied("Your authorization token has expired. Reauthenticate and try again.");
    credential->caller.region = content->region;
    return std::move(credential->caller);
}

Result<aws::Caller> RegistryLogin::caller_of_key(std::string_view access_key_id, std::string_view secret) const {
    auto credential = credentials_.find_credential(access_key_id);
    if (!credential || !constant_time_equal(credential->secret_access_key, secret)) return unknown();
    if (!credential->session_token.empty())
        return denied("Temporary keys cannot be used as a password; log in with a token of GetAuthorizationToken.");
    credential->caller.region = default_region_;
    return std::move(credential->caller);
}

}  // namespace millwright::resources
