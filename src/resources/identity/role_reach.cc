#include "resources/identity/role_reach.h"

#include "resources/identity/access_control.h"

namespace millwright::resources {

Result<bool> RoleReach::may_list(const ReachedBucket& bucket, std::string_view prefix) const {
    return may("s3:ListBucket", bucket, "", prefix);
}

Result<bool> RoleReach::may_read(const ReachedBucket& bucket, std::string_view key) const {
    return may("s3:GetObject", bucket, key, "");
}

Result<bool> RoleReach::may_write(const ReachedBucket& bucket, std::string_view key) const {
    return may("s3:PutObject", bucket, key, "");
}

Result<bool> RoleReach::may(std::string_view action, const ReachedBucket& bucket, std::string_view key,
                            std::string_view prefix) const {
    aws::Access access;
    access.action = std::string(action);
    access.resource = "arn:aws:s3:::" + std::string(bucket.name);
    if (!key.empty()) access.resource += "/" + std::string(key);
    if (key.empty()) access.context.emplace_back("s3:prefix", aws::Strings{std::string(prefix)});
    access.resource_account = std::string(bucket.account);
    access.resource_policy = std::string(bucket.policy);
    const aws::Decision decision = TRY(identity_.access().decide_for_role(role_, access));
    return decision.allowed();
}

}  // namespace millwright::resources
