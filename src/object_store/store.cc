#include "object_store/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/encoding.h"
#include "base/log.h"
#include "object_store/properties.h"
#include "object_store/schema.h"

namespace millwright::object_store {
namespace {

constexpr int kOpenAttempts = 16;  // the key may be overwritten between reading its row and opening its file

Error no_bucket() { return {ErrorKind::NotFound, "The specified bucket does not exist", std::string(reason::kBucket)}; }
Error no_key() { return {ErrorKind::NotFound, "The specified key does not exist.", std::string(reason::kKey)}; }
Error condition_failed(ErrorKind kind) {
    return {kind, "At least one of the pre-conditions you specified did not hold", std::string(reason::kCondition)};
}

// A failed commit of unknown outcome may still turn up after a restart; its file is then needed.
void keep_if_unknown(Draft& draft, const Error& failure) {
    if (failure.kind == ErrorKind::Internal) draft.keep();
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> ObjectStore::open(const std::string& folder, metadata_store::Database& database,
                                                       const Clock& clock, Random& random) {
    TRY(database.migrate("object_store", kMigrations));
    auto files = TRY(FileStore::open(folder, database, random));
    return std::unique_ptr<ObjectStore>(std::make_unique<Store>(std::move(files), database, clock, random));
}

Store::Store(std::unique_ptr<FileStore> files, metadata_store::Database& database, const Clock& clock, Random& random)
    : files_(std::move(files)), database_(database), clock_(clock), random_(random), slots_(*files_) {
    sweeper_ = std::jthread([this](const std::stop_token& stop) {
        size_t removed = 0;
        for (int shard = 0; shard < FileStore::kShards && !stop.stop_requested(); ++shard) {
            const auto swept = files_->remove_orphans(shard, [this](const auto& ids) { return named_files(ids); });
            if (!swept) return log::error("removing orphaned object files", swept.error());
            removed += *swept;
        }
        if (removed > 0) log::info("removed " + std::to_string(removed) + " object files left by a crash");
    });
}

Store::~Store() = default;

Result<size_t> Store::remove_orphans() {
    size_t removed = 0;
    for (int shard = 0; shard < FileStore::kShards; ++shard)
        removed += TRY(files_->remove_orphans(shard, [this](const auto& ids) { return named_files(ids); }));
    return removed;
}

Result<std::set<std::string>> Store::named_files(const std::vector<std::string>& ids) {
    return database_.read([&](Connection& connection) -> Result<std::set<std::string>> {
        std::set<std::string> named;
        for (const auto& id : ids) {
            const auto row =
                TRY(connection.query_one("SELECT 1 WHERE EXISTS(SELECT 1 FROM object WHERE file=?1) OR EXISTS(SELECT 1 "
                                         "FROM upload_part WHERE file=?1) "
                                         "OR EXISTS(SELECT 1 FROM upload WHERE file=?1)",
                                         id));
            if (row) named.insert(id);
        }
        return named;
    });
}

void Store::remove_files(const std::set<std::string>& files) {
    for (const auto& file : files) files_->remove(file);
}

// Buckets

Result<void> Store::create_bucket(std::string_view account, std::string_view region, std::string_view name,
                                  const BucketDocuments& documents) {
    if (!documents.empty()) return internal_error("documents are not kept yet");
    if (!is_valid_bucket_name(name))
        return Error{ErrorKind::InvalidInput, "The specified bucket is not valid.", std::string(reason::kBucket)};
    const auto id = static_cast<int64_t>(random_.below(uint64_t{1} << 62));
    return database_.write([&](Transaction& tx) -> Result<void> {
        if (TRY(tx.query_one("SELECT 1 FROM bucket WHERE name=?", name)))
            return Error{ErrorKind::AlreadyExists, "The bucket exists", std::string(reason::kBucket)};
        TRY(tx.run("INSERT INTO bucket(id, name, account, region, created) VALUES(?,?,?,?,?)", id, name, account,
                   region, to_epoch_milliseconds(clock_.now())));
        return {};
    });
}

Result<BucketInfo> Store::find_bucket(std::string_view name) {
    return database_.read([&](Connection& connection) -> Result<BucketInfo> {
        const auto row =
            TRY(connection.query_one("SELECT name, account, region, created FROM bucket WHERE name=?", name));
        if (!row) return no_bucket();
        BucketInfo info;
        info.name = row->text(0);
        info.account = row->text(1);
        info.region = row->text(2);
        info.created = from_epoch_milliseconds(row->integer(3));
        return info;
    });
}

Result<std::vector<BucketInfo>> Store::list_buckets(std::string_view account) {
    return database_.read([&](Connection& connection) -> Result<std::vector<BucketInfo>> {
        std::vector<BucketInfo> buckets;
        for (const auto& row : TRY(connection.query(
                 "SELECT name, account, region, created FROM bucket WHERE account=? ORDER BY name", account))) {
            BucketInfo& info = buckets.emplace_back();
            info.name = row.text(0);
            info.account = row.text(1);
            info.region = row.text(2);
            info.created = from_epoch_milliseconds(row.integer(3));
        }
        return buckets;
    });
}

Result<void> Store::delete_bucket(std::string_view name) {
    std::set<std::string> files;
    std::vector<std::string> uploads;
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        files.clear();
        uploads.clear();
        const int64_t bucket = TRY(bucket_id(tx, name));
        if (TRY(tx.query_one("SELECT 1 FROM object WHERE bucket=? LIMIT 1", bucket)))
            return Error{ErrorKind::Conflict, "The bucket you tried to delete is not empty",
                         std::string(reason::kBucket)};
        for (const auto& row : TRY(tx.query("SELECT id FROM upload WHERE bucket=?", bucket))) {
            uploads.push_back(row.text(0));
            files.merge(TRY(forget_upload(tx, uploads.back())));
        }
        TRY(tx.run("DELETE FROM bucket WHERE id=?", bucket));
        return {};
    }));
    for (const auto& upload : uploads) slots_.forget(upload);
    remove_files(files);
    return {};
}

Result<int64_t> Store::bucket_id(Connection& connection, std::string_view name) {
    const auto row = TRY(connection.query_one("SELECT id FROM bucket WHERE name=?", name));
    if (!row) return no_bucket();
    return row->integer(0);
}

// Objects

Result<ObjectInfo> Store::put(std::string_view bucket, std::string_view key, const PutOptions& options,
                              const Source& source) {
    const int64_t bucket_number = TRY(bucket_for_writing(bucket, key));
    Expected expected{options.expected_checksums, options.expected_md5, options.compute_checksums};
    expected.length = options.length;
    auto received = TRY(receive(*files_, source, expected));
    return publish(bucket_number, describe(key, options, received.written), received.draft, options);
}

Result<ObjectInfo> Store::head(std::string_view bucket, std::string_view key, std::string_view) {
    return TRY(find_object(bucket, key)).info;
}

Result<OpenObject> Store::get(std::string_view bucket, std::string_view key, std::string_view) {
    return open_object(bucket, key);
}

Result<void> Store::set_versioning(std::string_view, Versioning) { return internal_error("not there yet"); }
Result<void> Store::set_document(std::string_view, std::string_view, const std::optional<std::string>&) {
    return internal_error("not there yet");
}
Result<VersionPage> Store::list_versions(std::string_view, const VersionListRequest&) {
    return internal_error("not there yet");
}
Result<ObjectInfo> Store::set_tags(std::string_view, std::string_view, std::string_view, const Tags&) {
    return internal_error("not there yet");
}
Result<ObjectInfo> Store::set_header(std::string_view, std::string_view, std::string_view, const std::string&,
                                     const std::optional<std::string>&) {
    return internal_error("not there yet");
}

Result<std::vector<Result<Removed>>> Store::remove(std::string_view bucket, std::span<const Removal> objects) {
    std::set<std::string> files;
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        files.clear();
        const int64_t id = TRY(bucket_id(tx, bucket));
        for (const auto& [key, version, etag, time, size] : objects) {
            const auto row = TRY(tx.query_one("SELECT file FROM object WHERE bucket=? AND key=?", id, key));
            if (!row) continue;
            files.insert(row->text(0));
            TRY(FileStore::forget(tx, row->text(0)));
            TRY(tx.run("DELETE FROM object WHERE bucket=? AND key=?", id, key));
        }
        return {};
    }));
    remove_files(files);
    return std::vector<Result<Removed>>(objects.size(), Removed{});
}

Result<void> Store::link_to(std::string_view bucket, std::string_view key, const std::string& path, std::string_view) {
    const auto object = TRY(open_object(bucket, key));
    if (object.in_memory()) return write_new_file(path, object.bytes);
    TRY(materialize(object.fd.get(), object.info.size, path));
    return {};
}

Result<ObjectInfo> Store::adopt_file(std::string_view bucket, std::string_view key, const PutOptions& options,
                                     const std::string& path) {
    const int64_t bucket_number = TRY(bucket_for_writing(bucket, key));
    const Fd file = TRY(open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return error_from_errno("cannot inspect " + path);
    if (!S_ISREG(status.st_mode)) return invalid_input("not a regular file: " + path);
    const auto size = static_cast<uint64_t>(status.st_size);
    Expected expected{options.expected_checksums, options.expected_md5, options.compute_checksums, kMaxObjectBytes};
    expected.length = size;
    const auto take_over = [&]() -> Result<Received> {
        // With a second name somewhere the bytes could change under us.
        if (size <= kSmallBytes || status.st_nlink != 1)
            return receive(*files_, source_of_file(file.get(), 0, size), expected);
        Draft draft = TRY(files_->clone(file.get(), size));
        auto written = TRY(hash_stream(source_of_file(file.get(), 0, size), expected));
        TRY(files_->seal(draft.id(), draft.fd()));
        return Received{std::move(draft), std::move(written)};
    };
    auto taken = TRY(take_over());
    auto object = TRY(publish(bucket_number, describe(key, options, taken.written), taken.draft, options));
    if (::unlink(path.c_str()) != 0) log::warning("object store", error_from_errno("cannot unlink " + path));
    return object;
}

Result<ObjectInfo> Store::copy(std::string_view bucket, std::string_view key, const PutOptions& options,
                               const OpenObject& source) {
    const int64_t bucket_number = TRY(bucket_for_writing(bucket, key));
    Draft draft =
        source.in_memory() ? files_->hold(source.bytes) : TRY(files_->clone(source.fd.get(), source.info.size));
    ObjectInfo object = describe(key, options, {source.info.size, source.info.etag, source.info.checksums});
    object.checksum_type = source.info.checksum_type;
    object.part_sizes = source.info.part_sizes;
    if (!options.compute_checksums.empty()) {
        Expected wanted;
        wanted.compute = options.compute_checksums;
        wanted.max_bytes = kMaxObjectBytes;
        object.checksums = TRY(hash_stream(source.source(0, source.info.size), wanted)).checksums;
        object.checksum_type = "FULL_OBJECT";
    }
    return publish(bucket_number, std::move(object), draft, options);
}

ObjectInfo Store::describe(std::string_view key, const PutOptions& options, const Written& written) const {
    ObjectInfo object;
    object.key = key;
    object.size = written.size;
    object.etag = written.etag;
    object.modified = clock_.now();
    object.content_type = options.content_type;
    object.headers = options.headers;
    object.metadata = options.metadata;
    object.checksums = written.checksums;
    if (!object.checksums.empty()) object.checksum_type = "FULL_OBJECT";
    object.storage_class = options.storage_class;
    return object;
}

// Syncs the file, then commits the row, then unlinks what the key named before: in this order a crash at any point
// leaves the old object or the new one, and at most a file without a row.
Result<ObjectInfo> Store::publish(int64_t bucket, ObjectInfo object, Draft& draft, const PutOptions& options) {
    TRY(draft.sync());
    const Conditions conditions{options.if_none_match, options.if_match};
    const auto replaced = database_.write([&](Transaction& tx) -> Result<std::optional<std::string>> {
        TRY(draft.record(tx));
        return name_file(tx, bucket, object, draft.id(), conditions);
    });
    if (!replaced) {
        keep_if_unknown(draft, replaced.error());
        return replaced.error();
    }
    draft.keep();
    if (*replaced) files_->remove(**replaced);
    return object;
}

Result<std::optional<std::string>> Store::name_file(Transaction& tx, int64_t bucket, const ObjectInfo& object,
                                                    const std::string& file, const Conditions& conditions) {
    if (!TRY(tx.query_one("SELECT 1 FROM bucket WHERE id=?", bucket))) return no_bucket();
    const auto old = TRY(tx.query_one("SELECT file, etag FROM object WHERE bucket=? AND key=?", bucket, object.key));
    const auto meets = [&](const std::string& etag) { return old && (etag == "*" || etag == old->text(1)); };
    if (conditions.if_none_match && meets(*conditions.if_none_match)) return condition_failed(ErrorKind::AlreadyExists);
    if (conditions.if_match && !old) return no_key();
    if (conditions.if_match && !meets(*conditions.if_match)) return condition_failed(ErrorKind::Conflict);
    TRY(
        tx.run("INSERT INTO object(bucket, key, file, size, etag, modified, storage_class, properties) "
               "VALUES(?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT(bucket, key) DO UPDATE SET "
               "file=?3, size=?4, etag=?5, modified=?6, storage_class=?7, properties=?8",
               bucket, object.key, file, object.size, object.etag, to_epoch_milliseconds(object.modified),
               object.storage_class, write_properties(object)));
    if (!old) return std::optional<std::string>();
    TRY(FileStore::forget(tx, old->text(0)));
    return std::optional(old->text(0));
}

Result<int64_t> Store::bucket_for_writing(std::string_view bucket, std::string_view key) {
    TRY(check_key(key));
    return database_.read([&](Connection& connection) { return bucket_id(connection, bucket); });
}

Result<Store::FoundObject> Store::find_object(std::string_view bucket, std::string_view key) {
    TRY(check_key(key));
    return database_.read([&](Connection& connection) { return find_object(connection, bucket, key); });
}

Result<Store::FoundObject> Store::find_object(Connection& connection, std::string_view bucket, std::string_view key) {
    const int64_t id = TRY(bucket_id(connection, bucket));
    const auto row = TRY(connection.query_one(
        "SELECT file, size, etag, modified, storage_class, properties FROM object WHERE bucket=? AND key=?", id, key));
    if (!row) return no_key();
    FoundObject found;
    found.file = row->text(0);
    found.info.key = key;
    found.info.size = static_cast<uint64_t>(row->integer(1));
    found.info.etag = row->text(2);
    found.info.modified = from_epoch_milliseconds(row->integer(3));
    found.info.storage_class = row->text(4);
    TRY(read_properties(row->text(5), found.info));
    return found;
}

Result<OpenObject> Store::open_object(std::string_view bucket, std::string_view key) {
    for (int attempt = 0;; ++attempt) {
        OpenObject object;
        const auto found = TRY(database_.read([&](Connection& connection) -> Result<FoundObject> {
            auto row = TRY(find_object(connection, bucket, key));
            if (FileStore::is_small(row.file)) object.bytes = TRY(FileStore::small_bytes(connection, row.file));
            return row;
        }));
        object.info = found.info;
        if (FileStore::is_small(found.file)) {
            if (object.bytes.size() == found.info.size) return object;
            return internal_error("the bytes of an object are damaged", "size of " + found.file);
        }
        auto file = files_->open_for_reading(found.file);
        if (!file) {
            if (file.error().kind == ErrorKind::NotFound && attempt < kOpenAttempts) continue;
            if (file.error().kind != ErrorKind::NotFound) return file.error();
            return internal_error("the bytes of an object are missing", "file " + found.file);
        }
        struct stat status {};
        if (::fstat(file->get(), &status) != 0) return error_from_errno("cannot inspect an object file");
        if (static_cast<uint64_t>(status.st_size) != found.info.size)
            return internal_error("the bytes of an object are damaged", "size of file " + found.file);
        object.fd = *std::move(file);
        return object;
    }
}

Result<void> for_each_object(ObjectStore& store, std::string_view bucket, std::string_view prefix,
                             const std::function<Result<void>(const ObjectInfo&)>& visit) {
    ListRequest request;
    request.prefix = prefix;
    for (;;) {
        const auto page = TRY(store.list(bucket, request));
        for (const auto& object : page.objects) TRY(visit(object));
        if (!page.truncated) return {};
        request.after = page.last;
    }
}

std::vector<PartInfo> parts_of(const ObjectInfo& object) {
    std::vector<PartInfo> parts;
    const std::string algorithm = object.checksums.empty() ? "" : object.checksums.begin()->first;
    const size_t count = object.part_sizes.size();
    const size_t width = count == 0 ? 0 : object.part_checksums.size() / count;
    for (size_t i = 0; i < count; ++i) {
        PartInfo& part = parts.emplace_back();
        part.number = static_cast<int>(i) + 1;
        part.size = object.part_sizes[i];
        if (width > 0 && !algorithm.empty())
            part.checksums[algorithm] = to_base64(object.part_checksums.substr(i * width, width));
    }
    return parts;
}

}  // namespace millwright::object_store
