// Small text functions. All of them treat text as bytes unless they say UTF-8.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millwright {

std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);  // ASCII white space at both ends
// The views would outlive a text that is not kept.
template <typename Text>
requires std::same_as<Text, std::string>
void split(Text&& text, char separator) = delete;
std::string to_lower(std::string_view text);                        // ASCII only
bool equals_ignoring_case(std::string_view a, std::string_view b);  // ASCII only
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);
// Whole-text decimal numbers; nothing else around them.
std::optional<int64_t> parse_int(std::string_view text);
std::optional<double> parse_double(std::string_view text);
// Returns `text`, or a copy in which each byte that is not part of valid UTF-8 is U+FFFD.
std::string valid_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);
// Number of Unicode code points. REQUIRES: valid UTF-8.
size_t utf8_length(std::string_view text);

}  // namespace millwright
