// Range headers and request targets: a range lies inside the object, whatever the text.
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "services/s3/conditions.h"
#include "services/s3/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    uint64_t length = 0;
    if (size < sizeof length) return 0;
    std::memcpy(&length, data, sizeof length);
    length >>= 8;
    const std::string_view text(reinterpret_cast<const char*>(data) + sizeof length, size - sizeof length);
    const auto range = s3::parse_range(text, length);
    if (range.kind == s3::Range::Kind::Part)
        CHECK(range.length > 0 && range.first < length && range.length <= length - range.first);
    const auto target = s3::find_target("bucket.localhost:9770", text, {"localhost"});
    if (target) CHECK(target->bucket == "bucket" && target->key.size() < size);
    CHECK(s3::find_target(text, "/a/b", {"localhost"}).has_value());
    return 0;
}
