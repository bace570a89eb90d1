#include "services/iam/iam.h"

#include "base/check.h"
#include "services/iam/operations.h"

namespace millwright::services {
namespace {

struct Entry {
    std::string_view name;
    IamHandler* handle;
};

constexpr Entry kOperations[] = {
    {"CreateRole", create_role},
    {"GetRole", get_role},
    {"ListRoles", list_roles},
    {"DeleteRole", delete_role},
    {"UpdateAssumeRolePolicy", update_assume_role_policy},
    {"TagRole", tag_role},
    {"UntagRole", untag_role},
    {"ListRoleTags", list_role_tags},

    {"CreateUser", create_user},
    {"GetUser", get_user},
    {"ListUsers", list_users},
    {"DeleteUser", delete_user},
    {"TagUser", tag_user},
    {"UntagUser", untag_user},
    {"ListUserTags", list_user_tags},
    {"CreateAccessKey", create_access_key},
    {"ListAccessKeys", list_access_keys},
    {"DeleteAccessKey", delete_access_key},

    {"CreateGroup", create_group},
    {"GetGroup", get_group},
    {"ListGroups", list_groups},
    {"DeleteGroup", delete_group},
    {"AddUserToGroup", add_user_to_group},
    {"RemoveUserFromGroup", remove_user_from_group},
    {"ListGroupsForUser", list_groups_for_user},

    {"CreatePolicy", create_policy},
    {"GetPolicy", get_policy},
    {"ListPolicies", list_policies},
    {"DeletePolicy", delete_policy},
    {"CreatePolicyVersion", create_policy_version},
    {"GetPolicyVersion", get_policy_version},
    {"ListPolicyVersions", list_policy_versions},
    {"SetDefaultPolicyVersion", set_default_policy_version},
    {"DeletePolicyVersion", delete_policy_version},
    {"ListEntitiesForPolicy", list_entities_for_policy},

    {"SimulatePrincipalPolicy", simulate_principal_policy},
    {"SimulateCustomPolicy", simulate_custom_policy},
};

// The policies of roles, users and groups: the same for each of them.
constexpr std::string_view kPolicyOperations[] = {
    "AttachRolePolicy",
    "DetachRolePolicy",
    "ListAttachedRolePolicies",
    "PutRolePolicy",
    "GetRolePolicy",
    "ListRolePolicies",
    "DeleteRolePolicy",
    "PutRolePermissionsBoundary",
    "DeleteRolePermissionsBoundary",
    "AttachUserPolicy",
    "DetachUserPolicy",
    "ListAttachedUserPolicies",
    "PutUserPolicy",
    "GetUserPolicy",
    "ListUserPolicies",
    "DeleteUserPolicy",
    "PutUserPermissionsBoundary",
    "DeleteUserPermissionsBoundary",
    "AttachGroupPolicy",
    "DetachGroupPolicy",
    "ListAttachedGroupPolicies",
    "PutGroupPolicy",
    "GetGroupPolicy",
    "ListGroupPolicies",
    "DeleteGroupPolicy",
};

}  // namespace

aws::Service iam_service(resources::Identity& identity) {
    aws::Service service{
        .signing_name = "iam", .model = "iam", .protocol = aws::Protocol::Query, .operations = {}, .stream = nullptr};
    const auto add = [&](std::string_view name, IamFunction handle) {
        CHECK(handle);
        service.operations.push_back(
            {name,
             [&identity, handle](const aws::Call& call, const Json& input) { return handle(identity, call, input); },
             iam_access_rule(identity, name)});
    };
    for (const Entry& entry : kOperations) add(entry.name, entry.handle);
    for (const std::string_view name : kPolicyOperations) add(name, find_policy_operation(name));
    return service;
}

}  // namespace millwright::services
