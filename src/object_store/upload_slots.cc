#include "object_store/upload_slots.h"

#include "object_store/object_store.h"

namespace millwright::object_store {
namespace {
constexpr uint64_t kMaxFileBytes = uint64_t{8} << 40;  // half of what ext4 can address
}

UploadSlots::Claim::~Claim() {
    if (!shared_) return;
    const MutexLock lock(slots_->mutex_);
    --shared_->writers;
    if (!committed_) shared_->taken.erase(number_);
}

const std::string& UploadSlots::Claim::file() const { return shared_->file; }
uint64_t UploadSlots::Claim::slot_size() const { return shared_->slot_size; }

void UploadSlots::Claim::commit() {
    const MutexLock lock(slots_->mutex_);
    committed_ = true;
    if (shared_->draft) shared_->draft->keep();
}

bool UploadSlots::knows(const std::string& upload) {
    const MutexLock lock(mutex_);
    return uploads_.contains(upload);
}

void UploadSlots::restore(const std::string& upload, Stored stored) {
    const MutexLock lock(mutex_);
    if (uploads_.size() >= kMaxUploads) return;
    auto shared = std::make_shared<Shared>();
    shared->file = std::move(stored.file);
    shared->slot_size = stored.slot_size;
    shared->taken = std::move(stored.taken);
    uploads_.try_emplace(upload, std::move(shared));
}

Result<std::optional<UploadSlots::Claim>> UploadSlots::claim(const std::string& upload, int number, uint64_t length) {
    const MutexLock lock(mutex_);
    const auto found = uploads_.find(upload);
    if (found == uploads_.end()) return std::optional<Claim>();
    Shared& shared = *found->second;
    if (shared.slot_size == 0 && length >= kMinPartBytes) {
        shared.draft.emplace(TRY(files_.create(FileStore::Reopening::Allowed)));
        shared.draft->close();  // each part opens it for itself
        shared.file = shared.draft->id();
        shared.slot_size = length;
    }
    const uint64_t offset = static_cast<uint64_t>(number - 1) * shared.slot_size;
    if (shared.closed || length == 0 || length > shared.slot_size || offset + length > kMaxFileBytes ||
        !shared.taken.insert(number).second)
        return std::optional<Claim>();
    ++shared.writers;
    return std::optional<Claim>(Claim(*this, found->second, number, offset));
}

bool UploadSlots::close(const std::string& upload) {
    const MutexLock lock(mutex_);
    const auto found = uploads_.find(upload);
    if (found == uploads_.end()) return false;
    const bool first = !std::exchange(found->second->closed, true);
    return first && found->second->writers == 0;
}

void UploadSlots::forget(const std::string& upload) {
    std::shared_ptr<Shared> last;  // its draft unlinks a file; not under the lock
    const MutexLock lock(mutex_);
    if (const auto found = uploads_.find(upload); found != uploads_.end()) {
        last = std::move(found->second);
        uploads_.erase(found);
    }
}

}  // namespace millwright::object_store
