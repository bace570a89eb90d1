// Roles with their trust policies, inline policies and attached policies.
#pragma once

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
    std::string name, path = "/", assume_role_policy, description;
    int64_t max_session_seconds = 3600;
    std::vector<std::pair<std::string, std::string>> tags;
};

// A page of things ordered by name; `last` is what to pass as `after` for the next page, empty when this is
// the last one.
template <typename T>
struct NamedPage {
    std::vector<T> items;
    std::string last;
};

// Thread-safe. Every function but list() fails with NotFound when the role is missing.
class RoleStore {
  public:
    RoleStore(metadata_store::Database& database, const Clock& clock, Random& random)
        : database_(database), clock_(clock), random_(random) {}

    // AlreadyExists; InvalidInput with IAM's text for a malformed trust policy.
    Result<Role> create(std::string_view account, const NewRole& role);
    Result<Role> find(std::string_view account, std::string_view name);
    Result<NamedPage<Role>> list(std::string_view account, std::string_view path_prefix, std::string_view after,
                                 size_t limit);
    // Conflict while policies are attached or inline; Denied for SageMakerRole.
    Result<void> remove(std::string_view account, std::string_view name);
    Result<void> set_trust_policy(std::string_view account, std::string_view name, std::string_view document);

    // Only policies managed by AWS (arn:aws:iam::aws:policy/…) exist; any other is NotFound. Attaching twice
    // is fine.
    Result<void> attach(std::string_view account, std::string_view name, std::string_view policy_arn);
    Result<void> detach(std::string_view account, std::string_view name,
                        std::string_view policy_arn);  // NotFound
    Result<NamedPage<std::string>> attached(std::string_view account, std::string_view name, std::string_view after,
                                            size_t limit);

    Result<void> put_policy(std::string_view account, std::string_view name, std::string_view policy,
                            std::string_view document);
    Result<std::string> get_policy(std::string_view account, std::string_view name, std::string_view policy);
    Result<NamedPage<std::string>> list_policies(std::string_view account, std::string_view name,
                                                 std::string_view after, size_t limit);
    Result<void> remove_policy(std::string_view account, std::string_view name,
                               std::string_view policy);  // NotFound

  private:
    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
};

// Tags as stored text and back.
std::string encode_tags(const std::vector<std::pair<std::string, std::string>>& tags);
std::vector<std::pair<std::string, std::string>> decode_tags(std::string_view text);

}  // namespace millwright::resources
