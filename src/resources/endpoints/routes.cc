#include "resources/endpoints/routes.h"

#include <mutex>

namespace millwright::resources {
namespace {

std::string key_of(std::string_view account, std::string_view region, std::string_view name) {
    std::string key;
    key.reserve(account.size() + region.size() + name.size() + 2);
    key.append(account).append("/").append(region).append("/");
    for (const char c : name) key += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return key;
}

}  // namespace

Result<void> ReplicaChannel::invoke_stream(const ReplicaRequest& request, const StreamPatience& patience,
                                           ReplyReceiver& receiver) {
    ReplicaReply reply = TRY(invoke(request, patience.head));
    const std::string body = std::exchange(reply.body, "");
    if (receiver.begin(reply) && !body.empty()) receiver.piece(body);
    return {};
}

std::shared_ptr<const EndpointRoute> Routes::find(std::string_view account, std::string_view region,
                                                  std::string_view name) const {
    const std::string key = key_of(account, region, name);
    const std::shared_lock lock(mutex_);
    const auto found = routes_.find(key);
    return found == routes_.end() ? nullptr : found->second;
}

void Routes::set(std::string_view account, std::string_view region, std::string_view name,
                 std::shared_ptr<const EndpointRoute> route) {
    const std::string key = key_of(account, region, name);
    // Swapped, so that the old snapshot and what it holds are destroyed outside the lock.
    const std::unique_lock lock(mutex_);
    routes_[key].swap(route);
}

void Routes::erase(std::string_view account, std::string_view region, std::string_view name) {
    const std::string key = key_of(account, region, name);
    const std::unique_lock lock(mutex_);
    routes_.erase(key);
}

}  // namespace millwright::resources
