#include "object_store/buckets.h"

namespace millwright::object_store {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

constexpr std::string_view kColumns = "name, account, region, created, versioning";

// Columns as in kColumns, from `first` on.
BucketInfo read_bucket(const Row& row, size_t first) {
    BucketInfo bucket;
    bucket.name = row.text(first);
    bucket.account = row.text(first + 1);
    bucket.region = row.text(first + 2);
    bucket.created = from_epoch_milliseconds(row.integer(first + 3));
    bucket.versioning = static_cast<Versioning>(row.integer(first + 4));
    return bucket;
}

Result<KnownBucket> read_known(Connection& connection, std::string_view name) {
    static const std::string sql = "SELECT id, " + std::string(kColumns) + " FROM bucket WHERE name=?";
    const auto row = TRY(connection.query_one(sql, name));
    if (!row) return Error{ErrorKind::NotFound, "The specified bucket does not exist", std::string(reason::kBucket)};
    KnownBucket bucket;
    bucket.info = read_bucket(*row, 1);
    bucket.row = {row->integer(0), bucket.info.versioning};
    BucketDocuments documents;
    for (const auto& document :
         TRY(connection.query("SELECT name, text FROM bucket_document WHERE bucket=?", bucket.row.id)))
        documents.emplace(document.text(0), document.text(1));
    if (!documents.empty()) bucket.info.documents = std::make_shared<const BucketDocuments>(std::move(documents));
    return bucket;
}

Result<void> write_document(Transaction& tx, int64_t bucket, std::string_view name,
                            const std::optional<std::string>& text) {
    if (text)
        TRY(
            tx.run("INSERT INTO bucket_document(bucket, name, text) VALUES(?1,?2,?3) "
                   "ON CONFLICT(bucket, name) DO UPDATE SET text=?3",
                   bucket, name, *text));
    else
        TRY(tx.run("DELETE FROM bucket_document WHERE bucket=? AND name=?", bucket, name));
    return {};
}

}  // namespace

Result<void> Buckets::create(std::string_view account, std::string_view region, std::string_view name,
                             const BucketDocuments& documents) {
    if (!is_valid_bucket_name(name))
        return Error{ErrorKind::InvalidInput, "The specified bucket is not valid.", std::string(reason::kBucket)};
    const auto id = static_cast<int64_t>(random_.below(uint64_t{1} << 62));
    auto created = database_.write([&](Transaction& tx) -> Result<void> {
        if (TRY(tx.query_one("SELECT 1 FROM bucket WHERE name=?", name)))
            return Error{ErrorKind::AlreadyExists, "The bucket exists", std::string(reason::kBucket)};
        TRY(tx.run("INSERT INTO bucket(id, name, account, region, created) VALUES(?,?,?,?,?)", id, name, account,
                   region, to_epoch_milliseconds(clock_.now())));
        for (const auto& [document, text] : documents) TRY(write_document(tx, id, document, text));
        return {};
    });
    forget(name);
    return created;
}

Result<std::shared_ptr<const KnownBucket>> Buckets::find(std::string_view name) {
    uint64_t changes = 0;
    {
        const MutexLock lock(mutex_);
        if (const auto found = known_.find(name); found != known_.end()) return found->second;
        changes = changes_;
    }
    auto read = TRY(database_.read([&](Connection& connection) { return read_known(connection, name); }));
    auto known = std::make_shared<const KnownBucket>(std::move(read));
    const MutexLock lock(mutex_);
    if (changes == changes_) {
        if (known_.size() >= kMaxKnown) known_.clear();
        known_.insert_or_assign(std::string(name), known);
    }
    return known;
}

Result<std::vector<BucketInfo>> Buckets::list(std::string_view account) {
    static const std::string sql = "SELECT " + std::string(kColumns) + " FROM bucket WHERE account=? ORDER BY name";
    return database_.read([&](Connection& connection) -> Result<std::vector<BucketInfo>> {
        std::vector<BucketInfo> buckets;
        for (const auto& row : TRY(connection.query(sql, account))) buckets.push_back(read_bucket(row, 0));
        return buckets;
    });
}

Result<void> Buckets::set_versioning(std::string_view name, Versioning versioning) {
    CHECK(versioning != Versioning::Off);
    auto changed = database_.write([&](Transaction& tx) -> Result<void> {
        const BucketRow bucket = TRY(find_bucket_row(tx, name));
        TRY(tx.run("UPDATE bucket SET versioning=? WHERE id=?", static_cast<int>(versioning), bucket.id));
        return {};
    });
    forget(name);
    return changed;
}

Result<void> Buckets::set_document(std::string_view name, std::string_view document,
                                   const std::optional<std::string>& text) {
    auto changed = database_.write([&](Transaction& tx) -> Result<void> {
        const BucketRow bucket = TRY(find_bucket_row(tx, name));
        return write_document(tx, bucket.id, document, text);
    });
    forget(name);
    return changed;
}

Result<std::vector<std::string>> Buckets::with(std::string_view document) {
    return database_.read([&](Connection& connection) -> Result<std::vector<std::string>> {
        std::vector<std::string> names;
        for (const auto& row : TRY(connection.query("SELECT bucket.name FROM bucket_document JOIN bucket ON "
                                                    "bucket.id=bucket_document.bucket WHERE bucket_document.name=? "
                                                    "ORDER BY bucket.name",
                                                    document)))
            names.push_back(row.text(0));
        return names;
    });
}

void Buckets::forget(std::string_view name) {
    const MutexLock lock(mutex_);
    ++changes_;
    if (const auto found = known_.find(name); found != known_.end()) known_.erase(found);
}

}  // namespace millwright::object_store
