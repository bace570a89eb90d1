// Whatever path is accepted names a repository that may exist, and ranges lie within their bytes.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "oci/reference.h"
#include "services/registry/ranges.h"
#include "services/registry/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    using Kind = services::RegistryTarget::Kind;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto target = services::find_registry_target(text)) {
        const bool named = target->kind != Kind::Base && target->kind != Kind::Catalog;
        CHECK(oci::is_repository_name(target->repository) == named);
        CHECK(target->item.find('/') == std::string::npos);
        if (target->kind == Kind::Blob || target->kind == Kind::Referrers) CHECK(oci::is_digest(target->item));
        if (target->kind == Kind::Manifest) CHECK(oci::is_digest(target->item) || oci::is_tag(target->item));
    }
    constexpr uint64_t kSize = 1000;
    const auto range = services::wanted_range(text, kSize);
    if (range.kind == services::WantedRange::Kind::Part)
        CHECK(range.part.length > 0 && range.part.first < kSize && range.part.length <= kSize - range.part.first);
    if (const auto upload = services::upload_range(text)) CHECK(upload->length > 0);
    return 0;
}
