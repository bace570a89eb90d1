#include "services/registry/ranges.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace millwright::services {
namespace {

std::optional<uint64_t> number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

WantedRange wanted_range(std::string_view header, uint64_t size) {
    constexpr std::string_view kUnit = "bytes=";
    header = trim(header);
    if (!header.starts_with(kUnit)) return {};
    header.remove_prefix(kUnit.size());
    const size_t dash = header.find('-');
    if (dash == std::string_view::npos) return {};
    const std::string_view before = trim(header.substr(0, dash)), after = trim(header.substr(dash + 1));
    const auto first = number(before), last = number(after);
    if ((!first && !before.empty()) || (!last && !after.empty()) || (!first && !last)) return {};
    if (first && last && *first > *last) return {WantedRange::Kind::Unsatisfiable, {}};
    if (!first) {
        const uint64_t length = std::min(*last, size);
        if (length == 0) return {WantedRange::Kind::Unsatisfiable, {}};
        return {WantedRange::Kind::Part, {size - length, length}};
    }
    if (*first >= size) return {WantedRange::Kind::Unsatisfiable, {}};
    const uint64_t end = last ? std::min(*last, size - 1) : size - 1;
    return {WantedRange::Kind::Part, {*first, end - *first + 1}};
}

std::optional<ByteRange> upload_range(std::string_view header) {
    const size_t dash = header.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto first = number(header.substr(0, dash)), last = number(header.substr(dash + 1));
    if (!first || !last || *last < *first || *last - *first == UINT64_MAX) return std::nullopt;
    return ByteRange{*first, *last - *first + 1};
}

std::string received_range(uint64_t received) { return "0-" + std::to_string(received == 0 ? 0 : received - 1); }

}  // namespace millwright::services
