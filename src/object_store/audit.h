// The bytes of a store compared with the rows that name them, and their copy into a backup: for programs beside the
// server, which may be running or not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "metadata_store/database.h"

namespace millwright::object_store {

// While the descriptor lives, no server removes a file from the store in `folder`: what rows name at any time from now
// on stays. Waits for another one.
Result<Fd> hold_removals(const std::string& folder);

struct AuditOptions {
    bool deep = false;  // read all bytes and compare their MD5
};
struct Audit {
    uint64_t objects = 0;  // versions with bytes
    uint64_t parts = 0;    // of uploads
    uint64_t files = 0, small = 0, bytes = 0;
    uint64_t damaged = 0;              // objects and parts whose bytes are missing, or not those of their row
    uint64_t unnamed_small = 0;        // small bytes that no row names
    std::vector<std::string> damages;  // the first 100 of them, in words
    std::vector<std::string> orphans;  // paths of files no row names; a running server is writing some of them
};
// `connection` stands in one snapshot for the whole call.
Result<Audit> audit_objects(metadata_store::Connection& connection, const std::string& folder,
                            const AuditOptions& options);

struct CopiedObjects {
    uint64_t linked = 0, copied = 0, bytes = 0;
};
// Every file that rows of `connection` name, from the store in `from` to a new one in `to`: shared where the file
// system can, else copied and synced. REQUIRES: removals are held, and were before the snapshot of `connection` was
// taken.
Result<CopiedObjects> copy_objects(metadata_store::Connection& connection, const std::string& from,
                                   const std::string& to);

// One file of a store, by its id, into another folder of stores of files; the folder of its shard is made, and synced
// by whoever calls.
Result<void> copy_stored_file(const std::string& id, const std::string& from, const std::string& to,
                              CopiedObjects& copied);

}  // namespace millwright::object_store
