// Where the parts of a multipart upload are written.
//
// Clients cut an object into parts of one size and send them in any order, several at a time. The first part that could
// be a middle one sets the slot size; every part that is not larger is written straight into one shared file, part n at
// (n - 1) * slot size, so that completing the upload copies nothing. A part that does not fit (larger, of unknown
// length, or sent again) gets a file of its own and is copied when the upload completes.
//
// A slot is given out once, so bytes a row names are never overwritten. After a restart the taken slots are those of
// the part rows.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/mutex.h"
#include "object_store/file_store.h"

namespace millwright::object_store {

// Thread-safe.
class UploadSlots {
    struct Shared;

  public:
    explicit UploadSlots(FileStore& files) : files_(files) {}

    // A slot taken by one running write. Given back on destruction unless committed.
    class Claim {
      public:
        Claim(Claim&&) noexcept = default;
        Claim& operator=(Claim&&) = delete;
        ~Claim();
        const std::string& file() const;
        uint64_t slot_size() const;
        uint64_t offset() const { return offset_; }
        void commit();  // a row names the slot, or may do so

      private:
        friend class UploadSlots;
        Claim(UploadSlots& slots, std::shared_ptr<Shared> shared, int number, uint64_t offset)
            : slots_(&slots), shared_(std::move(shared)), number_(number), offset_(offset) {}
        UploadSlots* slots_;
        std::shared_ptr<Shared> shared_;  // empty when moved from
        int number_;
        uint64_t offset_;
        bool committed_ = false;
    };

    // What the rows say about an upload; needed when this process has not seen it yet.
    struct Stored {
        std::string file;
        uint64_t slot_size = 0;
        std::set<int> taken;
    };
    bool knows(const std::string& upload);
    void restore(const std::string& upload, Stored stored);

    // Nothing when the part needs a file of its own.
    Result<std::optional<Claim>> claim(const std::string& upload, int number, uint64_t length);

    // Before completing: no more slots are given out, for good. True when no write into the shared file is running.
    bool close(const std::string& upload);
    // The upload is gone.
    void forget(const std::string& upload);

  private:
    static constexpr size_t kMaxUploads = 10'000;  // of more at a time, parts get files of their own

    struct Shared {
        std::optional<Draft> draft;  // until a row names the file
        std::string file;
        uint64_t slot_size = 0;
        std::set<int> taken;
        int writers = 0;
        bool closed = false;
    };

    FileStore& files_;
    Mutex mutex_;  // also guards the members of each Shared
    std::map<std::string, std::shared_ptr<Shared>> uploads_ GUARDED_BY(mutex_);
};

}  // namespace millwright::object_store
