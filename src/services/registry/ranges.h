// The two ways in which clients of a registry speak of a part of the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millwright::services {

struct ByteRange {
    uint64_t first = 0, length = 0;
};

// "Range: bytes=0-4", "bytes=5-", "bytes=-5" of `size` bytes.
struct WantedRange {
    enum class Kind { Whole, Part, Unsatisfiable };
    Kind kind = Kind::Whole;
    ByteRange part{};
};
// Anything that is not one range means the whole.
WantedRange wanted_range(std::string_view header, uint64_t size);

// "Content-Range: 0-4" of an upload, both ends included. Nothing when it is anything else.
std::optional<ByteRange> upload_range(std::string_view header);
// "Range: 0-4" of `received` bytes; "0-0" also when there are none, as other registries say it.
std::string received_range(uint64_t received);

}  // namespace millwright::services
