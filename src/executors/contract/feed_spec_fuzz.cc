// What the server tells the feeder, as it lies in a run's folder. Read and written again it is the same.
#include <cstdint>

#include "base/check.h"
#include "executors/contract/feed_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::executors;
    if (const auto spec = decode_feed_spec({reinterpret_cast<const char*>(data), size})) {
        const std::string text = encode_feed_spec(*spec);
        const auto again = decode_feed_spec(text);
        CHECK(again.has_value() && encode_feed_spec(*again) == text);
    }
    return 0;
}
