// Bodies of CompleteMultipartUpload, DeleteObjects and CreateBucket: refused, or within their limits.
#include <cstdint>

#include "base/check.h"
#include "services/s3/documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto parts = s3::parse_completed_parts(text))
        for (const auto& part : *parts) CHECK(part.number >= 1 && part.number <= object_store::kMaxParts);
    if (const auto keys = s3::parse_delete(text)) CHECK(!keys->objects.empty() && keys->objects.size() <= 1000);
    CHECK(s3::parse_location_constraint(text).has_value() || size > 0);
    return 0;
}
