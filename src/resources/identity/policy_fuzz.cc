// Policy documents of users: refused, or statements that can be evaluated.
#include <cstdint>

#include "base/check.h"
#include "resources/identity/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::resources;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const PolicyKind kind :
         {PolicyKind::Permission, PolicyKind::Trust, PolicyKind::Bucket, PolicyKind::Repository}) {
        const auto policy = parse_policy(text, kind);
        if (!policy) continue;
        CHECK(*policy != nullptr);
        static_cast<void>(is_public(**policy));
        static_cast<void>((*policy)->names_key("aws:sourceip"));
    }
    static_cast<void>(parse_bucket_policy(text, "bucket"));
    CHECK(policy_size(text) <= size);
    return 0;
}
