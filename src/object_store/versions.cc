#include "object_store/versions.h"

#include <algorithm>

#include "object_store/file_store.h"
#include "object_store/properties.h"

namespace millwright::object_store {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

constexpr size_t kVersionIdDigits = 32;

Error no_bucket() { return {ErrorKind::NotFound, "The specified bucket does not exist", std::string(reason::kBucket)}; }
Error no_key() { return {ErrorKind::NotFound, "The specified key does not exist.", std::string(reason::kKey)}; }
Error no_version() {
    return {ErrorKind::NotFound, "The specified version does not exist.", std::string(reason::kVersion)};
}
Error condition_failed(ErrorKind kind) {
    return {kind, "At least one of the pre-conditions you specified did not hold", std::string(reason::kCondition)};
}

Result<void> check_version_id(std::string_view version) {
    const bool digits =
        version.size() == kVersionIdDigits && version.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    if (version.empty() || version == kNullVersion || digits) return {};
    return Error{ErrorKind::InvalidInput, "Invalid version id specified", std::string(reason::kVersion)};
}

// Columns: file, size, etag, modified, storage_class, properties, version, sequence.
struct VersionRow {
    StoredVersion stored;    // without what is in the properties
    std::string properties;  // most callers do not need them read
    int64_t sequence = 0;
    bool delete_marker = false;
};

VersionRow read_version(const Row& row, std::string_view key, const BucketRow& bucket) {
    VersionRow version;
    version.stored.file = row.text(0);
    version.delete_marker = row.is_null(0);
    version.sequence = row.integer(7);
    ObjectInfo& info = version.stored.info;
    info.key = key;
    info.size = static_cast<uint64_t>(row.integer(1));
    info.etag = row.text(2);
    info.modified = from_epoch_milliseconds(row.integer(3));
    info.storage_class = row.text(4);
    version.properties = row.text(5);
    if (bucket.versioning != Versioning::Off) info.version = row.text(6);
    return version;
}

std::optional<VersionRow> maybe_version(const std::optional<Row>& row, std::string_view key, const BucketRow& bucket) {
    return row ? std::optional(read_version(*row, key, bucket)) : std::nullopt;
}

Result<StoredVersion> with_properties(VersionRow row) {
    TRY(read_properties(row.properties, row.stored.info));
    return std::move(row.stored);
}

Result<std::optional<VersionRow>> current_version(Connection& connection, const BucketRow& bucket,
                                                  std::string_view key) {
    const auto row = TRY(connection.query_one(
        "SELECT file, size, etag, modified, storage_class, properties, version, sequence FROM object "
        "WHERE bucket=? AND key=?",
        bucket.id, key));
    return maybe_version(row, key, bucket);
}

Result<std::optional<VersionRow>> newest_old_version(Connection& connection, const BucketRow& bucket,
                                                     std::string_view key) {
    const auto row = TRY(connection.query_one(
        "SELECT file, size, etag, modified, storage_class, properties, version, sequence FROM old_version "
        "WHERE bucket=? AND key=? ORDER BY sequence DESC LIMIT 1",
        bucket.id, key));
    return maybe_version(row, key, bucket);
}

Result<std::optional<VersionRow>> old_version(Connection& connection, const BucketRow& bucket, std::string_view key,
                                              std::string_view version) {
    const auto row = TRY(connection.query_one(
        "SELECT file, size, etag, modified, storage_class, properties, version, sequence FROM old_version "
        "WHERE bucket=? AND key=? AND version=?",
        bucket.id, key, version));
    return maybe_version(row, key, bucket);
}

bool names(const BucketRow& bucket, const VersionRow& row, std::string_view version) {
    return bucket.versioning == Versioning::Off ? version == kNullVersion : row.stored.info.version == version;
}

Result<void> write_current(Transaction& tx, const BucketRow& bucket, const ObjectInfo& object, const std::string& file,
                           int64_t sequence) {
    TRY(
        tx.run("INSERT INTO object(bucket, key, file, size, etag, modified, storage_class, properties, version, "
               "sequence) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10) ON CONFLICT(bucket, key) DO UPDATE SET "
               "file=?3, size=?4, etag=?5, modified=?6, storage_class=?7, properties=?8, version=?9, sequence=?10",
               bucket.id, object.key, file, object.size, object.etag, to_epoch_milliseconds(object.modified),
               object.storage_class, write_properties(object), object.version.empty() ? kNullVersion : object.version,
               sequence));
    return {};
}

Result<void> delete_current(Transaction& tx, const BucketRow& bucket, std::string_view key) {
    TRY(tx.run("DELETE FROM object WHERE bucket=? AND key=?", bucket.id, key));
    return {};
}

// Before something newer comes: the current version steps back. In a suspended bucket the version "null" goes instead,
// wherever it is. Answers the sequence of what comes.
Result<int64_t> make_room(Transaction& tx, const BucketRow& bucket, std::string_view key,
                          const std::optional<VersionRow>& current, FreedFiles& freed) {
    const auto newest = TRY(newest_old_version(tx, bucket, key));
    const int64_t sequence = std::max(current ? current->sequence : 0, newest ? newest->sequence : 0) + 1;
    const bool replaces_null = bucket.versioning == Versioning::Suspended;
    if (current && !(replaces_null && current->stored.info.version == kNullVersion)) {
        TRY(
            tx.run("INSERT INTO old_version(bucket, key, sequence, version, file, size, etag, modified, storage_class, "
                   "properties) SELECT bucket, key, sequence, version, file, size, etag, modified, storage_class, "
                   "properties FROM object WHERE bucket=? AND key=?",
                   bucket.id, key));
    } else if (current) {
        TRY(release_file(tx, current->stored.file, freed));
    }
    if (current) TRY(delete_current(tx, bucket, key));
    if (!replaces_null) return sequence;
    if (const auto null = TRY(old_version(tx, bucket, key, kNullVersion))) {
        if (!null->delete_marker) TRY(release_file(tx, null->stored.file, freed));
        TRY(tx.run("DELETE FROM old_version WHERE bucket=? AND key=? AND sequence=?", bucket.id, key, null->sequence));
    }
    return sequence;
}

// After the newest version is gone.
Result<void> promote(Transaction& tx, const BucketRow& bucket, std::string_view key) {
    const auto next = TRY(newest_old_version(tx, bucket, key));
    if (!next || next->delete_marker) return {};
    TRY(
        tx.run("INSERT INTO object(bucket, key, file, size, etag, modified, storage_class, properties, version, "
               "sequence) SELECT bucket, key, file, size, etag, modified, storage_class, properties, version, sequence "
               "FROM old_version WHERE bucket=? AND key=? AND sequence=?",
               bucket.id, key, next->sequence));
    TRY(tx.run("DELETE FROM old_version WHERE bucket=? AND key=? AND sequence=?", bucket.id, key, next->sequence));
    return {};
}

// Nothing to compare with is as good as a match. A delete marker has no ETag, time or size to match.
Result<void> check_removal(const Removal& removal, const std::optional<VersionRow>& row) {
    if (!row) return {};
    const ObjectInfo& info = row->stored.info;
    const auto seconds = [](Timestamp time) { return std::chrono::floor<std::chrono::seconds>(time); };
    const bool etag =
        !removal.if_match || *removal.if_match == "*" || (!row->delete_marker && *removal.if_match == info.etag);
    const bool time =
        !removal.if_modified_at || (!row->delete_marker && seconds(*removal.if_modified_at) == seconds(info.modified));
    const bool size = !removal.if_size || (!row->delete_marker && *removal.if_size == info.size);
    if (etag && time && size) return {};
    return condition_failed(ErrorKind::Conflict);
}

Result<Removed> add_delete_marker(Transaction& tx, const BucketRow& bucket, const Removal& removal, Timestamp now,
                                  Random& random, FreedFiles& freed) {
    const auto current = TRY(current_version(tx, bucket, removal.key));
    if (removal.if_match || removal.if_modified_at || removal.if_size) {
        auto newest = current;
        if (!newest) newest = TRY(newest_old_version(tx, bucket, removal.key));
        if (!newest) return Removed{};
        TRY(check_removal(removal, newest));
    }
    const int64_t sequence = TRY(make_room(tx, bucket, removal.key, current, freed));
    const std::string version =
        bucket.versioning == Versioning::Enabled ? random.hex(kVersionIdDigits) : std::string(kNullVersion);
    TRY(
        tx.run("INSERT INTO old_version(bucket, key, sequence, version, file, size, etag, modified, storage_class, "
               "properties) VALUES(?,?,?,?,?,0,'',?,'STANDARD','{}')",
               bucket.id, removal.key, sequence, version, std::nullopt, to_epoch_milliseconds(now)));
    return Removed{version, true};
}

}  // namespace

Result<BucketRow> find_bucket_row(Connection& connection, std::string_view name) {
    const auto row = TRY(connection.query_one("SELECT id, versioning FROM bucket WHERE name=?", name));
    if (!row) return no_bucket();
    return BucketRow{row->integer(0), static_cast<Versioning>(row->integer(1))};
}

Result<BucketRow> find_bucket_row(Connection& connection, int64_t id) {
    const auto row = TRY(connection.query_one("SELECT versioning FROM bucket WHERE id=?", id));
    if (!row) return no_bucket();
    return BucketRow{id, static_cast<Versioning>(row->integer(0))};
}

Result<StoredVersion> find_version(Connection& connection, const BucketRow& bucket, std::string_view key,
                                   std::string_view version) {
    TRY(check_version_id(version));
    auto current = TRY(current_version(connection, bucket, key));
    if (current && (version.empty() || names(bucket, *current, version))) return with_properties(*std::move(current));
    if (bucket.versioning == Versioning::Off) return version.empty() ? no_key() : no_version();
    auto old = TRY(version.empty() ? newest_old_version(connection, bucket, key)
                                   : old_version(connection, bucket, key, version));
    if (!old) return version.empty() ? no_key() : no_version();
    if (!old->delete_marker) return with_properties(*std::move(old));
    if (version.empty())
        return Error{ErrorKind::NotFound, "The specified key does not exist.", std::string(reason::kDeleteMarker)};
    return Error{ErrorKind::Conflict, "The specified method is not allowed against this resource.",
                 std::string(reason::kDeleteMarker)};
}

Result<void> release_file(Transaction& tx, const std::string& file, FreedFiles& freed) {
    TRY(FileStore::forget(tx, file));
    freed.insert(file);
    return {};
}

Result<void> add_version(Transaction& tx, const BucketRow& bucket, ObjectInfo& object, const std::string& file,
                         const WriteCondition& condition, Random& random, FreedFiles& freed) {
    const auto current = TRY(current_version(tx, bucket, object.key));
    const auto meets = [&](const std::string& etag) {
        return current && (etag == "*" || etag == current->stored.info.etag);
    };
    if (condition.if_none_match && meets(*condition.if_none_match)) return condition_failed(ErrorKind::AlreadyExists);
    if (condition.if_match && !current) return no_key();
    if (condition.if_match && !meets(*condition.if_match)) return condition_failed(ErrorKind::Conflict);
    if (bucket.versioning == Versioning::Off) {
        if (current) TRY(release_file(tx, current->stored.file, freed));
        object.version.clear();
        return write_current(tx, bucket, object, file, 0);
    }
    const int64_t sequence = TRY(make_room(tx, bucket, object.key, current, freed));
    object.version =
        bucket.versioning == Versioning::Enabled ? random.hex(kVersionIdDigits) : std::string(kNullVersion);
    return write_current(tx, bucket, object, file, sequence);
}

Result<Removed> remove_version(Transaction& tx, const BucketRow& bucket, const Removal& removal, Timestamp now,
                               Random& random, FreedFiles& freed) {
    TRY(check_version_id(removal.version));
    if (removal.version.empty() && bucket.versioning != Versioning::Off)
        return add_delete_marker(tx, bucket, removal, now, random, freed);
    const auto current = TRY(current_version(tx, bucket, removal.key));
    if (current && (removal.version.empty() || names(bucket, *current, removal.version))) {
        TRY(check_removal(removal, current));
        TRY(release_file(tx, current->stored.file, freed));
        TRY(delete_current(tx, bucket, removal.key));
        if (bucket.versioning != Versioning::Off) TRY(promote(tx, bucket, removal.key));
        return Removed{removal.version, false};
    }
    if (bucket.versioning == Versioning::Off) return Removed{removal.version, false};
    const auto old = TRY(old_version(tx, bucket, removal.key, removal.version));
    if (!old) return Removed{removal.version, false};
    TRY(check_removal(removal, old));
    if (!old->delete_marker) TRY(release_file(tx, old->stored.file, freed));
    TRY(tx.run("DELETE FROM old_version WHERE bucket=? AND key=? AND sequence=?", bucket.id, removal.key,
               old->sequence));
    if (!current) TRY(promote(tx, bucket, removal.key));
    return Removed{removal.version, old->delete_marker};
}

Result<ObjectInfo> change_version(Transaction& tx, const BucketRow& bucket, std::string_view key,
                                  std::string_view version, const std::function<void(ObjectInfo&)>& change) {
    auto found = TRY(find_version(tx, bucket, key, version));
    change(found.info);
    const std::string properties = write_properties(found.info);
    const std::string_view stored_version = found.info.version.empty() ? kNullVersion : found.info.version;
    const int64_t changed = TRY(tx.run("UPDATE object SET properties=? WHERE bucket=? AND key=? AND version=?",
                                       properties, bucket.id, key, stored_version));
    if (changed == 0)
        TRY(tx.run("UPDATE old_version SET properties=? WHERE bucket=? AND key=? AND version=?", properties, bucket.id,
                   key, stored_version));
    return std::move(found.info);
}

Result<bool> has_versions(Connection& connection, int64_t bucket) {
    if (TRY(connection.query_one("SELECT 1 FROM object WHERE bucket=? LIMIT 1", bucket))) return true;
    const auto old = TRY(connection.query_one("SELECT 1 FROM old_version WHERE bucket=? LIMIT 1", bucket));
    return old.has_value();
}

}  // namespace millwright::object_store
