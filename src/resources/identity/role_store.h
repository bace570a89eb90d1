// Roles with their trust policies. What they may do is in policy_store.h.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/identity/identity.h"

namespace millwright::resources {

struct NewRole {
    std::string name, path = "/", assume_role_policy, description, boundary;
    int64_t max_session_seconds = 3600;
    std::vector<std::pair<std::string, std::string>> tags;
    // Put in the same transaction; name and document.
    std::vector<std::pair<std::string, std::string>> inline_policies;
};

// A page of things ordered by name; `last` is what to pass as `after` for the next page, empty when this is
// the last one.
template <typename T>
struct NamedPage {
    std::vector<T> items;
    std::string last;
};

// Thread-safe. Every function but list() fails with NotFound when the role is missing. `changed` is called after writes
// that change what somebody may do.
class RoleStore {
  public:
    RoleStore(metadata_store::Database& database, const Clock& clock, Random& random, std::function<void()> changed)
        : database_(database), clock_(clock), random_(random), changed_(std::move(changed)) {}

    // AlreadyExists; InvalidInput with IAM's text for a malformed trust policy.
    Result<Role> create(std::string_view account, const NewRole& role);
    Result<Role> find(std::string_view account, std::string_view name);
    Result<NamedPage<Role>> list(std::string_view account, std::string_view path_prefix, std::string_view after,
                                 size_t limit);
    // Conflict while policies are attached or inline; Denied for SageMakerRole.
    Result<void> remove(std::string_view account, std::string_view name);
    Result<void> set_trust_policy(std::string_view account, std::string_view name, std::string_view document);
    Result<void> set_tags(std::string_view account, std::string_view name,
                          const std::vector<std::pair<std::string, std::string>>& tags);

  private:
    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    const std::function<void()> changed_;
};

// Tags as stored text and back.
std::string encode_tags(const std::vector<std::pair<std::string, std::string>>& tags);
std::vector<std::pair<std::string, std::string>> decode_tags(std::string_view text);

}  // namespace millwright::resources
