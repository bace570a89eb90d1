// Heads, chunked bodies and how they arrive: the first byte chooses the piece size, the rest is what a peer
// sends.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/http_parser.h"

namespace millwright::net {
namespace {

// The end of the head when the bytes arrive `step` at a time; must not depend on the step.
Result<size_t> scan(std::string_view text, size_t step) {
    HeadScanner scanner;
    for (size_t given = 0; given < text.size();) {
        given = std::min(text.size(), given + step);
        const size_t end = TRY(scanner.find_end(text.substr(0, given)));
        if (end > 0) return end;
    }
    return size_t{0};
}

void check_head(MessageKind kind, std::string_view text) {
    const auto head = parse_head(kind, text);
    if (!head) return;
    CHECK(!(head->chunked && head->content_length));
    for (const auto& [name, value] : head->headers.all()) CHECK(is_field_text(name) && is_field_text(value));
    if (kind == MessageKind::Request) CHECK(!head->target.empty() && is_field_text(head->target));
}

std::string decode(std::string_view text, size_t step) {
    ChunkedDecoder decoder;
    std::string buffer, out;
    for (size_t fed = 0; fed < text.size() && !decoder.finished();) {
        const size_t take = std::min(step, text.size() - fed);
        buffer += text.substr(fed, take);
        fed += take;
        while (!buffer.empty() && !decoder.finished()) {
            const auto piece = decoder.next(buffer, 7);
            if (!piece) return out + "!";
            CHECK(piece->consumed <= buffer.size() && piece->data.size() <= 7);
            out += piece->data;
            buffer.erase(0, piece->consumed);
            if (piece->need_more) break;
        }
    }
    return out;
}

}  // namespace
}  // namespace millwright::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::net;
    if (size == 0) return 0;
    const size_t step = 1 + data[0] % 16;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto whole = scan(text, text.size() + 1), pieces = scan(text, step);
    CHECK(whole.has_value() == pieces.has_value());
    if (whole && *whole > 0) {
        CHECK(pieces && *pieces == *whole);
        check_head(MessageKind::Request, text.substr(0, *whole));
        check_head(MessageKind::Response, text.substr(0, *whole));
    }
    const std::string at_once = decode(text, text.size() + 1), bit_by_bit = decode(text, step);
    // What was decoded before an error may differ in length only.
    const std::string_view a = at_once, b = bit_by_bit;
    const size_t common = std::min(a.size() - a.ends_with('!'), b.size() - b.ends_with('!'));
    CHECK(a.substr(0, common) == b.substr(0, common));
    return 0;
}
