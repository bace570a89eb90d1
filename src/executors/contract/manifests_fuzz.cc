#include "executors/contract/manifests_fuzz.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    millwright::executors::fuzzing::augmented_manifest(text);
    millwright::executors::fuzzing::manifest(text);
    return 0;
}
