#include "object_store/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/encoding.h"
#include "base/fail_point.h"
#include "base/log.h"
#include "object_store/properties.h"
#include "object_store/schema.h"

namespace millwright::object_store {
namespace {

constexpr int kOpenAttempts = 16;  // the key may be overwritten between reading its row and opening its file

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
    : files_(std::move(files)),
      database_(database),
      clock_(clock),
      random_(random),
      buckets_(database, clock, random),
      slots_(*files_) {
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
                TRY(connection.query_one("SELECT 1 WHERE EXISTS(SELECT 1 FROM object WHERE file=?1) "
                                         "OR EXISTS(SELECT 1 FROM old_version WHERE file=?1) "
                                         "OR EXISTS(SELECT 1 FROM upload_part WHERE file=?1) "
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
    return buckets_.create(account, region, name, documents);
}

Result<BucketInfo> Store::find_bucket(std::string_view name) {
    const auto known = TRY(buckets_.find(name));
    return known->info;
}

Result<std::vector<BucketInfo>> Store::list_buckets(std::string_view account) { return buckets_.list(account); }

Result<void> Store::set_versioning(std::string_view bucket, Versioning versioning) {
    return buckets_.set_versioning(bucket, versioning);
}

Result<void> Store::set_document(std::string_view bucket, std::string_view name,
                                 const std::optional<std::string>& text) {
    return buckets_.set_document(bucket, name, text);
}

Result<std::vector<std::string>> Store::buckets_with(std::string_view document) { return buckets_.with(document); }

Result<void> Store::delete_bucket(std::string_view name) {
    FreedFiles freed;
    std::vector<std::string> uploads;
    const auto deleted = database_.write([&](Transaction& tx) -> Result<void> {
        freed.clear();
        uploads.clear();
        const int64_t bucket = TRY(find_bucket_row(tx, name)).id;
        if (TRY(has_versions(tx, bucket)))
            return Error{ErrorKind::Conflict, "The bucket you tried to delete is not empty",
                         std::string(reason::kBucket)};
        for (const auto& row : TRY(tx.query("SELECT id FROM upload WHERE bucket=?", bucket))) {
            uploads.push_back(row.text(0));
            freed.merge(TRY(forget_upload(tx, uploads.back())));
        }
        TRY(tx.run("DELETE FROM bucket_document WHERE bucket=?", bucket));
        TRY(tx.run("DELETE FROM bucket WHERE id=?", bucket));
        return {};
    });
    buckets_.forget(name);
    TRY(deleted);
    for (const auto& upload : uploads) slots_.forget(upload);
    remove_files(freed);
    return {};
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

Result<ObjectInfo> Store::head(std::string_view bucket, std::string_view key, std::string_view version) {
    TRY(check_key(key));
    const auto known = TRY(buckets_.find(bucket));
    auto found =
        TRY(database_.read([&](Connection& connection) { return find_version(connection, known->row, key, version); }));
    return std::move(found.info);
}

Result<OpenObject> Store::get(std::string_view bucket, std::string_view key, std::string_view version) {
    return open_object(bucket, key, version);
}

Result<std::vector<Result<Removed>>> Store::remove(std::string_view bucket, std::span<const Removal> objects) {
    FreedFiles freed;
    auto removed = TRY(database_.write([&](Transaction& tx) -> Result<std::vector<Result<Removed>>> {
        freed.clear();
        const BucketRow row = TRY(find_bucket_row(tx, bucket));
        std::vector<Result<Removed>> answers;
        for (const auto& object : objects) {
            auto answer = remove_version(tx, row, object, clock_.now(), random_, freed);
            const bool refused =
                !answer && (answer.error().detail == reason::kCondition || answer.error().detail == reason::kVersion);
            if (!answer && !refused) return answer.error();  // nothing happens, to none of them
            answers.push_back(std::move(answer));
        }
        return answers;
    }));
    FAIL_POINT("object_store.after_remove");
    remove_files(freed);
    return removed;
}

Result<ObjectInfo> Store::set_tags(std::string_view bucket, std::string_view key, std::string_view version,
                                   const Tags& tags) {
    return database_.write([&](Transaction& tx) -> Result<ObjectInfo> {
        const BucketRow row = TRY(find_bucket_row(tx, bucket));
        return change_version(tx, row, key, version, [&](ObjectInfo& object) { object.tags = tags; });
    });
}

Result<ObjectInfo> Store::set_header(std::string_view bucket, std::string_view key, std::string_view version,
                                     const std::string& name, const std::optional<std::string>& value) {
    return database_.write([&](Transaction& tx) -> Result<ObjectInfo> {
        const BucketRow row = TRY(find_bucket_row(tx, bucket));
        return change_version(tx, row, key, version, [&](ObjectInfo& object) {
            if (value)
                object.headers[name] = *value;
            else
                object.headers.erase(name);
        });
    });
}

Result<void> Store::link_to(std::string_view bucket, std::string_view key, const std::string& path,
                            std::string_view version) {
    const auto object = TRY(open_object(bucket, key, version));
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
    // What a job has made is kept as long as there is any room.
    auto object = TRY(publish(bucket_number, describe(key, options, taken.written), taken.draft, options,
                              metadata_store::Space::Reserve));
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
    object.part_checksums = source.info.part_checksums;
    if (!options.compute_checksums.empty()) {
        Expected wanted;
        wanted.compute = options.compute_checksums;
        wanted.max_bytes = kMaxObjectBytes;
        object.checksums = TRY(hash_stream(source.source(0, source.info.size), wanted)).checksums;
        object.checksum_type = "FULL_OBJECT";
        object.part_checksums.clear();
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
    object.tags = options.tags;
    return object;
}

// Syncs the file, then commits the row, then unlinks what the key named before: in this order a crash at any point
// leaves the old object or the new one, and at most a file without a row.
Result<ObjectInfo> Store::publish(int64_t bucket, ObjectInfo object, Draft& draft, const PutOptions& options,
                                  metadata_store::Space space) {
    TRY(draft.sync());
    FAIL_POINT("object_store.after_sync");
    const WriteCondition condition{options.if_none_match, options.if_match};
    FreedFiles freed;
    const auto committed = database_.write(
        [&](Transaction& tx) -> Result<void> {
            freed.clear();
            const BucketRow row = TRY(find_bucket_row(tx, bucket));
            TRY(draft.record(tx));
            return add_version(tx, row, object, draft.id(), condition, random_, freed);
        },
        metadata_store::Durable::Now, space);
    if (!committed) {
        keep_if_unknown(draft, committed.error());
        return committed.error();
    }
    FAIL_POINT("object_store.after_put");
    draft.keep();
    remove_files(freed);
    return object;
}

Result<int64_t> Store::bucket_for_writing(std::string_view bucket, std::string_view key) {
    TRY(check_key(key));
    const auto known = TRY(buckets_.find(bucket));
    return known->row.id;
}

Result<OpenObject> Store::open_object(std::string_view bucket, std::string_view key, std::string_view version) {
    TRY(check_key(key));
    for (int attempt = 0;; ++attempt) {
        const auto known = TRY(buckets_.find(bucket));
        OpenObject object;
        auto found = TRY(database_.read([&](Connection& connection) -> Result<StoredVersion> {
            auto row = TRY(find_version(connection, known->row, key, version));
            if (FileStore::is_small(row.file)) object.bytes = TRY(FileStore::small_bytes(connection, row.file));
            return row;
        }));
        object.info = std::move(found.info);
        if (FileStore::is_small(found.file)) {
            if (object.bytes.size() == object.info.size) return object;
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
        if (static_cast<uint64_t>(status.st_size) != object.info.size)
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
