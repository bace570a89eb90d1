// Which bucket and key a host (the first line) and a path (the rest) name. There is no key without a bucket.
#include <cstdint>

#include "base/check.h"
#include "services/s3/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const size_t line = text.find('\n');
    const std::string_view host = text.substr(0, line), path = line == text.npos ? "/" : text.substr(line + 1);
    if (const auto target = s3::find_target(host, path, {"s3.local", "localhost"}))
        CHECK(target->key.empty() || !target->bucket.empty());
    static_cast<void>(s3::bucket_of_host(text, {"s3.local"}));
    return 0;
}
