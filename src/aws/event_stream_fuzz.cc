// Frames of foreign bytes: whatever is decoded is within the input, and what is encoded comes back.
#include <cstddef>
#include <cstdint>

#include "aws/event_stream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::string frame = aws::encode_event("PayloadPart", bytes);
    const auto back = aws::decode_frame(frame);
    if (!back || !*back || (*back)->frame.payload != bytes) __builtin_trap();
    while (!bytes.empty()) {
        const auto decoded = aws::decode_frame(bytes);
        if (!decoded || !*decoded) return 0;
        if ((*decoded)->consumed == 0 || (*decoded)->consumed > bytes.size()) __builtin_trap();
        bytes.remove_prefix((*decoded)->consumed);
    }
    return 0;
}
