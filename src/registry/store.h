// The registry over the metadata store and files.
#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "object_store/file_store.h"
#include "registry/registry.h"
#include "registry/rows.h"
#include "registry/upload_sessions.h"

namespace millwright::registry {

class Store final : public Registry {
  public:
    Store(std::unique_ptr<object_store::FileStore> files, metadata_store::Database& database, const Clock& clock,
          Random& random, const Settings& settings);
    ~Store() override;

    // repositories.cc
    Result<Repository> create_repository(const RepositoryName& name, bool immutable_tags,
                                         const AlsoInTransaction& also) override;
    Result<Repository> find_repository(const RepositoryName& name) override;
    Result<std::vector<Repository>> list_repositories(std::string_view account, std::string_view region,
                                                      const Page& page) override;
    Result<std::vector<Repository>> all_repositories(int64_t after, size_t limit) override;
    Result<Repository> remove_repository(const RepositoryName& name, Contents contents,
                                         const AlsoInTransaction& also) override;
    Result<void> set_immutable_tags(const RepositoryName& name, bool immutable) override;
    Result<std::optional<std::string>> document(const RepositoryName& name, std::string_view kind) override;
    Result<void> set_document(const RepositoryName& name, std::string_view kind,
                              const std::optional<std::string>& text) override;

    // images.cc
    Result<StoredImage> find_image(const RepositoryName& repository, const ImageName& name) override;
    void note_pull(const RepositoryName& repository, const Image& image) override;
    Result<PutOutcome> put_image(const RepositoryName& repository, std::string_view text,
                                 const PutOptions& options) override;
    Result<void> remove_image(const RepositoryName& repository, const std::string& digest,
                              Referenced referenced) override;
    Result<std::string> remove_tag(const RepositoryName& repository, const std::string& tag, LastTag last) override;
    Result<std::vector<std::string>> list_tags(const RepositoryName& repository, const Page& page) override;
    Result<std::vector<Image>> list_images(const RepositoryName& repository, const Page& page) override;
    Result<std::vector<Referrer>> referrers(const RepositoryName& repository, const std::string& digest,
                                            std::string_view artifact_type, const Page& page) override;

    // blobs.cc
    Result<BlobInfo> find_blob(const RepositoryName& repository, const std::string& digest) override;
    Result<OpenBlob> open_blob_file(const RepositoryName& repository, const std::string& digest) override;
    Result<BlobInfo> mount_blob(const RepositoryName& repository, const std::string& digest,
                                const RepositoryName& from) override;
    Result<std::vector<RepositoryName>> repositories_with_blob(const RepositoryName& place, const std::string& digest,
                                                               size_t limit) override;
    Result<void> remove_blob(const RepositoryName& repository, const std::string& digest) override;
    Result<BlobInfo> put_blob(const RepositoryName& repository, const std::string& digest,
                              const Source& source) override;
    Result<oci::FoundManifest> find_manifest(const oci::Reference& reference) override;
    Result<std::unique_ptr<oci::BlobReader>> open_blob(const oci::Reference& repository,
                                                       std::string_view digest) override;
    Result<bool> has_blob(std::string_view digest) override;

    // uploads.cc
    Result<UploadInfo> begin_upload(const RepositoryName& repository) override;
    Result<UploadInfo> find_upload(const RepositoryName& repository, const std::string& id) override;
    Result<UploadInfo> append(const RepositoryName& repository, const std::string& id, const Piece& piece,
                              const Source& source) override;
    Result<BlobInfo> complete_upload(const RepositoryName& repository, const std::string& id, const std::string& digest,
                                     const Piece& piece, const Source& source) override;
    Result<void> abort_upload(const RepositoryName& repository, const std::string& id) override;

    // collection.cc
    Result<Collected> collect_garbage() override;

  private:
    struct Upload {
        int64_t repository = 0;
        std::string id, file;
        Timestamp begun{};
    };
    // A file whose bytes have this digest, about to become a blob of the repository.
    struct NewBlob {
        int64_t repository = 0;
        std::string digest, file;
        uint64_t size = 0;
        std::string upload;  // that ends with it; or empty
    };
    Result<void> publish(const NewBlob& blob);
    Result<Upload> find_upload_row(const RepositoryName& repository, const std::string& id);
    Result<UploadInfo> write_piece(const Upload& upload, UploadSessions::Claim& claim, int fd, const Piece& piece,
                                   const Source& source);
    Result<void> drop_upload(const std::string& id, const std::string& file);
    Result<std::string> digest_of_upload(DigestKind kind, UploadSessions::Claim& claim, int fd, uint64_t size);
    Result<void> touch(int64_t repository, const std::string& digest);
    Result<std::set<std::string>> named_files(const std::vector<std::string>& ids);
    Result<void> collect_uploads(Collected& collected);
    Result<void> collect_links(Collected& collected);
    Result<void> collect_blobs(Collected& collected);
    // Something was removed: collect soon.
    void wake();
    void run(const std::stop_token& stop);
    int64_t now() const { return to_epoch_milliseconds(clock_.now()); }
    int64_t touched_by_removal() const {
        return now() - settings_.grace.count() + std::min(settings_.grace, settings_.grace_after_removal).count();
    }

    const std::unique_ptr<object_store::FileStore> files_;
    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    const Settings settings_;
    UploadSessions sessions_;
    Mutex mutex_;
    Condition woken_;
    bool wake_ GUARDED_BY(mutex_) = false, stopping_ GUARDED_BY(mutex_) = false;
    std::jthread collector_;  // last: it uses all the others
};

}  // namespace millwright::registry
