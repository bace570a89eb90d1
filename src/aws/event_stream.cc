#include "aws/event_stream.h"

#include "base/check.h"
#include "base/digest.h"

namespace millwright::aws {
namespace {

constexpr size_t kPrelude = 12;
constexpr size_t kChecksum = 4;
constexpr size_t kMaxHeaders = size_t{128} << 10;
constexpr uint8_t kText = 7;

void put_u16(std::string& out, size_t value) {
    out += static_cast<char>(value >> 8 & 0xff);
    out += static_cast<char>(value & 0xff);
}
void put_u32(std::string& out, size_t value) {
    put_u16(out, value >> 16 & 0xffff);
    put_u16(out, value & 0xffff);
}
size_t get_u16(std::string_view bytes) {
    return static_cast<size_t>(static_cast<uint8_t>(bytes[0])) << 8 | static_cast<uint8_t>(bytes[1]);
}
size_t get_u32(std::string_view bytes) { return get_u16(bytes) << 16 | get_u16(bytes.substr(2)); }

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

std::string encode(const Fields& fields, std::string_view payload) {
    CHECK(payload.size() <= kMaxEventPayload);
    std::string headers;
    for (const auto& [name, value] : fields) {
        CHECK(name.size() <= 255 && value.size() <= 65535);
        headers += static_cast<char>(name.size());
        headers += name;
        headers += static_cast<char>(kText);
        put_u16(headers, value.size());
        headers += value;
    }
    std::string frame;
    frame.reserve(kPrelude + headers.size() + payload.size() + kChecksum);
    put_u32(frame, kPrelude + headers.size() + payload.size() + kChecksum);
    put_u32(frame, headers.size());
    frame += digest(DigestKind::Crc32, frame);
    frame += headers;
    frame += payload;
    frame += digest(DigestKind::Crc32, frame);
    return frame;
}

Error broken(std::string what) { return invalid_input("broken event stream: " + std::move(what)); }

Result<void> read_headers(std::string_view bytes, EventFrame& frame) {
    while (!bytes.empty()) {
        const size_t name_size = static_cast<uint8_t>(bytes[0]);
        if (name_size == 0 || bytes.size() < 1 + name_size + 3) return broken("a header is cut short");
        const std::string_view name = bytes.substr(1, name_size);
        bytes.remove_prefix(1 + name_size);
        if (static_cast<uint8_t>(bytes[0]) != kText) return broken("a header is no text");
        const size_t value_size = get_u16(bytes.substr(1));
        if (bytes.size() < 3 + value_size) return broken("a header is cut short");
        frame.headers.emplace_back(name, bytes.substr(3, value_size));
        bytes.remove_prefix(3 + value_size);
    }
    return {};
}

}  // namespace

std::string encode_event(std::string_view type, std::string_view payload) {
    return encode({{":message-type", "event"}, {":event-type", type}, {":content-type", "application/octet-stream"}},
                  payload);
}

std::string encode_exception(std::string_view type, const Json& members) {
    return encode({{":message-type", "exception"}, {":exception-type", type}, {":content-type", "application/json"}},
                  members.dump());
}

Result<std::optional<DecodedFrame>> decode_frame(std::string_view bytes) {
    if (bytes.size() < kPrelude) return std::optional<DecodedFrame>();
    const size_t total = get_u32(bytes), headers = get_u32(bytes.substr(4));
    if (digest(DigestKind::Crc32, bytes.substr(0, 8)) != bytes.substr(8, kChecksum)) return broken("prelude checksum");
    if (headers > kMaxHeaders || total < kPrelude + headers + kChecksum ||
        total - kPrelude - headers - kChecksum > kMaxEventPayload)
        return broken("impossible lengths");
    if (bytes.size() < total) return std::optional<DecodedFrame>();
    const std::string_view whole = bytes.substr(0, total - kChecksum);
    if (digest(DigestKind::Crc32, whole) != bytes.substr(total - kChecksum, kChecksum)) return broken("checksum");
    DecodedFrame decoded;
    decoded.consumed = total;
    TRY(read_headers(whole.substr(kPrelude, headers), decoded.frame));
    decoded.frame.payload = whole.substr(kPrelude + headers);
    return std::optional<DecodedFrame>(std::move(decoded));
}

}  // namespace millwright::aws
