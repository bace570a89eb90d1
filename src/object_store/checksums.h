// The checksums of S3: computed while bytes stream by, and those of multipart uploads, made from the parts' without
// reading the bytes again. Values are base64, as on the wire.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

namespace millwright::object_store {

// MD5 and any number of checksums over one stream.
class Hasher {
  public:
    // InvalidInput (reason::kChecksumName) for a name that is no algorithm. A name given twice counts once.
    static Result<Hasher> create(const std::vector<std::string>& algorithms);
    void update(std::string_view bytes);
    struct Sums {
        std::string md5;  // raw
        std::map<std::string, std::string> checksums;
    };
    Sums finish();  // the object is spent afterwards

  private:
    Digest md5_{DigestKind::Md5};
    std::vector<std::pair<std::string, Digest>> digests_;
};

struct PartChecksum {
    std::string value;  // base64
    uint64_t size = 0;
};
// Checksum of the checksums: base64, "-", number of parts.
Result<std::string> composite_checksum(const std::string& algorithm, std::span<const PartChecksum> parts);
// Checksum of all bytes, for the CRCs only (they are linear).
Result<std::string> full_object_checksum(const std::string& algorithm, std::span<const PartChecksum> parts);

}  // namespace millwright::object_store
