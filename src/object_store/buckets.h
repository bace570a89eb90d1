// Buckets and their documents, kept in memory: every request asks for one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/random.h"
#include "metadata_store/database.h"
#include "object_store/object_store.h"
#include "object_store/versions.h"

namespace millwright::object_store {

struct KnownBucket {
    BucketRow row;
    BucketInfo info;
};

// Thread-safe.
class Buckets {
  public:
    Buckets(metadata_store::Database& database, const Clock& clock, Random& random)
        : database_(database), clock_(clock), random_(random) {}

    Result<void> create(std::string_view account, std::string_view region, std::string_view name,
                        const BucketDocuments& documents);
    Result<std::shared_ptr<const KnownBucket>> find(std::string_view name);  // NotFound
    Result<std::vector<BucketInfo>> list(std::string_view account);
    Result<void> set_versioning(std::string_view name, Versioning versioning);
    Result<void> set_document(std::string_view name, std::string_view document, const std::optional<std::string>& text);
    Result<std::vector<std::string>> with(std::string_view document);
    // After every transaction that changed or deleted the bucket, whatever came of it.
    void forget(std::string_view name);

  private:
    static constexpr size_t kMaxKnown = 4096;  // of more buckets in use, some are read again

    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    Mutex mutex_;
    uint64_t changes_ GUARDED_BY(mutex_) = 0;  // what was read before a change must not be remembered after it
    std::map<std::string, std::shared_ptr<const KnownBucket>, std::less<>> known_ GUARDED_BY(mutex_);
};

}  // namespace millwright::object_store
