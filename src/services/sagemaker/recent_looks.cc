#include "services/sagemaker/recent_looks.h"

namespace millwright::services {
namespace {
constexpr size_t kMaxRemembered = 1024;
}

bool RecentLooks::follows_another(const std::string& key, Time now) {
    MutexLock lock(mutex_);
    const auto found = answered_.find(key);
    return found != answered_.end() && now - found->second < kClose;
}

void RecentLooks::answered(const std::string& key, Time now) {
    MutexLock lock(mutex_);
    if (answered_.size() >= kMaxRemembered)
        std::erase_if(answered_, [&](const auto& look) { return now - look.second >= kClose; });
    if (answered_.size() < kMaxRemembered || answered_.contains(key)) answered_[key] = now;
}

}  // namespace millwright::services
