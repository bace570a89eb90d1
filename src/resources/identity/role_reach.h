// What a role may reach in S3: asked before the server reads or writes there in the role's name.
#pragma once

#include <string_view>

#include "resources/identity/identity.h"

namespace millwright::resources {

// A bucket as it counts here: its owner, and its own policy ("" for none).
struct ReachedBucket {
    std::string_view name, account, policy;
};

// Calls are cheap after the first: the role's policies are compiled once. REQUIRES: both outlive it.
class RoleReach {
  public:
    RoleReach(Identity& identity, const Role& role) : identity_(identity), role_(role) {}

    Result<bool> may_list(const ReachedBucket& bucket, std::string_view prefix) const;
    Result<bool> may_read(const ReachedBucket& bucket, std::string_view key) const;
    Result<bool> may_write(const ReachedBucket& bucket, std::string_view key) const;

  private:
    Result<bool> may(std::string_view action, const ReachedBucket& bucket, std::string_view key,
                     std::string_view prefix) const;

    Identity& identity_;
    const Role& role_;
};

}  // namespace millwright::resources
