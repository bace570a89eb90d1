// What the registry has to know of a manifest or an index that somebody pushes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/image.h"

namespace millwright::registry {

struct NamedBlob {
    std::string digest;
    uint64_t size = 0;
};
struct ImageDocument {
    std::string media_type, artifact_type, config_media_type, subject;
    uint64_t image_bytes = 0;
    std::vector<NamedBlob> blobs;       // must be in the repository
    std::vector<std::string> children;  // manifests and indexes that must be
};

// `media_type`: what the client says, or empty. InvalidInput with kManifest, LimitExceeded with kManifestSize.
Result<ImageDocument> read_image_document(std::string_view text, std::string_view media_type);

}  // namespace millwright::registry
