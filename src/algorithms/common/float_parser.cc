#include "algorithms/common/float_parser.h"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string>

#include "base/strings.h"

namespace millwright::algorithms::float_parser_internal {

float convert_exactly(const char* begin, const char* end) {
    if (begin != end && *begin == '+') ++begin;
    float value = 0;
    if (std::from_chars(begin, end, value).ec == std::errc()) return value;
    // Out of range: from_chars does not say on which side.
    return std::strtof(std::string(begin, end).c_str(), nullptr);
}

const char* parse_word(const char* p, const char* end, float& value) {
    const bool negative = *p == '-';
    if (negative || *p == '+') ++p;
    const auto starts_with = [&](std::string_view word) {
        return static_cast<size_t>(end - p) >= word.size() && equals_ignoring_case({p, word.size()}, word);
    };
    if (starts_with("nan")) {
        value = negative ? -std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::quiet_NaN();
        return p + 3;
    }
    if (!starts_with("inf")) return nullptr;
    value = negative ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
    return p + (starts_with("infinity") ? 8 : 3);
}

}  // namespace millwright::algorithms::float_parser_internal
