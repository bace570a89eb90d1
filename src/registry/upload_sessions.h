// What this process knows of running uploads beyond their files: who writes, and the hash of what was received.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/mutex.h"

namespace millwright::registry {

// Thread-safe.
class UploadSessions {
    struct Session;

  public:
    // The right to write to one upload, until destruction.
    class Claim {
      public:
        Claim(UploadSessions& sessions, std::shared_ptr<Session> session)
            : sessions_(&sessions), session_(std::move(session)) {}
        Claim(Claim&&) noexcept = default;
        Claim& operator=(Claim&&) = delete;
        ~Claim();

        // Bytes of the file from its start that update() has seen. A file of another size has to be read again.
        uint64_t hashed() const;
        void update(std::string_view bytes);
        std::string finish();  // raw SHA-256; begins again

      private:
        UploadSessions* sessions_;
        std::shared_ptr<Session> session_;  // empty when moved from
    };

    std::optional<Claim> claim(const std::string& upload);  // nothing while somebody else has it
    bool is_claimed(const std::string& upload);
    void forget(const std::string& upload);

  private:
    static constexpr size_t kMaxSessions = 20'000;  // of more, files are read again

    struct Session {
        bool busy = true;  // guarded by mutex_
        uint64_t hashed = 0;
        Digest digest{DigestKind::Sha256};
    };

    Mutex mutex_;
    std::map<std::string, std::shared_ptr<Session>> sessions_ GUARDED_BY(mutex_);
};

}  // namespace millwright::registry
