// The files of an OCI image layout: blobs by digest, and the index. Used by image_layout.cc and image_import.cc only.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/images/image_layout.h"

namespace millwright::executors::layout_files {

inline constexpr const char* kNameAnnotation = "org.opencontainers.image.ref.name";
inline constexpr const char* kContainerdName = "io.containerd.image.name";

// "<folder>/blobs/sha256/<hex>". InvalidInput: not a sha256 digest.
Result<std::string> blob_path(const std::string& folder, std::string_view digest);
// A document of at most kMaxManifestBytes, compared with its digest. NotFound: there is none.
Result<std::string> read_document(const std::string& folder, std::string_view digest);
// Moves or copies a file to the blobs and returns its digest. InvalidInput: it has another one than `expected` (empty:
// any).
enum class Keep { Original, Nothing };
Result<std::string> store_blob(const std::string& path, const std::string& folder, const std::string& expected,
                               Keep keep);
Result<std::string> store_document(const std::string& text, const std::string& folder);

// What a manifest or an index is made of, itself included, as far as it is there; and its size.
struct Contents {
    std::set<std::string> digests;
    uint64_t bytes = 0;
};
Result<Contents> contents_of(const std::string& folder, const std::string& digest);

// "application/vnd.oci.image.index.v1+json" or whatever the document says it is.
Result<std::string> media_type_of(const std::string& document);

}  // namespace millwright::executors::layout_files
