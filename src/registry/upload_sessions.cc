#include "registry/upload_sessions.h"

#include <utility>

namespace millwright::registry {

UploadSessions::Claim::~Claim() {
    if (!session_) return;
    const MutexLock lock(sessions_->mutex_);
    session_->busy = false;
}

uint64_t UploadSessions::Claim::hashed() const { return session_->hashed; }

void UploadSessions::Claim::update(std::string_view bytes) {
    session_->digest.update(bytes);
    session_->hashed += bytes.size();
}

std::string UploadSessions::Claim::finish() {
    session_->hashed = 0;
    return std::exchange(session_->digest, Digest(DigestKind::Sha256)).finish();
}

std::optional<UploadSessions::Claim> UploadSessions::claim(const std::string& upload) {
    const MutexLock lock(mutex_);
    if (sessions_.size() >= kMaxSessions && !sessions_.contains(upload))
        std::erase_if(sessions_, [](const auto& entry) { return !entry.second->busy; });
    auto& session = sessions_[upload];
    if (session && session->busy) return std::nullopt;
    if (!session) session = std::make_shared<Session>();
    session->busy = true;
    return std::optional<Claim>(std::in_place, *this, session);
}

bool UploadSessions::is_claimed(const std::string& upload) {
    const MutexLock lock(mutex_);
    const auto found = sessions_.find(upload);
    return found != sessions_.end() && found->second->busy;
}

void UploadSessions::forget(const std::string& upload) {
    const MutexLock lock(mutex_);
    sessions_.erase(upload);
}

}  // namespace millwright::registry
