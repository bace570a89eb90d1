#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/encoding.h"
#include "base/fail_point.h"
#include "object_store/properties.h"
#include "object_store/store.h"

namespace millwright::object_store {
namespace {

constexpr auto kCompletedKept = std::chrono::hours(24);
constexpr std::string_view kComposite = "COMPOSITE", kFullObject = "FULL_OBJECT";

Error bad_part(std::string message, std::string_view why) {
    return {ErrorKind::InvalidInput, std::move(message), std::string(why)};
}
Error no_upload() {
    return {ErrorKind::NotFound,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed.",
            std::string(reason::kUpload)};
}

Error changed_meanwhile() {
    return {ErrorKind::Unavailable,
            "A conflicting conditional operation is currently in progress against this resource. Try again.",
            std::string(reason::kChanged)};
}

Result<UploadOptions> with_checksum_type(UploadOptions options) {
    const std::string& algorithm = options.checksum_algorithm;
    const auto refused = [](std::string message) { return bad_part(std::move(message), reason::kChecksumName); };
    if (algorithm.empty()) {
        if (!options.checksum_type.empty()) return refused("a checksum type needs a checksum algorithm");
        return options;
    }
    if (!is_checksum_algorithm(algorithm)) return refused("unknown checksum algorithm");
    if (options.checksum_type.empty()) options.checksum_type = algorithm == "CRC64NVME" ? kFullObject : kComposite;
    const bool composite = options.checksum_type == kComposite;
    if (!composite && options.checksum_type != kFullObject) return refused("unknown checksum type");
    if (composite ? algorithm == "CRC64NVME" : algorithm.starts_with("SHA"))
        return refused("The " + options.checksum_type + " checksum type cannot be used with the " + algorithm +
                       " checksum algorithm.");
    return options;
}

// Ids sort by time, because listings do.
std::string upload_id(Timestamp now, Random& random) {
    char time[17];
    std::snprintf(time, sizeof time, "%012llx", static_cast<unsigned long long>(to_epoch_milliseconds(now)));
    return time + random.hex(36);
}

std::string combined_etag(const std::vector<std::string>& etags) {
    Digest md5(DigestKind::Md5);
    for (const auto& etag : etags) md5.update(from_hex(etag).value_or(""));
    return to_hex(md5.finish()) + "-" + std::to_string(etags.size());
}

Result<std::optional<ObjectInfo>> find_completed(metadata_store::Connection& connection, int64_t bucket,
                                                 std::string_view key, std::string_view id, Timestamp now) {
    const auto row = TRY(
        connection.query_one("SELECT answer FROM completed_upload WHERE id=? AND bucket=? AND key=? AND completed>=?",
                             id, bucket, key, to_epoch_milliseconds(now - kCompletedKept)));
    if (!row) return std::optional<ObjectInfo>();
    return std::optional(TRY(read_completed(row->text(0), key)));
}

}  // namespace

// Where a part is being written: its slot of the shared file, or a file of its own.
struct Store::PartPlace {
    std::optional<UploadSlots::Claim> claim;
    std::optional<Draft> draft;
    Fd slot;

    int fd() const { return claim ? slot.get() : draft->fd(); }
    const std::string& file() const { return claim ? claim->file() : draft->id(); }
    uint64_t offset() const { return claim ? claim->offset() : 0; }
    void keep() {
        if (claim)
            claim->commit();
        else
            draft->keep();
    }
};

Result<UploadInfo> Store::create_upload(std::string_view bucket, std::string_view key, const UploadOptions& options) {
    TRY(check_key(key));
    UploadInfo upload;
    upload.options = TRY(with_checksum_type(options));
    upload.key = key;
    upload.initiated = clock_.now();
    upload.id = upload_id(upload.initiated, random_);
    TRY(database_.write(
        [&](Transaction& tx) -> Result<void> {
            const int64_t bucket_number = TRY(find_bucket_row(tx, bucket)).id;
            TRY(tx.run("INSERT INTO upload(id, bucket, key, initiated, options) VALUES(?,?,?,?,?)", upload.id,
                       bucket_number, key, to_epoch_milliseconds(upload.initiated), write_options(upload.options)));
            return {};
        },
        metadata_store::Durable::Now, metadata_store::Space::Free));
    FAIL_POINT("object_store.after_create_upload");
    return upload;
}

Result<UploadInfo> Store::find_upload(std::string_view bucket, std::string_view key, std::string_view id) {
    auto upload = TRY(read_upload(bucket, key, id));
    return std::move(upload.info);
}

Result<Store::StoredUpload> Store::read_upload(std::string_view bucket, std::string_view key, std::string_view id) {
    const auto known = TRY(buckets_.find(bucket));
    return database_.read([&](Connection& connection) { return read_upload(connection, known->row.id, key, id); });
}

Result<Store::StoredUpload> Store::read_upload(Connection& connection, int64_t bucket, std::string_view key,
                                               std::string_view id) {
    const auto row = TRY(connection.query_one(
        "SELECT initiated, options, file, slot_size FROM upload WHERE id=? AND bucket=? AND key=?", id, bucket, key));
    if (!row) return no_upload();
    StoredUpload upload;
    upload.bucket = bucket;
    upload.info.id = id;
    upload.info.key = key;
    upload.info.initiated = from_epoch_milliseconds(row->integer(0));
    upload.info.options = TRY(read_options(row->text(1)));
    upload.file = row->text(2);
    upload.slot_size = static_cast<uint64_t>(row->integer(3));
    return upload;
}

Result<std::vector<Store::StoredPart>> Store::read_parts(Connection& connection, std::string_view upload,
                                                         int after_number, size_t limit) {
    std::vector<StoredPart> parts;
    const auto rows =
        TRY(connection.query("SELECT number, size, etag, modified, checksums, file, file_offset FROM upload_part "
                             "WHERE upload=? AND number>? ORDER BY number LIMIT ?",
                             upload, after_number, limit));
    for (const auto& row : rows) {
        StoredPart part;
        part.info.number = static_cast<int>(row.integer(0));
        part.info.size = static_cast<uint64_t>(row.integer(1));
        part.info.etag = row.text(2);
        part.info.modified = from_epoch_milliseconds(row.integer(3));
        part.info.checksums = TRY(read_checksums(row.text(4)));
        part.file = row.text(5);
        part.offset = static_cast<uint64_t>(row.integer(6));
        parts.push_back(std::move(part));
    }
    return parts;
}

// Parts

Result<PartInfo> Store::upload_part(std::string_view bucket, std::string_view key, std::string_view id, int number,
                                    const PartOptions& options, const Source& source) {
    if (number < 1 || number > kMaxParts)
        return bad_part("Part number must be an integer between 1 and 10000, inclusive", reason::kPartNumber);
    const auto upload = TRY(read_upload(bucket, key, id));
    Expected expected{options.expected_checksums, options.expected_md5, options.compute_checksums};
    expected.length = options.length;
    if (const auto& algorithm = upload.info.options.checksum_algorithm; !algorithm.empty())
        expected.compute.push_back(algorithm);
    if (options.length && *options.length > kMaxPutBytes)
        return bad_part("Your proposed upload exceeds the maximum allowed size", reason::kSize);

    PartPlace place;
    if (options.length) {
        TRY(remember_slots(upload));
        if (auto claim = TRY(slots_.claim(upload.info.id, number, *options.length))) {
            place.slot = TRY(files_->open_for_writing(claim->file()));
            place.claim.emplace(*std::move(claim));
            expected.max_bytes = *options.length;  // never into the next slot
        }
    }
    if (!place.claim) place.draft.emplace(TRY(files_->create()));

    const auto written = TRY(write_stream(place.fd(), place.offset(), source, expected));
    if (options.length && written.size != *options.length)
        return bad_part("You did not provide the number of bytes specified", reason::kLength);
    TRY(files_->sync(place.file(), place.fd()));

    StoredPart part;
    part.info = {number, written.size, written.etag, clock_.now(), written.checksums};
    part.file = place.file();
    part.offset = place.offset();
    const auto slot_size = place.claim ? std::optional(place.claim->slot_size()) : std::nullopt;
    const auto replaced = record_part(upload.info.id, part, slot_size);
    if (replaced || replaced.error().kind == ErrorKind::Internal) place.keep();  // or may be named after a restart
    if (!replaced) return replaced.error();
    if (*replaced) files_->remove(**replaced);
    return part.info;
}

Result<void> Store::remember_slots(const StoredUpload& upload) {
    if (slots_.knows(upload.info.id)) return {};
    UploadSlots::Stored stored{upload.file, upload.slot_size, {}};
    if (!upload.file.empty()) {
        const auto parts =
            TRY(database_.read([&](Connection& c) { return read_parts(c, upload.info.id, 0, size_t{kMaxParts}); }));
        for (const auto& part : parts)
            if (part.file == upload.file) stored.taken.insert(part.info.number);
    }
    slots_.restore(upload.info.id, std::move(stored));
    return {};
}

// Answers the file the replaced part had for itself.
Result<std::optional<std::string>> Store::record_part(const std::string& upload, const StoredPart& part,
                                                      std::optional<uint64_t> slot_size) {
    FAIL_POINT_AT_EXIT("object_store.after_part");
    return database_.write([&](Transaction& tx) -> Result<std::optional<std::string>> {
        const auto row = TRY(tx.query_one("SELECT file FROM upload WHERE id=?", upload));
        if (!row) return no_upload();
        const auto old =
            TRY(tx.query_one("SELECT file FROM upload_part WHERE upload=? AND number=?", upload, part.info.number));
        TRY(
            tx.run("INSERT INTO upload_part(upload, number, file, file_offset, size, etag, modified, checksums) "
                   "VALUES(?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT(upload, number) DO UPDATE SET "
                   "file=?3, file_offset=?4, size=?5, etag=?6, modified=?7, checksums=?8",
                   upload, part.info.number, part.file, part.offset, part.info.size, part.info.etag,
                   to_epoch_milliseconds(part.info.modified), write_checksums(part.info.checksums)));
        if (slot_size && row->is_null(0))
            TRY(tx.run("UPDATE upload SET file=?, slot_size=? WHERE id=?", part.file, *slot_size, upload));
        if (!old || old->text(0) == row->text(0)) return std::optional<std::string>();
        return std::optional(old->text(0));
    });
}

Result<PartPage> Store::list_parts(std::string_view bucket, std::string_view key, std::string_view id, int after_number,
                                   size_t max_parts) {
    const auto known = TRY(buckets_.find(bucket));
    return database_.read([&](Connection& connection) -> Result<PartPage> {
        TRY(read_upload(connection, known->row.id, key, id));
        PartPage page;
        for (auto& part : TRY(read_parts(connection, id, after_number, max_parts + 1))) {
            page.truncated = page.parts.size() == max_parts;
            if (!page.truncated) page.parts.push_back(std::move(part.info));
        }
        return page;
    });
}

// The end of an upload

Result<std::set<std::string>> Store::forget_upload(Transaction& tx, std::string_view id) {
    std::set<std::string> files;
    for (const auto& row : TRY(tx.query("SELECT file FROM upload_part WHERE upload=?", id))) files.insert(row.text(0));
    if (const auto row = TRY(tx.query_one("SELECT file FROM upload WHERE id=?", id)); row && !row->is_null(0))
        files.insert(row->text(0));
    TRY(tx.run("DELETE FROM upload_part WHERE upload=?", id));
    TRY(tx.run("DELETE FROM upload WHERE id=?", id));
    return files;
}

Result<void> Store::abort_upload(std::string_view bucket, std::string_view key, std::string_view id) {
    const auto files = TRY(database_.write([&](Transaction& tx) -> Result<std::set<std::string>> {
        const int64_t bucket_number = TRY(find_bucket_row(tx, bucket)).id;
        TRY(read_upload(tx, bucket_number, key, id));
        return forget_upload(tx, id);
    }));
    slots_.forget(std::string(id));
    remove_files(files);
    return {};
}

Result<ObjectInfo> Store::complete_upload(std::string_view bucket, std::string_view key, std::string_view id,
                                          std::span<const CompletedPart> wanted, const CompleteOptions& options) {
    auto completed = complete_running_upload(bucket, key, id, wanted, options);
    if (completed || completed.error().detail != reason::kUpload) return completed;
    // The client may not have heard the first answer.
    const auto known = TRY(buckets_.find(bucket));
    auto before = TRY(database_.read(
        [&](Connection& connection) { return find_completed(connection, known->row.id, key, id, clock_.now()); }));
    if (before) return *std::move(before);
    return completed;
}

Result<ObjectInfo> Store::complete_running_upload(std::string_view bucket, std::string_view key, std::string_view id,
                                                  std::span<const CompletedPart> wanted,
                                                  const CompleteOptions& options) {
    const auto known = TRY(buckets_.find(bucket));
    StoredUpload upload;
    std::vector<StoredPart> stored;
    TRY(database_.read([&](Connection& connection) -> Result<void> {
        upload = TRY(read_upload(connection, known->row.id, key, id));
        stored = TRY(read_parts(connection, id, 0, size_t{kMaxParts}));
        return {};
    }));
    const auto parts = TRY(check_parts(stored, wanted));
    ObjectInfo object = TRY(describe_completed(upload, parts, options));

    if (slots_.close(upload.info.id) && in_place(upload.file, stored, parts)) {
        const Fd shared = TRY(files_->open_for_writing(upload.file));
        TRY(assemble(shared.get(), upload.file, parts));
        if (::ftruncate(shared.get(), static_cast<off_t>(object.size)) != 0)
            return error_from_errno("cannot truncate an object file");
        TRY(files_->seal(upload.file, shared.get()));
        TRY(commit_completed(upload, parts, object, upload.file, options));
    } else {
        Draft whole = TRY(files_->create());
        TRY(assemble(whole.fd(), whole.id(), parts));
        TRY(whole.sync());
        const auto committed = commit_completed(upload, parts, object, whole.id(), options);
        if (committed || committed.error().kind == ErrorKind::Internal) whole.keep();
        TRY(committed);
    }
    return object;
}

Result<std::vector<Store::StoredPart>> Store::check_parts(const std::vector<StoredPart>& stored,
                                                          std::span<const CompletedPart> wanted) {
    if (wanted.empty()) return bad_part("You must specify at least one part", reason::kPartOrder);
    std::vector<StoredPart> parts;
    for (const auto& claim : wanted) {
        if (!parts.empty() && claim.number <= parts.back().info.number)
            return bad_part("The list of parts was not in ascending order. Parts must be ordered by part number.",
                            reason::kPartOrder);
        const auto found =
            std::lower_bound(stored.begin(), stored.end(), claim.number,
                             [](const StoredPart& part, int number) { return part.info.number < number; });
        bool matches = found != stored.end() && found->info.number == claim.number && found->info.etag == claim.etag;
        for (const auto& [name, value] : claim.checksums) {
            if (!matches) break;
            const auto known = found->info.checksums.find(name);
            matches = known != found->info.checksums.end() && known->second == value;
        }
        if (!matches)
            return bad_part(
                "One or more of the specified parts could not be found.  The part may not have been uploaded, or "
                "the specified entity tag may not match the part's entity tag.",
                reason::kPart);
        parts.push_back(*found);
    }
    for (size_t i = 0; i + 1 < parts.size(); ++i)
        if (parts[i].info.size < kMinPartBytes)
            return bad_part("Your proposed upload is smaller than the minimum allowed size", reason::kPartTooSmall);
    return parts;
}

Result<ObjectInfo> Store::describe_completed(const StoredUpload& upload, const std::vector<StoredPart>& parts,
                                             const CompleteOptions& options) const {
    const UploadOptions& wanted = upload.info.options;
    if (!options.checksum_type.empty() && options.checksum_type != wanted.checksum_type)
        return bad_part("The upload was created using the " + wanted.checksum_type +
                            " checksum mode. The complete request must use the same checksum mode.",
                        reason::kChecksumName);
    ObjectInfo object;
    object.key = upload.info.key;
    object.modified = clock_.now();
    object.content_type = wanted.content_type;
    object.headers = wanted.headers;
    object.metadata = wanted.metadata;
    object.storage_class = wanted.storage_class;
    object.tags = wanted.tags;
    std::vector<std::string> etags;
    std::vector<PartChecksum> checksums;
    for (const auto& part : parts) {
        object.size += part.info.size;
        object.part_sizes.push_back(part.info.size);
        etags.push_back(part.info.etag);
        if (wanted.checksum_algorithm.empty()) continue;
        const std::string& checksum = part.info.checksums.at(wanted.checksum_algorithm);
        checksums.push_back({checksum, part.info.size});
        object.part_checksums += from_base64(checksum).value_or("");
    }
    object.etag = combined_etag(etags);
    if (!wanted.checksum_algorithm.empty()) {
        object.checksum_type = wanted.checksum_type;
        object.checksums[wanted.checksum_algorithm] =
            wanted.checksum_type == kComposite ? TRY(composite_checksum(wanted.checksum_algorithm, checksums))
                                               : TRY(full_object_checksum(wanted.checksum_algorithm, checksums));
    }
    for (const auto& [name, value] : options.expected_checksums) {
        const auto known = object.checksums.find(name);
        // A composite value may come with or without its "-<parts>".
        if (known == object.checksums.end() ||
            known->second.substr(0, known->second.find('-')) != value.substr(0, value.find('-')))
            return bad_part("The " + name + " you specified did not match the calculated checksum.", reason::kChecksum);
    }
    if (object.size > kMaxObjectBytes)
        return bad_part("Your proposed upload exceeds the maximum allowed size", reason::kSize);
    if (options.expected_size && *options.expected_size != object.size)
        return bad_part("The object has another size than announced", reason::kLength);
    return object;
}

// Whether the shared file needs only the parts it lacks: all its rows are wanted, each where the object has it.
bool Store::in_place(const std::string& shared, const std::vector<StoredPart>& stored,
                     const std::vector<StoredPart>& parts) {
    const auto in_shared = [&](const StoredPart& part) { return part.file == shared; };
    if (shared.empty() ||
        std::count_if(stored.begin(), stored.end(), in_shared) != std::count_if(parts.begin(), parts.end(), in_shared))
        return false;
    uint64_t offset = 0;
    for (const auto& part : parts) {
        if (in_shared(part) && part.offset != offset) return false;
        offset += part.info.size;
    }
    return true;
}

// Copies the parts that are elsewhere to their place in the target.
Result<void> Store::assemble(int target, const std::string& target_file, const std::vector<StoredPart>& parts) {
    uint64_t offset = 0;
    for (const auto& part : parts) {
        if (part.file != target_file) {
            const auto file = files_->open_for_reading(part.file);
            if (!file && file.error().kind == ErrorKind::NotFound) return changed_meanwhile();
            if (!file) return file.error();
            TRY(copy_range(file->get(), part.offset, target, offset, part.info.size));
        }
        offset += part.info.size;
    }
    return {};
}

Result<void> Store::commit_completed(const StoredUpload& upload, const std::vector<StoredPart>& parts,
                                     ObjectInfo& object, const std::string& file, const CompleteOptions& options) {
    FreedFiles freed;
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        if (!TRY(tx.query_one("SELECT 1 FROM upload WHERE id=?", upload.info.id))) return no_upload();
        for (const auto& part : parts)
            if (!TRY(tx.query_one("SELECT 1 FROM upload_part WHERE upload=? AND number=? AND file=? AND file_offset=?",
                                  upload.info.id, part.info.number, part.file, part.offset)))
                return changed_meanwhile();
        freed = TRY(forget_upload(tx, upload.info.id));
        const BucketRow bucket = TRY(find_bucket_row(tx, upload.bucket));
        TRY(add_version(tx, bucket, object, file, {options.if_none_match, options.if_match}, random_, freed));
        return remember_completed(tx, upload, object);
    }));
    FAIL_POINT("object_store.after_complete");
    slots_.forget(upload.info.id);
    freed.erase(file);
    remove_files(freed);
    return {};
}

Result<void> Store::remember_completed(Transaction& tx, const StoredUpload& upload, const ObjectInfo& object) {
    const auto last = TRY(tx.query_one("SELECT max(number) FROM completed_upload"));
    const int64_t number = (last ? last->integer(0) : 0) + 1;
    const Timestamp now = clock_.now();
    TRY(tx.run("INSERT INTO completed_upload(id, number, completed, bucket, key, answer) VALUES(?,?,?,?,?,?)",
               upload.info.id, number, to_epoch_milliseconds(now), upload.bucket, object.key, write_completed(object)));
    // More than one goes for each that comes, so that none stays for good.
    TRY(
        tx.run("DELETE FROM completed_upload WHERE id IN (SELECT id FROM completed_upload ORDER BY number LIMIT 4) "
               "AND (number<=? OR completed<?)",
               number - kCompletedUploads, to_epoch_milliseconds(now - kCompletedKept)));
    return {};
}

}  // namespace millwright::object_store
