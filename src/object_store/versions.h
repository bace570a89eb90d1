// The rows of the versions of objects.
//
//   object        the current version of a key, if that is not a delete marker; in a bucket without versioning all
//   there
//                 is, with version "null" and sequence 0
//   old_version   every other version, and every delete marker (no file)
//
//   newest        the greatest sequence of a key: its row in `object`, or a delete marker in `old_version`
//
// Each function is one step of a caller's transaction.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/random.h"
#include "metadata_store/database.h"
#include "object_store/object_store.h"

namespace millwright::object_store {

struct BucketRow {
    int64_t id = 0;
    Versioning versioning = Versioning::Off;
};
Result<BucketRow> find_bucket_row(metadata_store::Connection& connection, std::string_view name);  // NotFound
Result<BucketRow> find_bucket_row(metadata_store::Connection& connection, int64_t id);             // NotFound

struct StoredVersion {
    ObjectInfo info;
    std::string file;
};
// As ObjectStore::head().
Result<StoredVersion> find_version(metadata_store::Connection& connection, const BucketRow& bucket,
                                   std::string_view key, std::string_view version);

// Files that no row names once the transaction is committed. Small ones are gone with it.
using FreedFiles = std::set<std::string>;
Result<void> release_file(metadata_store::Transaction& tx, const std::string& file, FreedFiles& freed);

struct WriteCondition {
    std::optional<std::string> if_none_match, if_match;
};
// Makes `object` the newest version of its key and sets its version. `file` has its bytes.
Result<void> add_version(metadata_store::Transaction& tx, const BucketRow& bucket, ObjectInfo& object,
                         const std::string& file, const WriteCondition& condition, Random& random, FreedFiles& freed);

// As ObjectStore::remove() for one of its objects.
Result<Removed> remove_version(metadata_store::Transaction& tx, const BucketRow& bucket, const Removal& removal,
                               Timestamp now, Random& random, FreedFiles& freed);

// Changes the properties of a version in place; answers it as it is then.
Result<ObjectInfo> change_version(metadata_store::Transaction& tx, const BucketRow& bucket, std::string_view key,
                                  std::string_view version, const std::function<void(ObjectInfo&)>& change);

// Whether there is any version or delete marker.
Result<bool> has_versions(metadata_store::Connection& connection, int64_t bucket);

}  // namespace millwright::object_store
