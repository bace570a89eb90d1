// Bodies of CompleteMultipartUpload, DeleteObjects, CreateBucket, tagging and lifecycle: refused, or within their
// limits, and what is taken is written and read back the same.
#include <cstdint>

#include "base/check.h"
#include "services/s3/bucket_lifecycle.h"
#include "services/s3/documents.h"
#include "services/s3/tags.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto parts = s3::parse_completed_parts(text))
        for (const auto& part : *parts) CHECK(part.number >= 1 && part.number <= object_store::kMaxParts);
    if (const auto keys = s3::parse_delete(text)) CHECK(!keys->objects.empty() && keys->objects.size() <= 1000);
    CHECK(s3::parse_location_constraint(text).has_value() || size > 0);
    if (const auto tags = s3::parse_tagging(text, s3::Tagged::Object)) {
        CHECK(tags->size() <= 10);
        const std::string document = s3::format_tags(*tags);
        CHECK(s3::stored_tags(&document) == *tags);
    }
    if (const auto tags = s3::parse_tagging_header(text)) CHECK(tags->size() <= 10);
    if (const auto rules = s3::parse_lifecycle(text, system_random())) {
        const std::string document = object_store::write_lifecycle(*rules);
        const auto stored = object_store::read_lifecycle(document);
        CHECK(stored.has_value() && object_store::write_lifecycle(*stored) == document);
        XmlWriter xml;
        s3::write_lifecycle(xml, *stored);
        const auto again = s3::parse_lifecycle(xml.finish(), system_random());
        CHECK(again.has_value() && object_store::write_lifecycle(*again) == document);
    }
    return 0;
}
