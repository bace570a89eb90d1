// Frames of application/vnd.amazon.eventstream, in which AWS streams answers:
//
//   u32 length of the frame, u32 length of the headers, u32 CRC-32 of these eight bytes,
//   headers: u8 length of the name, name, u8 7 (text), u16 length of the value, value
//   payload, u32 CRC-32 of everything before; numbers are big-endian
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace millwright::aws {

inline constexpr std::string_view kEventStreamType = "application/vnd.amazon.eventstream";
// The largest payload of a frame that clients take.
inline constexpr size_t kMaxEventPayload = size_t{16} << 20;

// An event with raw bytes: {":event-type": type, ":content-type": "application/octet-stream"}.
// REQUIRES: payload.size() <= kMaxEventPayload, as below.
std::string encode_event(std::string_view type, std::string_view payload);
// What ends a stream that went wrong: a modelled exception with its members.
std::string encode_exception(std::string_view type, const Json& members);

// A frame as a client sees it.
struct EventFrame {
    std::vector<std::pair<std::string, std::string>> headers;
    std::string payload;
};
struct DecodedFrame {
    EventFrame frame;
    size_t consumed = 0;
};
// The first frame of `bytes`; nullopt when more bytes are needed to tell. InvalidInput: broken lengths, checksums, or
// headers of a type that is not text.
Result<std::optional<DecodedFrame>> decode_frame(std::string_view bytes);

}  // namespace millwright::aws
