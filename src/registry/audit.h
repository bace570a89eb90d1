// The files of a registry compared with the rows that name them, and their copy into a backup: for programs beside the
// server, which may be running or not. Data directories of servers without a registry have nothing to compare.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "metadata_store/database.h"
#include "object_store/audit.h"

namespace millwright::registry {

struct Audit {
    uint64_t images = 0, blobs = 0, uploads = 0, bytes = 0;
    uint64_t damaged = 0;              // blobs whose bytes are missing or others, images without all their parts
    std::vector<std::string> damages;  // the first 100 of them, in words
    std::vector<std::string> orphans;  // paths of files no row names; a running server is writing some of them
};
// `connection` stands in one snapshot for the whole call. `deep`: read all bytes, and compare their digests.
// REQUIRES: removals are held (object_store/audit.h) in `folder`.
Result<Audit> audit_registry(metadata_store::Connection& connection, const std::string& folder,
                             const object_store::AuditOptions& options);

// Every file that rows name, from `from` to a new folder `to`. REQUIRES: as of object_store::copy_objects.
Result<object_store::CopiedObjects> copy_registry(metadata_store::Connection& connection, const std::string& from,
                                                  const std::string& to);

}  // namespace millwright::registry
