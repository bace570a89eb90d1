#include "base/strings.h"
#include "object_store/object_store.h"

namespace millwright::object_store {
namespace {

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool looks_like_ipv4(std::string_view name) {
    const auto parts = split(name, '.');
    if (parts.size() != 4) return false;
    for (const auto part : parts) {
        const auto number = parse_int(part);
        if (!number || *number < 0 || part.size() > 3) return false;
    }
    return true;
}

}  // namespace

bool is_valid_bucket_name(std::string_view name) {
    if (name.size() < 3 || name.size() > 63) return false;
    if (!is_lower_or_digit(name.front()) || !is_lower_or_digit(name.back())) return false;
    for (const char c : name)
        if (!is_lower_or_digit(c) && c != '.' && c != '-') return false;
    if (name.find("..") != std::string_view::npos || looks_like_ipv4(name)) return false;
    for (const std::string_view prefix : {"xn--", "sthree-"})
        if (name.starts_with(prefix)) return false;
    for (const std::string_view suffix : {"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"})
        if (name.ends_with(suffix)) return false;
    return true;
}

Result<void> check_key(std::string_view key) {
    if (key.size() > kMaxKeyBytes)
        return Error{ErrorKind::InvalidInput, "Your key is too long", std::string(reason::kKeyTooLong)};
    if (key.empty() || key.find('\0') != std::string_view::npos || !is_valid_utf8(key))
        return Error{ErrorKind::InvalidInput, "the key is not 1 to 1024 bytes of UTF-8 without NUL",
                     std::string(reason::kKey)};
    return {};
}

Result<S3Uri> parse_s3_uri(std::string_view uri) {
    constexpr std::string_view kScheme = "s3://";
    if (!uri.starts_with(kScheme)) return invalid_input("not an s3:// URI");
    const std::string_view rest = uri.substr(kScheme.size());
    const size_t slash = rest.find('/');
    S3Uri parsed{std::string(rest.substr(0, slash)),
                 slash == std::string_view::npos ? "" : std::string(rest.substr(slash + 1))};
    if (!is_valid_bucket_name(parsed.bucket)) return invalid_input("the s3:// URI names no valid bucket");
    if (!parsed.key.empty()) TRY(check_key(parsed.key));
    return parsed;
}

}  // namespace millwright::object_store
