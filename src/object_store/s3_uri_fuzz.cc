// Anything in an S3Uri either is refused or names a bucket and a key the store would accept.
#include <cstdint>

#include "base/check.h"
#include "object_store/object_store.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::object_store;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto uri = parse_s3_uri(text);
    if (!uri) return 0;
    CHECK(is_valid_bucket_name(uri->bucket));
    CHECK(uri->key.empty() || check_key(uri->key).has_value());
    CHECK(text == "s3://" + uri->bucket + "/" + uri->key || text == "s3://" + uri->bucket);
    return 0;
}
