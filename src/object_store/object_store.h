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
}  // namespace reason

inline constexpr uint64_t kMaxPutBytes = uint64_t{5} << 30;      // one put, one part
inline constexpr uint64_t kMaxObjectBytes = uint64_t{50} << 40;  // by multipart upload
inline constexpr uint64_t kMinPartBytes = uint64_t{5} << 20;
inline constexpr int kMaxParts = 10'000;
inline constexpr size_t kMaxKeyBytes = 1024;

struct BucketInfo {
    std::string name;
    std::string account;
    std::string region;
    Timestamp created;
};

struct ObjectInfo {
    std::string key;
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
};

struct PutOptions {
    std::string content_type = "binary/octet-stream";
    std::map<std::string, std::string> headers = {}, metadata = {};
    std::map<std::string, std::string> expected_checksums = {};  // verified before the object appears
    std::optional<std::string> expected_md5 = {};                // raw bytes (Content-MD5)
    std::vector<std::string> compute_checksums;                  // algorithms to compute and keep
    bool if_none_match = false;                                  // fail with AlreadyExists when the key exists
    std::optional<std::string> if_match =
        {};  // fail with Conflict unless the ETag is this; NotFound when there is no object
    std::string storage_class = "STANDARD";
};

// Fills some of the buffer; 0 is the end. An error aborts the write and nothing appears.
using Source = std::function<Result<size_t>(std::span<char>)>;
Source source_of(std::string_view bytes);  // REQUIRES: bytes outlive the call

// An object opened for reading; stays readable when the key is overwritten or deleted meanwhile.
struct OpenObject {
    ObjectInfo info;
    Fd fd;  // positioned reads from 0 to info.size
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
    std::vector<ObjectInfo> objects;  // without content_type, headers, metadata, checksums and part_sizes
    std::vector<std::string> common_prefixes;
    bool truncated = false;
    std::string last;  // pass as `after` for the next page
};

struct UploadOptions {
    std::string content_type = "binary/octet-stream";
    std::map<std::string, std::string> headers, metadata;
    std::string storage_class = "STANDARD";
    std::string checksum_algorithm;  // kept for the object as a whole; "" for none
    std::string checksum_type;       // "" means COMPOSITE, but FULL_OBJECT for CRC64NVME
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
    bool if_none_match = false;
    std::optional<std::string> if_match = {};
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

    virtual Result<void> create_bucket(std::string_view account, std::string_view region, std::string_view name) = 0;
    virtual Result<BucketInfo> find_bucket(std::string_view name) = 0;  // NotFound
    virtual Result<std::vector<BucketInfo>> list_buckets(std::string_view account) = 0;
    virtual Result<void> delete_bucket(std::string_view name) = 0;  // Conflict when not empty

    virtual Result<ObjectInfo> put(std::string_view bucket, std::string_view key, const PutOptions& options,
                                   const Source& source) = 0;
    virtual Result<ObjectInfo> head(std::string_view bucket, std::string_view key) = 0;
    virtual Result<OpenObject> get(std::string_view bucket, std::string_view key) = 0;
    // One transaction; missing keys are fine.
    virtual Result<void> remove(std::string_view bucket, std::span<const std::string> keys) = 0;
    virtual Result<ListPage> list(std::string_view bucket, const ListRequest& request) = 0;

    // Makes the object's bytes appear as a new file `path` without copying: reflink where the file system can, else a
    // hard link, else a copy. The file is read-only; a hard-linked one must never be written in place (jobs see it
    // through an overlay).
    virtual Result<void> link_to(std::string_view bucket, std::string_view key, const std::string& path) = 0;
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
    // Makes the object of these parts, and forgets the upload with all its parts. Nothing changes when it fails.
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
