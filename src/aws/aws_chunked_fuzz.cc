// aws-chunked framing from foreign bytes: no crash, no endless loop, and never more bytes than declared.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "aws/sigv4.h"

using namespace millwright;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    aws::PayloadCheck check;
    check.kind = static_cast<aws::PayloadKind>(3 + data[0] % 3);
    check.decoded_length = data[1];
    check.timestamp = "20261122T101530Z";
    if (data[0] & 0x80) check.trailers = {"x-amz-checksum-crc32"};
    aws::StringBody body(std::string(reinterpret_cast<const char*>(data) + 2, size - 2));
    aws::PayloadReader reader(check, body);
    std::array<char, 7> buffer;
    uint64_t total = 0;
    for (;;) {
        const auto got = reader.read(buffer);
        if (!got || *got == 0) break;
        total += *got;
    }
    if (total > *check.decoded_length) std::abort();
    return 0;
}
