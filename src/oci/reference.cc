#include "oci/reference.h"

#include <algorithm>

#include "base/strings.h"

namespace millwright::oci {
namespace {

constexpr size_t kMaxRepositoryName = 256, kMaxTag = 128, kMaxHost = 255;

bool is_lower_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alphanumeric(char c) { return is_lower_alphanumeric(c) || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_path_component(std::string_view text) {
    if (text.empty() || !is_lower_alphanumeric(text.front()) || !is_lower_alphanumeric(text.back())) return false;
    for (size_t at = 0; at < text.size();) {
        if (is_lower_alphanumeric(text[at])) {
            ++at;
            continue;
        }
        const size_t end = text.find_first_not_of(text[at], at);
        const size_t length = end - at;
        if (!is_lower_alphanumeric(text[end])) return false;
        const bool fine = text[at] == '-' || (text[at] == '.' && length == 1) || (text[at] == '_' && length <= 2);
        if (!fine) return false;
        at = end;
    }
    return true;
}

bool is_host_label(std::string_view text) {
    return !text.empty() && is_alphanumeric(text.front()) && is_alphanumeric(text.back()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_alphanumeric(c) || c == '-'; });
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 && std::all_of(text.begin(), text.end(), is_digit) &&
           parse_int(text).value_or(65536) <= 65535;
}

// A name, an IPv4 address, or an IPv6 address in brackets.
bool is_host(std::string_view text) {
    if (text.empty() || text.size() > kMaxHost) return false;
    if (text.front() == '[') {
        const size_t close = text.find(']');
        if (close == std::string_view::npos || close < 3) return false;
        const std::string_view address = text.substr(1, close - 1), rest = text.substr(close + 1);
        return address.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos &&
               (rest.empty() || (rest.front() == ':' && is_port(rest.substr(1))));
    }
    const size_t colon = text.find(':');
    if (colon != std::string_view::npos && !is_port(text.substr(colon + 1))) return false;
    const auto labels = split(text.substr(0, colon), '.');
    return std::all_of(labels.begin(), labels.end(), is_host_label);
}

bool looks_like_a_host(std::string_view first_part) {
    return first_part.find_first_of(".:") != std::string_view::npos || first_part == "localhost";
}

Error not_a_reference(std::string_view text, std::string_view why) {
    return invalid_input("'" + valid_utf8(text.substr(0, 300)) + "' is not the name of an image: " + std::string(why));
}

bool is_account(std::string_view text) { return text.size() == 12 && std::all_of(text.begin(), text.end(), is_digit); }

bool is_region(std::string_view text) {
    return !text.empty() && text.size() <= 32 && is_lower_alphanumeric(text.front()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_lower_alphanumeric(c) || c == '-'; });
}

}  // namespace

bool is_repository_name(std::string_view text) {
    if (text.empty() || text.size() > kMaxRepositoryName) return false;
    const auto parts = split(text, '/');
    return std::all_of(parts.begin(), parts.end(), is_path_component);
}

bool is_tag(std::string_view text) {
    return !text.empty() && text.size() <= kMaxTag && (is_alphanumeric(text.front()) || text.front() == '_') &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_digest(std::string_view text) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return false;
    const std::string_view algorithm = text.substr(0, colon), digits = text.substr(colon + 1);
    const bool right_size =
        (algorithm == "sha256" && digits.size() == 64) || (algorithm == "sha512" && digits.size() == 128);
    return right_size && digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<Reference> parse_reference(std::string_view text) {
    Reference reference;
    std::string_view rest = text;
    if (const size_t at = rest.find('@'); at != std::string_view::npos) {
        reference.digest = rest.substr(at + 1);
        rest = rest.substr(0, at);
        if (!is_digest(reference.digest))
            return not_a_reference(text, "behind '@' stands a digest, sha256:<64 hex digits>");
    }
    if (const size_t slash = rest.find('/');
        slash != std::string_view::npos && looks_like_a_host(rest.substr(0, slash))) {
        reference.host = rest.substr(0, slash);
        rest = rest.substr(slash + 1);
        if (!is_host(reference.host)) return not_a_reference(text, "the part before the first '/' is no host");
    }
    if (const size_t colon = rest.rfind(':');
        colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos) {
        reference.tag = rest.substr(colon + 1);
        rest = rest.substr(0, colon);
        if (!is_tag(reference.tag))
            return not_a_reference(text, "a tag has 1 to 128 of A-Z a-z 0-9 _ . - and begins with none of . -");
    }
    reference.repository = rest;
    if (!is_repository_name(rest))
        return not_a_reference(text, "a repository has parts of a-z 0-9 with single . _ __ - between, joined by '/'");
    if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
    return reference;
}

std::string to_string(const Reference& reference) {
    std::string out = reference.host.empty() ? "" : reference.host + "/";
    out += reference.repository;
    if (!reference.tag.empty()) out += ":" + reference.tag;
    if (!reference.digest.empty()) out += "@" + reference.digest;
    return out;
}

std::optional<EcrHost> parse_ecr_host(std::string_view host) {
    if (const size_t colon = host.find(':'); colon != std::string_view::npos) {
        if (!is_port(host.substr(colon + 1))) return std::nullopt;
        host = host.substr(0, colon);
    }
    const std::string name = to_lower(host);
    const auto labels = split(name, '.');
    if (labels.size() < 6 || !is_account(labels[0]) || labels[1] != "dkr" || !is_region(labels[3])) return std::nullopt;
    if (labels[2] != "ecr" && labels[2] != "ecr-fips") return std::nullopt;
    if (labels[4] != "amazonaws" || labels[5] != "com") return std::nullopt;
    if (labels.size() > 7 || (labels.size() == 7 && labels[6] != "cn")) return std::nullopt;
    return EcrHost{std::string(labels[0]), std::string(labels[3])};
}

std::string to_string(const EcrHost& host) { return host.account + ".dkr.ecr." + host.region + ".amazonaws.com"; }

}  // namespace millwright::oci
