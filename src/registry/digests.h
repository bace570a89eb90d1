// Digests as text: "sha256:<64 hex digits>" or "sha512:<128 hex digits>".
#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"

namespace millwright::registry {

Result<void> check_digest(std::string_view digest);  // InvalidInput with kDigest
// REQUIRES: a digest.
DigestKind kind_of_digest(std::string_view digest);
std::string digest_text(DigestKind kind, std::string_view raw);

}  // namespace millwright::registry
