// The operations of IAM; grouped in files by what they work on.
#pragma once

#include "aws/service.h"
#include "resources/identity/identity.h"

namespace millwright::services {

using IamHandler = aws::ApiResult<Json>(resources::Identity&, const aws::Call&, const Json& input);

// roles.cc
IamHandler create_role, get_role, list_roles, delete_role, update_assume_role_policy, tag_role, untag_role,
    list_role_tags;
// users.cc
IamHandler create_user, get_user, list_users, delete_user, tag_user, untag_user, list_user_tags;
// groups.cc
IamHandler create_group, get_group, list_groups, delete_group, add_user_to_group, remove_user_from_group,
    list_groups_for_user;
// access_keys.cc
IamHandler create_access_key, list_access_keys, delete_access_key;
// managed_policies.cc
IamHandler create_policy, get_policy, list_policies, delete_policy, create_policy_version, get_policy_version,
    list_policy_versions, set_default_policy_version, delete_policy_version, list_entities_for_policy;
// simulation.cc
IamHandler simulate_principal_policy, simulate_custom_policy;

// policies.cc: the policies of roles, users and groups, by the name of the operation ("PutRolePolicy"). Null for
// others.
using IamFunction = aws::ApiResult<Json> (*)(resources::Identity&, const aws::Call&, const Json& input);
IamFunction find_policy_operation(std::string_view name);

// access.cc: what an operation needs. Null for one that is not listed there.
aws::AccessRule iam_access_rule(resources::Identity& identity, std::string_view operation);

}  // namespace millwright::services
