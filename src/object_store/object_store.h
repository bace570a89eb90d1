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
    std::string storage_class = "STANDARD";
};

struct PutOptions {
    std::string content_type = "binary/octet-stream";
    std::map<std::string, std::string> headers, metadata;
    std::map<std::string, std::string> expected_checksums;  // verified before the object appears
    std::optional<std::string> expected_md5;                // raw bytes (Content-MD5)
    std::vector<std::string> compute_checksums;             // algorithms to compute and keep
    bool if_none_match = false;                             // fail with AlreadyExists when the key exists
    std::optional<std::string> if_match;                    // fail with Conflict unless the ETag is this
};

// Fills some of the buffer; 0 is the end. An error aborts the write and nothing appears.
using Source = std::function<Result<size_t>(std::span<char>)>;
Source source_of(std::string_view bytes);  // REQUIRES: bytes outlive the call

// An object opened for reading; stays readable when the key is overwritten or deleted meanwhile.
struct OpenObject {
    ObjectInfo info;
    Fd fd;  // positioned reads from 0 to info.size
};

struct ListRequest {
    std::string prefix;
    std::string delimiter;
    std::string after;  // keys strictly after this one; a common prefix counts as the key it ends with
    size_t max_keys = 1000;
};
struct ListPage {
    std::vector<ObjectInfo> objects;
    std::vector<std::string> common_prefixes;
    bool truncated = false;
    std::string last;  // pass as `after` for the next page
};

class ObjectStore {
  public:
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
    virtual Result<void> remove(std::string_view bucket, std::span<const std::string> keys) = 0;  // missing keys are fine
    virtual Result<ListPage> list(std::string_view bucket, const ListRequest& request) = 0;

    // Makes the object's bytes appear as a new file `path` without copying: reflink where the file system can, else a
    // hard link, else a copy. The file is read-only; a hard-linked one must never be written in place (jobs see it
    // through an overlay).
    virtual Result<void> link_to(std::string_view bucket, std::string_view key, const std::string& path) = 0;
    // The reverse: takes over an existing file as an object (link where possible), for artifacts.
    virtual Result<ObjectInfo> adopt_file(std::string_view bucket, std::string_view key, const PutOptions& options,
                                          const std::string& path) = 0;

    // Multipart uploads and copies are declared here by whoever builds services/s3.
};

// "s3://bucket/key" -> {bucket, key}; the key may be empty. InvalidInput otherwise.
struct S3Uri {
    std::string bucket;
    std::string key;
};
Result<S3Uri> parse_s3_uri(std::string_view uri);

}  // namespace millwright::object_store
