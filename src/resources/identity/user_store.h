// Users and their long-term access keys.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/identity/credential_cache.h"
#include "resources/identity/role_store.h"

namespace millwright::resources {

struct User {
    std::string name, path = "/", arn, id;
    Timestamp created{};
    std::vector<std::pair<std::string, std::string>> tags;
    std::string boundary;  // ARN of a policy, or empty
};

struct AccessKey {
    std::string id, user, secret;
    Timestamp created{};
};

inline constexpr size_t kMaxAccessKeysPerUser = 2;  // AWS's quota

// Thread-safe. Functions fail with NotFound when the user is missing.
class UserStore {
  public:
    UserStore(metadata_store::Database& database, const Clock& clock, Random& random, CredentialCache& cache,
              std::function<void()> changed)
        : database_(database), clock_(clock), random_(random), cache_(cache), changed_(std::move(changed)) {}

    Result<User> create(std::string_view account,
                        const User& user);  // AlreadyExists; arn, id and created are made here
    Result<User> find(std::string_view account, std::string_view name);
    Result<NamedPage<User>> list(std::string_view account, std::string_view path_prefix, std::string_view after,
                                 size_t limit);
    Result<void> remove(std::string_view account,
                        std::string_view name);  // Conflict while it has access keys, policies or groups
    Result<void> set_tags(std::string_view account, std::string_view name,
                          const std::vector<std::pair<std::string, std::string>>& tags);

    Result<AccessKey> create_key(std::string_view account, std::string_view user);  // LimitExceeded
    Result<NamedPage<AccessKey>> list_keys(std::string_view account, std::string_view user, std::string_view after,
                                           size_t limit);  // ordered by id; secrets left empty
    Result<void> remove_key(std::string_view account, std::string_view user, std::string_view key_id);

    // The credential behind a user's key, read from the database.
    std::optional<aws::Credential> find_credential(std::string_view access_key_id);

  private:
    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    CredentialCache& cache_;
    const std::function<void()> changed_;
};

}  // namespace millwright::resources
