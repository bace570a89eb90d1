// Credentials by access key id in memory, so that checking a signature reads no database.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "aws/service.h"

namespace millwright::resources {

// Thread-safe. A row read before a key was withdrawn must not be cached after it: take generation() before
// the read and hand it to put().
class CredentialCache {
  public:
    std::optional<aws::Credential> find(std::string_view access_key_id) const;
    uint64_t generation() const { return generation_.load(); }
    void put(const std::string& access_key_id, const aws::Credential& credential, uint64_t generation_before_read);
    void forget(std::string_view access_key_id);
    void clear();

  private:
    static constexpr size_t kMaxEntries = 20000;  // the whole cache is dropped when it is full
    mutable std::shared_mutex mutex_;
    std::unordered_map<std::string, aws::Credential> entries_;
    std::atomic<uint64_t> generation_{0};
};

}  // namespace millwright::resources
