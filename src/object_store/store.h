// The implementation of ObjectStore over files and SQLite: store.cc (buckets, objects), listing.cc, uploads.cc.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "metadata_store/database.h"
#include "object_store/buckets.h"
#include "object_store/file_store.h"
#include "object_store/object_store.h"
#include "object_store/upload_slots.h"
#include "object_store/versions.h"
#include "object_store/writing.h"

namespace millwright::object_store {

class Store final : public ObjectStore {
  public:
    Store(std::unique_ptr<FileStore> files, metadata_store::Database& database, const Clock& clock, Random& random);
    ~Store() override;

    Result<void> create_bucket(std::string_view account, std::string_view region, std::string_view name,
                               const BucketDocuments& documents) override;
    Result<BucketInfo> find_bucket(std::string_view name) override;
    Result<std::vector<BucketInfo>> list_buckets(std::string_view account) override;
    Result<void> delete_bucket(std::string_view name) override;
    Result<void> set_versioning(std::string_view bucket, Versioning versioning) override;
    Result<void> set_document(std::string_view bucket, std::string_view name,
                              const std::optional<std::string>& text) override;

    Result<std::vector<std::string>> buckets_with(std::string_view document) override;

    Result<ObjectInfo> put(std::string_view bucket, std::string_view key, const PutOptions& options,
                           const Source& source) override;
    Result<ObjectInfo> head(std::string_view bucket, std::string_view key, std::string_view version) override;
    Result<OpenObject> get(std::string_view bucket, std::string_view key, std::string_view version) override;
    Result<std::vector<Result<Removed>>> remove(std::string_view bucket, std::span<const Removal> objects) override;
    Result<ListPage> list(std::string_view bucket, const ListRequest& request) override;
    Result<VersionPage> list_versions(std::string_view bucket, const VersionListRequest& request) override;
    Result<ObjectInfo> set_tags(std::string_view bucket, std::string_view key, std::string_view version,
                                const Tags& tags) override;
    Result<ObjectInfo> set_header(std::string_view bucket, std::string_view key, std::string_view version,
                                  const std::string& name, const std::optional<std::string>& value) override;
    Result<void> link_to(std::string_view bucket, std::string_view key, const std::string& path,
                         std::string_view version) override;
    Result<ObjectInfo> adopt_file(std::string_view bucket, std::string_view key, const PutOptions& options,
                                  const std::string& path) override;
    Result<ObjectInfo> copy(std::string_view bucket, std::string_view key, const PutOptions& options,
                            const OpenObject& source) override;

    Result<UploadInfo> create_upload(std::string_view bucket, std::string_view key,
                                     const UploadOptions& options) override;
    Result<UploadInfo> find_upload(std::string_view bucket, std::string_view key, std::string_view id) override;
    Result<PartInfo> upload_part(std::string_view bucket, std::string_view key, std::string_view id, int number,
                                 const PartOptions& options, const Source& source) override;
    Result<ObjectInfo> complete_upload(std::string_view bucket, std::string_view key, std::string_view id,
                                       std::span<const CompletedPart> parts, const CompleteOptions& options) override;
    Result<void> abort_upload(std::string_view bucket, std::string_view key, std::string_view id) override;
    Result<UploadPage> list_uploads(std::string_view bucket, const UploadListRequest& request) override;
    Result<PartPage> list_parts(std::string_view bucket, std::string_view key, std::string_view id, int after_number,
                                size_t max_parts) override;

    Result<size_t> remove_orphans() override;

  private:
    struct StoredPart {
        PartInfo info;
        std::string file;
        uint64_t offset = 0;
    };
    struct StoredUpload {
        int64_t bucket = 0;
        UploadInfo info;
        std::string file;
        uint64_t slot_size = 0;
    };
    struct PartPlace;
    using Connection = metadata_store::Connection;
    using Transaction = metadata_store::Transaction;

    static Result<StoredUpload> read_upload(Connection& connection, int64_t bucket, std::string_view key,
                                            std::string_view id);
    Result<StoredUpload> read_upload(std::string_view bucket, std::string_view key, std::string_view id);
    static Result<std::vector<StoredPart>> read_parts(Connection& connection, std::string_view upload, int after_number,
                                                      size_t limit);
    // Forgets uploads and their parts; answers the files they named.
    static Result<std::set<std::string>> forget_upload(Transaction& tx, std::string_view id);

    ObjectInfo describe(std::string_view key, const PutOptions& options, const Written& written) const;
    Result<ObjectInfo> publish(int64_t bucket, ObjectInfo object, Draft& draft, const PutOptions& options,
                               metadata_store::Space space = metadata_store::Space::Free);
    Result<int64_t> bucket_for_writing(std::string_view bucket, std::string_view key);
    Result<OpenObject> open_object(std::string_view bucket, std::string_view key, std::string_view version);
    Result<std::set<std::string>> named_files(const std::vector<std::string>& ids);
    void remove_files(const std::set<std::string>& files);

    Result<void> remember_slots(const StoredUpload& upload);
    Result<std::optional<std::string>> record_part(const std::string& upload, const StoredPart& part,
                                                   std::optional<uint64_t> slot_size);
    static Result<std::vector<StoredPart>> check_parts(const std::vector<StoredPart>& stored,
                                                       std::span<const CompletedPart> wanted);
    static bool in_place(const std::string& shared, const std::vector<StoredPart>& stored,
                         const std::vector<StoredPart>& parts);
    Result<ObjectInfo> describe_completed(const StoredUpload& upload, const std::vector<StoredPart>& parts,
                                          const CompleteOptions& options) const;
    Result<void> assemble(int target, const std::string& target_file, const std::vector<StoredPart>& parts);
    Result<ObjectInfo> complete_running_upload(std::string_view bucket, std::string_view key, std::string_view id,
                                               std::span<const CompletedPart> wanted, const CompleteOptions& options);
    // Sets the object's version.
    Result<void> commit_completed(const StoredUpload& upload, const std::vector<StoredPart>& parts, ObjectInfo& object,
                                  const std::string& file, const CompleteOptions& options);
    Result<void> remember_completed(Transaction& tx, const StoredUpload& upload, const ObjectInfo& object);

    std::unique_ptr<FileStore> files_;
    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    Buckets buckets_;
    UploadSlots slots_;
    std::jthread sweeper_;  // last: it uses all the others
};

}  // namespace millwright::object_store
