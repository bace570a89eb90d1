#include "resources/identity/credential_cache.h"

#include <mutex>

namespace millwright::resources {

std::optional<aws::Credential> CredentialCache::find(std::string_view access_key_id) const {
    const std::shared_lock lock(mutex_);
    const auto entry = entries_.find(std::string(access_key_id));
    if (entry == entries_.end()) return std::nullopt;
    return entry->second;
}

void CredentialCache::put(const std::string& access_key_id, const aws::Credential& credential,
                          uint64_t generation_before_read) {
    const std::unique_lock lock(mutex_);
    if (generation_.load() != generation_before_read) return;
    if (entries_.size() >= kMaxEntries) entries_.clear();
    entries_.insert_or_assign(access_key_id, credential);
}

void CredentialCache::forget(std::string_view access_key_id) {
    const std::unique_lock lock(mutex_);
    ++generation_;
    entries_.erase(std::string(access_key_id));
}

void CredentialCache::clear() {
    const std::unique_lock lock(mutex_);
    ++generation_;
    entries_.clear();
}

}  // namespace millwright::resources
