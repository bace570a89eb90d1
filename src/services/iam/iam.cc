#include "services/iam/iam.h"

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
    {"AttachRolePolicy", attach_role_policy},
    {"DetachRolePolicy", detach_role_policy},
    {"ListAttachedRolePolicies", list_attached_role_policies},
    {"PutRolePolicy", put_role_policy},
    {"GetRolePolicy", get_role_policy},
    {"ListRolePolicies", list_role_policies},
    {"DeleteRolePolicy", delete_role_policy},
    {"SimulatePrincipalPolicy", simulate_principal_policy},
    {"CreateUser", create_user},
    {"GetUser", get_user},
    {"ListUsers", list_users},
    {"DeleteUser", delete_user},
    {"CreateAccessKey", create_access_key},
    {"ListAccessKeys", list_access_keys},
    {"DeleteAccessKey", delete_access_key},
};

}  // namespace

aws::Service iam_service(resources::Identity& identity) {
    aws::Service service{
        .signing_name = "iam", .model = "iam", .protocol = aws::Protocol::Query, .operations = {}, .stream = nullptr};
    for (const Entry& entry : kOperations)
        service.operations.push_back(
            {entry.name, [&identity, handle = entry.handle](const aws::Call& call, const Json& input) {
                 return handle(identity, call, input);
             }});
    return service;
}

}  // namespace millwright::services
