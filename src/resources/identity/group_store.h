// Groups of users. Their policies are in policy_store.h.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/identity/user_store.h"

namespace millwright::resources {

struct Group {
    std::string name, path = "/", arn, id;
    Timestamp created{};
};

inline constexpr size_t kMaxGroupsPerUser = 10;  // AWS's quota

// Thread-safe. Functions fail with NotFound when the group or the user is missing. `changed` is called after a write
// that changes what somebody may do.
class GroupStore {
  public:
    GroupStore(metadata_store::Database& database, const Clock& clock, Random& random, std::function<void()> changed)
        : database_(database), clock_(clock), random_(random), changed_(std::move(changed)) {}

    Result<Group> create(std::string_view account, const Group& group);  // AlreadyExists; arn, id, created made here
    Result<Group> find(std::string_view account, std::string_view name);
    Result<NamedPage<Group>> list(std::string_view account, std::string_view path_prefix, std::string_view after,
                                  size_t limit);
    Result<void> remove(std::string_view account, std::string_view name);  // Conflict while it has members or policies

    Result<void> add(std::string_view account, std::string_view group, std::string_view user);  // LimitExceeded
    Result<void> leave(std::string_view account, std::string_view group, std::string_view user);
    Result<NamedPage<std::string>> members(std::string_view account, std::string_view group, std::string_view after,
                                           size_t limit);  // names of users
    Result<NamedPage<Group>> groups_of(std::string_view account, std::string_view user, std::string_view after,
                                       size_t limit);

  private:
    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    const std::function<void()> changed_;
};

}  // namespace millwright::resources
