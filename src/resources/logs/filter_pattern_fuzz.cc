// A filter pattern in the first line, a message in the rest.
#include <cstdint>

#include "resources/logs/filter_pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const size_t line = text.find('\n');
    const auto pattern = millwright::resources::FilterPattern::parse(text.substr(0, line));
    if (pattern) static_cast<void>(pattern->matches(line == text.npos ? "" : text.substr(line + 1)));
    return 0;
}
