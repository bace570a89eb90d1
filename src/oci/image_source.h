// Where images are read from: our registry, a file of an image, …
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/reference.h"

namespace millwright::oci {

struct FoundManifest {
    std::string digest, media_type, text;  // a manifest or an index, byte by byte as it was pushed
};

class BlobReader {
  public:
    virtual ~BlobReader() = default;
    virtual uint64_t size() const = 0;
    // At most `size` bytes; 0 at the end.
    virtual Result<size_t> read(char* buffer, size_t size) = 0;
};

// Thread-safe. NotFound says which repository, tag, digest is missing.
class ImageSource {
  public:
    virtual ~ImageSource() = default;
    // `reference` with the digest when it has one, else by the tag.
    virtual Result<FoundManifest> find_manifest(const Reference& reference) = 0;
    virtual Result<std::unique_ptr<BlobReader>> open_blob(const Reference& repository, std::string_view digest) = 0;
    // Whether anybody's image may still have it: what was made from it is else of no use. Keeps nothing.
    virtual Result<bool> has_blob(std::string_view digest) = 0;
};

}  // namespace millwright::oci
