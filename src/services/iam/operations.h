// The operations of IAM; grouped in files by what they work on.
#pragma once

#include "aws/service.h"
#include "resources/identity/identity.h"

namespace millwright::services {

using IamHandler = aws::ApiResult<Json>(resources::Identity&, const aws::Call&, const Json& input);

// roles.cc
IamHandler create_role, get_role, list_roles, delete_role, update_assume_role_policy;
// policies.cc
IamHandler attach_role_policy, detach_role_policy, list_attached_role_policies, put_role_policy, get_role_policy,
    list_role_policies, delete_role_policy, simulate_principal_policy;
// users.cc
IamHandler create_user, get_user, list_users, delete_user;
// access_keys.cc
IamHandler create_access_key, list_access_keys, delete_access_key;

}  // namespace millwright::services
