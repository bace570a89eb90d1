// What the server tells the launcher, as it lies in a run's folder. Read and written again it is the same; files of
// older versions are read only.
#include <cstdint>

#include "base/check.h"
#include "executors/process/launch_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::executors;
    if (const auto spec = decode_launch_spec({reinterpret_cast<const char*>(data), size})) {
        if (spec->version != kLaunchVersion) return 0;
        const std::string text = encode_launch_spec(*spec);
        const auto again = decode_launch_spec(text);
        CHECK(again.has_value() && encode_launch_spec(*again) == text);
    }
    return 0;
}
