// Hex, base64 and percent encoding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millwright {

std::string to_hex(std::string_view bytes);  // lower case
std::optional<std::string> from_hex(std::string_view text);
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);  // standard alphabet, padding required

// RFC 3986 as SigV4 wants it: everything but A-Z a-z 0-9 - . _ ~ is %XX (upper case).
enum class Slash { Encode, Keep };
std::string percent_encode(std::string_view text, Slash slash = Slash::Encode);
// Broken escapes stay as they are. `plus_is_space` for form bodies.
enum class Plus { Literal, Space };
std::string percent_decode(std::string_view text, Plus plus = Plus::Literal);

}  // namespace millwright
