#include "services/s3/conditions.h"

#include <algorithm>
#include <string>

#include "base/strings.h"

namespace millwright::s3 {
namespace {

bool names_etag(std::string_view header, std::string_view etag) {
    for (std::string_view candidate : split(header, ',')) {
        candidate = trim(candidate);
        if (candidate == "*") return true;
        if (candidate.starts_with("W/")) candidate.remove_prefix(2);
        if (candidate.size() >= 2 && candidate.front() == '"' && candidate.back() == '"')
            candidate = candidate.substr(1, candidate.size() - 2);
        if (candidate == etag) return true;
    }
    return false;
}

std::optional<uint64_t> digits(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    // Larger than any object is as good as the largest number.
    if (text.size() > 18) return uint64_t{999'999'999'999'999'999};
    return static_cast<uint64_t>(*parse_int(text));
}

}  // namespace

Condition check_conditions(const net::Headers& headers, std::string_view prefix, std::string_view etag,
                           Timestamp modified) {
    const auto header = [&](std::string_view name) { return headers.find(std::string(prefix) + std::string(name)); };
    const auto time_of = [&](std::string_view name) -> std::optional<Timestamp> {
        const auto text = header(name);
        return text ? parse_rfc1123(*text) : std::nullopt;
    };
    const Timestamp seconds = std::chrono::floor<std::chrono::seconds>(modified);  // what Last-Modified can say
    if (const auto match = header("If-Match")) {
        if (!names_etag(*match, etag)) return {Verdict::Failed, "If-Match"};
    } else if (const auto time = time_of("If-Unmodified-Since"); time && seconds > *time) {
        return {Verdict::Failed, "If-Unmodified-Since"};
    }
    if (const auto none = header("If-None-Match")) {
        if (names_etag(*none, etag)) return {Verdict::NotModified, "If-None-Match"};
    } else if (const auto time = time_of("If-Modified-Since"); time && seconds <= *time) {
        return {Verdict::NotModified, "If-Modified-Since"};
    }
    return {};
}

Range parse_range(std::string_view header, uint64_t size) {
    constexpr std::string_view kUnit = "bytes=";
    header = trim(header);
    if (!header.starts_with(kUnit)) return {};
    header.remove_prefix(kUnit.size());
    const size_t dash = header.find('-');
    if (dash == std::string_view::npos) return {};
    const std::string_view before = trim(header.substr(0, dash)), after = trim(header.substr(dash + 1));
    const auto first = digits(before), last = digits(after);
    if ((!first && !before.empty()) || (!last && !after.empty()) || (!first && !last) ||
        (first && last && *first > *last))
        return {};
    if (!first) {
        const uint64_t length = std::min(*last, size);
        if (length == 0) return {Range::Kind::Unsatisfiable, 0, 0};
        return {Range::Kind::Part, size - length, length};
    }
    if (*first >= size) return {Range::Kind::Unsatisfiable, 0, 0};
    const uint64_t end = last ? std::min(*last, size - 1) : size - 1;
    return {Range::Kind::Part, *first, end - *first + 1};
}

}  // namespace millwright::s3
