// Unpacking one layer of an image. Layers are foreign bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "oci/image_source.h"

namespace millwright::executors {

struct UnpackLimits {
    uint64_t max_bytes = uint64_t{64} << 30;  // all files together, and the archive itself
    uint64_t max_entries = 4'000'000;
    uint64_t disk_reserve_bytes = 0;  // free space that must be left on the disk
    // Files keep the user and group of the layer. Only for root outside of a user namespace; else everything belongs to
    // the user of this process.
    bool keep_owners = false;
};

struct Unpacked {
    uint64_t bytes = 0, files = 0;
};

// Given the packed bytes read so far; an error ends the work.
using UnpackProgress = std::function<Result<void>(uint64_t packed_bytes)>;

// Unpacks a tar, plain or with gzip or zstd, into `folder`, which exists and is empty, in the form that overlayfs
// mounts with "userxattr": ".wh.name" becomes a character device 0:0, ".wh..wh..opq" the attribute user.overlay.opaque.
// Both digests ("sha256:…" or "sha512:…" of the blob, and of the archive without compression) are compared at the end;
// until then nothing of it can be trusted. Symbolic links may say anything, they mean something in the image only;
// names that lead through them stay in `folder`. Kept are folders, files, FIFOs, links, modes without set-id bits, and
// times; devices, capabilities, ACLs and extended attributes are left out. InvalidInput: damaged, names that lead out,
// a file where a folder is. LimitExceeded: larger than the limits. What was unpacked before a failure stays: remove the
// folder.
Result<Unpacked> unpack_layer(oci::BlobReader& blob, const std::string& digest, const std::string& diff_id,
                              const std::string& folder, const UnpackLimits& limits, const UnpackProgress& progress);

}  // namespace millwright::executors
