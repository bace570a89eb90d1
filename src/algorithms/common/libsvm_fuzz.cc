#include <cstddef>
#include <cstdint>

#include "algorithms/common/parsers_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millwright::algorithms::fuzzing::libsvm({reinterpret_cast<const char*>(data), size});
    return 0;
}
