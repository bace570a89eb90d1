#include "registry/digests.h"

#include "base/check.h"
#include "base/encoding.h"
#include "oci/reference.h"
#include "registry/registry.h"
#include "registry/rows.h"

namespace millwright::registry {

Result<void> check_digest(std::string_view digest) {
    if (oci::is_digest(digest)) return {};
    return failure(ErrorKind::InvalidInput,
                   "A digest has the form sha256:<64 hex digits> or sha512:<128 hex digits>, in lower case",
                   reason::kDigest);
}

DigestKind kind_of_digest(std::string_view digest) {
    CHECK(oci::is_digest(digest));
    return digest.starts_with("sha512:") ? DigestKind::Sha512 : DigestKind::Sha256;
}

std::string digest_text(DigestKind kind, std::string_view raw) {
    return (kind == DigestKind::Sha512 ? "sha512:" : "sha256:") + to_hex(raw);
}

}  // namespace millwright::registry
