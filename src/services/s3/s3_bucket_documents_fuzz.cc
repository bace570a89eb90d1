// Documents that describe a bucket: access lists, lifecycle rules, CORS, tags, form policies.
#include <cstdint>

#include "base/check.h"
#include "base/random.h"
#include "services/s3/acl.h"
#include "services/s3/bucket_lifecycle.h"
#include "services/s3/cors.h"
#include "services/s3/form_policy.h"
#include "services/s3/tags.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    static_cast<void>(s3::parse_acl(text, {}));
    static_cast<void>(s3::parse_lifecycle(text, system_random()));
    static_cast<void>(s3::parse_cors(text));
    for (const s3::Tagged what : {s3::Tagged::Object, s3::Tagged::Bucket}) {
        const auto tags = s3::parse_tagging(text, what);
        if (tags) CHECK(tags->size() <= (what == s3::Tagged::Object ? 10u : 50u));
    }
    if (const auto tags = s3::parse_tagging_header(text)) CHECK(tags->size() <= 10);
    if (const auto policy = s3::parse_form_policy(text))
        static_cast<void>(s3::check_form_policy(*policy, {{"key", "a"}, {"bucket", "b"}}, system_clock().now()));
    return 0;
}
