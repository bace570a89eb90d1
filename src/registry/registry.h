// Repositories of container images: manifests, tags and layers as the OCI distribution specification and ECR see them,
// without HTTP. Accounts and regions have repositories of their own.
//
// A blob is a file, one for each digest for all accounts, and is visible only through a repository that it was pushed
// to or mounted into. Manifests are rows. Nothing is stored whose digest was not computed here from its bytes.
//
// Every acknowledged manifest and blob is durable: the file is synced before the row that names it is committed. What
// an upload has received outlives a crash of the server, not a power cut: completing it syncs.
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "oci/image_source.h"

namespace millwright::registry {

// Error::detail of the failures a caller can tell apart.
namespace reason {
inline constexpr std::string_view kRepository = "repository";       // NotFound, AlreadyExists, Conflict (not empty)
inline constexpr std::string_view kRepositoryName = "name";         // InvalidInput
inline constexpr std::string_view kManifest = "manifest";           // NotFound; InvalidInput: no manifest of ours
inline constexpr std::string_view kManifestSize = "manifest size";  // LimitExceeded: more than 4 MiB
inline constexpr std::string_view kTag = "tag";                     // NotFound; InvalidInput: not a tag
inline constexpr std::string_view kImmutable = "immutable";         // Conflict: the tag names another image, for good
inline constexpr std::string_view kSameImage = "same image";        // AlreadyExists: as PutOptions::refuse_same asks
inline constexpr std::string_view kReferenced = "referenced";       // Conflict: an index of the repository has it
inline constexpr std::string_view kMissingBlob = "missing blob";    // InvalidInput: a layer was not pushed
inline constexpr std::string_view kMissingChild = "missing child";  // InvalidInput: an image of an index was not
inline constexpr std::string_view kBlob = "blob";                   // NotFound
inline constexpr std::string_view kDigest = "digest";               // InvalidInput: not the bytes' digest, or no digest
inline constexpr std::string_view kUpload = "upload";               // NotFound
inline constexpr std::string_view kUploadBusy = "upload is busy";   // Conflict: another request writes to it
inline constexpr std::string_view kUploadPosition = "position";     // InvalidInput: not where the upload stands
inline constexpr std::string_view kUploadLength = "length";         // InvalidInput: not as many bytes as announced
inline constexpr std::string_view kBlobSize = "blob size";          // LimitExceeded: more than Settings::max_blob_bytes
inline constexpr std::string_view kManyUploads = "many uploads";    // LimitExceeded: too many are not completed
inline constexpr std::string_view kBlobInUse = "blob in use";       // Conflict: an image of the repository has it
}  // namespace reason

struct RepositoryName {
    std::string account, region, name;
};
std::string arn_of(const RepositoryName& name);  // arn:aws:ecr:<region>:<account>:repository/<name>
std::string uri_of(const RepositoryName& name);  // <account>.dkr.ecr.<region>.amazonaws.com/<name>

struct Repository {
    RepositoryName name;
    int64_t id = 0;  // never given again
    Timestamp created{};
    bool immutable_tags = false;
};

// What is stored of a manifest or an index.
struct Image {
    std::string digest, media_type;
    std::string artifact_type;      // of the document, else the media type of its configuration; empty for an index
    std::string config_media_type;  // empty for an index
    std::string subject;            // digest, or empty
    uint64_t manifest_bytes = 0;
    uint64_t image_bytes = 0;  // of all layers as they are stored; 0 for an index
    Timestamp pushed{};
    std::optional<Timestamp> pulled;  // the last time, to the hour
    std::vector<std::string> tags;    // in order
};
struct StoredImage {
    Image image;
    std::string text;  // byte by byte as it was pushed
};

// An image of a repository, by tag or by digest; with both, the digest, and the tag must name it.
struct ImageName {
    std::string tag, digest;
};

// Pages: entries behind `after` in byte order, at most `limit`.
struct Page {
    std::string after;
    size_t limit = 1000;
};

struct PutOptions {
    std::string media_type;    // as the client says; must be the document's. Empty: what the document says
    std::string tag;           // empty: none
    std::string digest;        // that the bytes must have; empty: sha256, computed
    bool refuse_same = false;  // AlreadyExists when the repository has this manifest, and the tag names it already
};
struct PutOutcome {
    Image image;
    bool created = false;  // the repository did not have this manifest
};

struct Referrer {
    std::string digest, media_type, artifact_type;
    uint64_t size = 0;
    Json annotations;  // null when there are none
};

struct BlobInfo {
    std::string digest;
    uint64_t size = 0;
};
struct OpenBlob {
    BlobInfo info;
    Fd fd;
};
struct UploadInfo {
    std::string id;
    uint64_t offset = 0;  // where the next byte goes
    Timestamp begun{};
};

// Bytes of a client: fills some of the buffer; 0 is the end.
using Source = std::function<Result<size_t>(std::span<char> buffer)>;
// Done in the transaction of the call, which fails when it does.
using AlsoInTransaction = std::function<Result<void>(metadata_store::Transaction&)>;

struct Collected {
    uint64_t links = 0, blobs = 0, bytes = 0, uploads = 0;
};

struct Settings {
    // A blob that no image of its repository has stays so long after it was last pushed, mounted or asked for: clients
    // push layers first, and skip those that are there.
    std::chrono::milliseconds grace = std::chrono::hours(24);
    // And at most so long after such an image was removed, unless it is asked for again.
    std::chrono::milliseconds grace_after_removal = std::chrono::minutes(15);
    std::chrono::milliseconds upload_life = std::chrono::hours(24);  // from the last byte received
    std::chrono::milliseconds pause = std::chrono::minutes(15);      // between two collections; 0: no thread
    uint64_t max_blob_bytes = uint64_t{1} << 40;
    size_t max_uploads = 10'000;  // of each account, not completed
};

class Registry : public oci::ImageSource {
  public:
    // `folder`: <data>/registry. Removes files that a crash left, and begins to collect garbage.
    static Result<std::unique_ptr<Registry>> open(const std::string& folder, metadata_store::Database& database,
                                                  const Clock& clock, Random& random, const Settings& settings = {});

    // Repositories. NotFound with kRepository of all that follow.
    virtual Result<Repository> create_repository(const RepositoryName& name, bool immutable_tags,
                                                 const AlsoInTransaction& also = {}) = 0;
    virtual Result<Repository> find_repository(const RepositoryName& name) = 0;
    virtual Result<std::vector<Repository>> list_repositories(std::string_view account, std::string_view region,
                                                              const Page& page) = 0;
    // Of all accounts, by id: for workers. `after`: the id of the last one.
    virtual Result<std::vector<Repository>> all_repositories(int64_t after, size_t limit) = 0;
    enum class Contents { MustBeGone, Remove };
    virtual Result<Repository> remove_repository(const RepositoryName& name, Contents contents,
                                                 const AlsoInTransaction& also = {}) = 0;
    virtual Result<void> set_immutable_tags(const RepositoryName& name, bool immutable) = 0;
    // Texts the registry keeps and does not look at: "policy", "lifecycle", …; nothing when there is none.
    virtual Result<std::optional<std::string>> document(const RepositoryName& name, std::string_view kind) = 0;
    virtual Result<void> set_document(const RepositoryName& name, std::string_view kind,
                                      const std::optional<std::string>& text) = 0;

    // Images.
    // NotFound with kManifest or kTag.
    virtual Result<StoredImage> find_image(const RepositoryName& repository, const ImageName& name) = 0;
    // Notes that somebody pulled it; what find_image() found.
    virtual void note_pull(const RepositoryName& repository, const Image& image) = 0;
    // The blobs and children that the document names must be in the repository (layers that are to be had elsewhere
    // only, and its subject, need not).
    virtual Result<PutOutcome> put_image(const RepositoryName& repository, std::string_view text,
                                         const PutOptions& options) = 0;
    // With all its tags. Conflict with kReferenced when an index has it, unless that is allowed.
    enum class Referenced { Refuse, Allow };
    virtual Result<void> remove_image(const RepositoryName& repository, const std::string& digest,
                                      Referenced referenced) = 0;
    // Returns the digest that the tag named. LastTag::RemovesImage: an image left without tags goes, too; then with
    // kReferenced as above.
    enum class LastTag { KeepsImage, RemovesImage };
    virtual Result<std::string> remove_tag(const RepositoryName& repository, const std::string& tag, LastTag last) = 0;
    // Tags in byte order.
    virtual Result<std::vector<std::string>> list_tags(const RepositoryName& repository, const Page& page) = 0;
    // All manifests and indexes by digest.
    virtual Result<std::vector<Image>> list_images(const RepositoryName& repository, const Page& page) = 0;
    // Images whose subject is `digest`, by digest; with an artifact type only those. Each may have annotations of
    // megabytes, so ask for few.
    virtual Result<std::vector<Referrer>> referrers(const RepositoryName& repository, const std::string& digest,
                                                    std::string_view artifact_type, const Page& page) = 0;

    // Blobs. NotFound with kBlob. Asking for one keeps it for Settings::grace.
    virtual Result<BlobInfo> find_blob(const RepositoryName& repository, const std::string& digest) = 0;
    virtual Result<OpenBlob> open_blob_file(const RepositoryName& repository, const std::string& digest) = 0;
    // NotFound with kBlob: `from` does not have it.
    virtual Result<BlobInfo> mount_blob(const RepositoryName& repository, const std::string& digest,
                                        const RepositoryName& from) = 0;
    // Repositories of the account and the region of `place` that have it, at most `limit`.
    virtual Result<std::vector<RepositoryName>> repositories_with_blob(const RepositoryName& place,
                                                                       const std::string& digest, size_t limit) = 0;
    // Conflict with kBlobInUse while an image of the repository names it.
    virtual Result<void> remove_blob(const RepositoryName& repository, const std::string& digest) = 0;
    // All bytes at once.
    virtual Result<BlobInfo> put_blob(const RepositoryName& repository, const std::string& digest,
                                      const Source& source) = 0;

    // Uploads. NotFound with kUpload. One request at a time may write to an upload.
    virtual Result<UploadInfo> begin_upload(const RepositoryName& repository) = 0;
    virtual Result<UploadInfo> find_upload(const RepositoryName& repository, const std::string& id) = 0;
    // Appends what `source` gives, which may be cut short: what was received by then stays. `position` and `length`,
    // where the client says them, must be true.
    struct Piece {
        std::optional<uint64_t> position, length;
    };
    virtual Result<UploadInfo> append(const RepositoryName& repository, const std::string& id, const Piece& piece,
                                      const Source& source) = 0;
    // Appends the last piece and makes a blob of all. Bytes with another digest are dropped with the upload.
    virtual Result<BlobInfo> complete_upload(const RepositoryName& repository, const std::string& id,
                                             const std::string& digest, const Piece& piece, const Source& source) = 0;
    virtual Result<void> abort_upload(const RepositoryName& repository, const std::string& id) = 0;

    // What the thread does from time to time: forgets blobs that no image has, removes files that no repository has,
    // and uploads that nobody continues.
    virtual Result<Collected> collect_garbage() = 0;

    // As ImageSource: the host of a reference is an ECR host name, and says whose repository is meant.
};

}  // namespace millwright::registry
