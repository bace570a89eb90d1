// Buckets, objects and multipart uploads: S3 semantics without HTTP. Bytes are plain files named by random ids below
// <data-dir>/objects; names and keys live in the metadata store only and never become paths.
//
// Every acknowledged write is durable: the data file is synced before the row that names it is committed.
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"

namespace millwright::object_store {

// Error::detail of the failures a caller can tell apart; the kind alone does not say what was missing or wrong.
namespace reason {
inline constexpr std::string_view kBucket = "bucket";                // NotFound, AlreadyExists, Conflict (not empty)
inline constexpr std::string_view kKey = "key";                      // NotFound; InvalidInput: not UTF-8, NUL, empty
inline constexpr std::string_view kKeyTooLong = "key too long";      // InvalidInput
inline constexpr std::string_view kUpload = "upload";                // NotFound
inline constexpr std::string_view kPart = "part";                    // InvalidInput: not uploaded, or another ETag
inline constexpr std::string_view kPartOrder = "part order";         // InvalidInput: not ascending, or none
inline constexpr std::string_view kPartNumber = "part number";       // InvalidInput: not 1 … 10000
inline constexpr std::string_view kPartTooSmall = "part too small";  // InvalidInput: only the last may be < 5 MiB
inline constexpr std::string_view kMd5 = "md5";                      // InvalidInput: the bytes have another MD5
inline constexpr std::string_view kChecksum = "checksum";            // InvalidInput: the bytes have another checksum
inline constexpr std::string_view kChecksumName = "checksum name";   // InvalidInput: no such algorithm, or type
inline constexpr std::string_view kSize = "size";                    // InvalidInput: too large
inline constexpr std::string_view kLength = "length";                // InvalidInput: not as many bytes as announced
inline constexpr std::string_view kChanged = "changed";              // Unavailable: something else wrote meanwhile
inline constexpr std::string_view kCondition = "condition";          // AlreadyExists, Conflict: if_none_match, if_match
inline constexpr std::string_view kVersion = "version";              // NotFound; InvalidInput: no such id can be
// NotFound: the newest version is a delete marker; Conflict: the version asked for is one.
inline constexpr std::string_view kDeleteMarker = "delete marker";
}  // namespace reason

inline constexpr uint64_t kMaxPutBytes = uint64_t{5} << 30;      // one put, one part
inline constexpr uint64_t kMaxObjectBytes = uint64_t{50} << 40;  // by multipart upload
inline constexpr uint64_t kMinPartBytes = uint64_t{5} << 20;
inline constexpr int kMaxParts = 10'000;
inline constexpr size_t kMaxKeyBytes = 1024;
inline constexpr int kCompletedUploads = 10'000;

// A bucket starts as Off, and never returns to it. Off: a write replaces the object. Enabled: a write adds a version, a
// removal adds a delete marker. Suspended: versions stay, and a write or a removal replaces the version "null" only.
enum class Versioning { Off, Enabled, Suspended };

// Configuration of a bucket that the store keeps and does not look at: "policy", "cors", "acl", "tagging", …
using BucketDocuments = std::map<std::string, std::string, std::less<>>;

struct BucketInfo {
    std::string name;
    std::string account;
    std::string region;
    Timestamp created;
    Versioning versioning = Versioning::Off;
    // Never null. The same pointer for as long as no document changes, so what is parsed from it can be kept beside it.
    std::shared_ptr<const BucketDocuments> documents = std::make_shared<const BucketDocuments>();
    const std::string* document(std::string_view document_name) const {
        const auto found = documents->find(document_name);
        return found == documents->end() ? nullptr : &found->second;
    }
};

// What the name of a version is when it was written while versioning was Off or Suspended.
inline constexpr std::string_view kNullVersion = "null";
using Tags = std::map<std::string, std::string>;

struct ObjectInfo {
    std::string key;
    std::string version = {};  // "" while the versioning of the bucket is Off; then "null" or 32 letters and digits
    uint64_t size = 0;
    std::string etag;  // without quotes: MD5 in hex, or <md5>-<parts>
    Timestamp modified;
    std::string content_type;
    std::map<std::string, std::string> headers;    // Cache-Control, Content-Encoding, … as given
    std::map<std::string, std::string> metadata;   // x-amz-meta-*, lower-case names without the prefix
    std::map<std::string, std::string> checksums;  // "CRC32" -> base64
    std::string checksum_type;                     // "FULL_OBJECT" or "COMPOSITE" when there are checksums
    std::string storage_class = "STANDARD";        // a label
    std::vector<uint64_t> part_sizes;              // of a multipart upload, in order
    std::string part_checksums;                    // raw digests of the parts, one after the other; see parts_of()
    Tags tags;
};

struct PutOptions {
    std::string content_type = "binary/octet-stream";
    std::map<std::string, std::string> headers = {}, metadata = {};
    std::map<std::string, std::string> expected_checksums = {};  // verified before the object appears
    std::optional<std::string> expected_md5 = {};                // raw bytes (Content-MD5)
    std::vector<std::string> compute_checksums;                  // algorithms to compute and keep
    std::optional<uint64_t> length = {};            // a hint: room for a large object is made before its bytes come
    std::optional<std::string> if_none_match = {};  // fail with AlreadyExists when the ETag is this ("*": any)
    std::optional<std::string> if_match =
        {};  // fail with Conflict unless the ETag is this ("*": any); NotFound when there is no object
    std::string storage_class = "STANDARD";
    Tags tags = {};
};

// Fills some of the buffer; 0 is the end. An error aborts the write and nothing appears.
using Source = std::function<Result<size_t>(std::span<char>)>;
Source source_of(std::string_view bytes);  // REQUIRES: bytes outlive the call

// An object opened for reading; stays readable when the key is overwritten or deleted meanwhile.
struct OpenObject {
    ObjectInfo info;
    Fd fd;                   // a file: positioned reads from 0 to info.size
    std::string bytes = {};  // all of a small object, which has no fd

    bool in_memory() const { return !fd; }
    // Some of the bytes from `offset` on; 0 at the end.
    Result<size_t> read_at(std::span<char> into, uint64_t offset) const;
    // All bytes. LimitExceeded when they are more than `limit`.
    Result<std::string> read_all(size_t limit = size_t{1} << 30) const;
    // REQUIRES: the object outlives the source; offset + length <= info.size.
    Source source(uint64_t offset, uint64_t length) const;
    // For whoever needs a descriptor: one of the file, or of memory with the bytes of a small object. Positioned reads.
    Result<Fd> descriptor() const;
};

// Keys are compared as bytes. With a delimiter, keys that share what follows `prefix` up to the first delimiter are
// answered once, as a common prefix, and the rest of them is skipped by seeking.
struct ListRequest {
    std::string prefix = {};
    std::string delimiter = {};
    std::string after = {};  // keys and common prefixes strictly after this
    size_t max_keys = 1000;  // objects and common prefixes together
};
struct ListPage {
    std::vector<ObjectInfo> objects;  // key, size, etag, modified and storage_class only
    std::vector<std::string> common_prefixes;
    bool truncated = false;
    std::string last;  // pass as `after` for the next page
};

// One of the versions of a key. A delete marker has no bytes and no ETag.
struct VersionInfo {
    ObjectInfo object;  // key, version ("null" where versioning is Off), size, etag, modified and storage_class only
    bool latest = false;
    bool delete_marker = false;
};
struct VersionListRequest {
    std::string prefix = {};
    std::string delimiter = {};
    std::string after_key = {};      // with after_version "": versions of later keys only
    std::string after_version = {};  // and the older versions of after_key; one that is gone means later keys only
    size_t max_versions = 1000;      // versions and common prefixes together
};
struct VersionPage {
    std::vector<VersionInfo> versions;  // by key, then the newest first
    std::vector<std::string> common_prefixes;
    bool truncated = false;
    std::string last_key, last_version;  // last_version is "" after a common prefix
};

// What to delete. Without a version: the object, which in a bucket with versions means to add a delete marker.
struct Removal {
    std::string key;
    std::string version = {};
    // Conflict with reason::kCondition unless the version (the newest one when none is named) has all of these; a
    // missing one is fine.
    std::optional<std::string> if_match = {};      // ETag, "*" for any
    std::optional<Timestamp> if_modified_at = {};  // compared in seconds
    std::optional<uint64_t> if_size = {};
};
struct Removed {
    std::string version;         // the version that is gone, or the new delete marker; "" where versioning is Off
    bool delete_marker = false;  // that version is, or was, a delete marker
};

struct UploadOptions {
    std::string content_type = "binary/octet-stream";
    std::map<std::string, std::string> headers, metadata;
    std::string storage_class = "STANDARD";
    std::string checksum_algorithm;  // kept for the object as a whole; "" for none
    std::string checksum_type;       // "" means COMPOSITE, but FULL_OBJECT for CRC64NVME
    Tags tags = {};
};
struct UploadInfo {
    std::string id;
    std::string key;
    Timestamp initiated;
    UploadOptions options;
};
struct PartOptions {
    std::optional<uint64_t> length =
        {};  // when known before; parts of equal length need no copy when the upload completes
    std::map<std::string, std::string> expected_checksums = {};
    std::optional<std::string> expected_md5 = {};  // raw bytes
    std::vector<std::string> compute_checksums;
};
struct PartInfo {
    int number = 0;  // 1 … kMaxParts
    uint64_t size = 0;
    std::string etag;
    Timestamp modified;
    std::map<std::string, std::string> checksums;
};
// What the client believes it uploaded.
struct CompletedPart {
    int number = 0;
    std::string etag;
    std::map<std::string, std::string> checksums;  // compared where given
};
struct CompleteOptions {
    std::map<std::string, std::string> expected_checksums = {};  // of the whole object
    std::optional<uint64_t> expected_size = {};
    std::optional<std::string> if_none_match = {};
    std::optional<std::string> if_match = {};
    std::string checksum_type = {};  // InvalidInput with kChecksumName unless the upload's; "" for any
};
struct UploadListRequest {
    std::string prefix = {};
    std::string delimiter = {};
    std::string after_key = {};  // with after_id "": uploads of later keys only
    std::string after_id = {};
    size_t max_uploads = 1000;
};
struct UploadPage {
    std::vector<UploadInfo> uploads;  // by key, then by time
    std::vector<std::string> common_prefixes;
    bool truncated = false;
    std::string last_key, last_id;
};
struct PartPage {
    std::vector<PartInfo> parts;
    bool truncated = false;
};

class ObjectStore {
  public:
    // Starts a thread that removes files no row names, left by a crash. `database`, `clock` and `random` outlive the
    // store.
    static Result<std::unique_ptr<ObjectStore>> open(const std::string& folder, metadata_store::Database& database,
                                                     const Clock& clock, Random& random);
    virtual ~ObjectStore() = default;

    virtual Result<void> create_bucket(std::string_view account, std::string_view region, std::string_view name,
                                       const BucketDocuments& documents = {}) = 0;
    virtual Result<BucketInfo> find_bucket(std::string_view name) = 0;                   // NotFound; from memory
    virtual Result<std::vector<BucketInfo>> list_buckets(std::string_view account) = 0;  // without documents
    virtual Result<void> delete_bucket(std::string_view name) = 0;  // Conflict when there is an object, or any version
    virtual Result<void> set_versioning(std::string_view bucket, Versioning versioning) = 0;  // REQUIRES: not Off
    // Nothing removes the document. Seen by every find_bucket() that starts after the call has returned.
    virtual Result<void> set_document(std::string_view bucket, std::string_view name,
                                      const std::optional<std::string>& text) = 0;

    virtual Result<std::vector<std::string>> buckets_with(std::string_view document) = 0;  // names, in order

    // `version` is "" for the newest one, "null", or an id. NotFound with kKey, kVersion or kDeleteMarker; Conflict
    // with kDeleteMarker.
    virtual Result<ObjectInfo> put(std::string_view bucket, std::string_view key, const PutOptions& options,
                                   const Source& source) = 0;
    virtual Result<ObjectInfo> head(std::string_view bucket, std::string_view key, std::string_view version = {}) = 0;
    virtual Result<OpenObject> get(std::string_view bucket, std::string_view key, std::string_view version = {}) = 0;
    // One transaction; an answer for each, in order. Missing keys and versions are fine.
    virtual Result<std::vector<Result<Removed>>> remove(std::string_view bucket, std::span<const Removal> objects) = 0;
    virtual Result<ListPage> list(std::string_view bucket, const ListRequest& request) = 0;
    virtual Result<VersionPage> list_versions(std::string_view bucket, const VersionListRequest& request) = 0;
    // Replaces all tags of a version; answers the version as it is now.
    virtual Result<ObjectInfo> set_tags(std::string_view bucket, std::string_view key, std::string_view version,
                                        const Tags& tags) = 0;
    // Sets (or, with nothing, removes) one of ObjectInfo::headers of a version in place: its ACL, for one.
    virtual Result<ObjectInfo> set_header(std::string_view bucket, std::string_view key, std::string_view version,
                                          const std::string& name, const std::optional<std::string>& value) = 0;

    // Makes the object's bytes appear as a new file `path` without copying: reflink where the file system can, else a
    // hard link, else a copy. The file is read-only; a hard-linked one must never be written in place (jobs see it
    // through an overlay).
    virtual Result<void> link_to(std::string_view bucket, std::string_view key, const std::string& path,
                                 std::string_view version = {}) = 0;
    // The reverse: takes over a regular file (never a symbolic link) as an object, by linking where possible. On
    // success `path` is gone; on failure it is untouched. REQUIRES: nobody writes to the file any more.
    virtual Result<ObjectInfo> adopt_file(std::string_view bucket, std::string_view key, const PutOptions& options,
                                          const std::string& path) = 0;

    // A new object with the bytes of `source`, shared rather than copied where the file system can. Everything else
    // comes from `options`; expected_checksums and expected_md5 are ignored, compute_checksums reads the bytes once.
    virtual Result<ObjectInfo> copy(std::string_view bucket, std::string_view key, const PutOptions& options,
                                    const OpenObject& source) = 0;

    virtual Result<UploadInfo> create_upload(std::string_view bucket, std::string_view key,
                                             const UploadOptions& options) = 0;
    virtual Result<UploadInfo> find_upload(std::string_view bucket, std::string_view key, std::string_view id) = 0;
    // Replaces an earlier part of the same number once all bytes are there.
    virtual Result<PartInfo> upload_part(std::string_view bucket, std::string_view key, std::string_view id, int number,
                                         const PartOptions& options, const Source& source) = 0;
    // Makes the object of these parts, and forgets the upload with all its parts. Nothing changes when it fails. Asked
    // again within a day (kCompletedUploads later ones at most), it answers the same, whatever became of the object.
    virtual Result<ObjectInfo> complete_upload(std::string_view bucket, std::string_view key, std::string_view id,
                                               std::span<const CompletedPart> parts,
                                               const CompleteOptions& options) = 0;
    virtual Result<void> abort_upload(std::string_view bucket, std::string_view key, std::string_view id) = 0;
    virtual Result<UploadPage> list_uploads(std::string_view bucket, const UploadListRequest& request) = 0;
    virtual Result<PartPage> list_parts(std::string_view bucket, std::string_view key, std::string_view id,
                                        int after_number, size_t max_parts) = 0;

    // Removes files that no row names and no running call is writing; what the thread of open() does. Returns how many.
    virtual Result<size_t> remove_orphans() = 0;
};

// Calls `visit` for every object whose key starts with `prefix`, in byte order, a page at a time (objects as in
// ListPage). Stops at the first error, also one of `visit`.
Result<void> for_each_object(ObjectStore& store, std::string_view bucket, std::string_view prefix,
                             const std::function<Result<void>(const ObjectInfo&)>& visit);

// The parts an object was made of, with their checksums where the upload had an algorithm; without ETags and times.
std::vector<PartInfo> parts_of(const ObjectInfo& object);

// AWS's rules: 3 to 63 of a-z 0-9 . -, no "..", no IPv4 address, no reserved prefix or suffix.
bool is_valid_bucket_name(std::string_view name);
// 1 to kMaxKeyBytes bytes of UTF-8 without NUL. Anything else is a fine key, "../x" and "//" included.
Result<void> check_key(std::string_view key);
bool is_checksum_algorithm(std::string_view name);  // CRC32, CRC32C, CRC64NVME, SHA1, SHA256

// "s3://bucket/key" -> {bucket, key}; the key may be empty. InvalidInput otherwise.
struct S3Uri {
    std::string bucket;
    std::string key;
};
Result<S3Uri> parse_s3_uri(std::string_view uri);

}  // namespace millwright::object_store
