// What each operation of IAM needs: its action on the thing it names, with the condition keys of IAM.
#include "base/strings.h"
#include "resources/identity/access_control.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {
namespace {

using aws::Access;
using aws::ApiResult;
using aws::Call;
using resources::Identity;

// What an operation is about, and which member names it.
enum class Target {
    Role,       // RoleName
    User,       // UserName, else whoever calls
    Group,      // GroupName
    Policy,     // PolicyArn
    NewPolicy,  // PolicyName
    Source,     // PolicySourceArn
    Roles,      // all below PathPrefix
    Users,
    Groups,
    Policies,
    Anything,  // "*"
};

struct Row {
    std::string_view operation;
    Target target;
};

constexpr Row kRows[] = {
    {"CreateRole", Target::Role},
    {"GetRole", Target::Role},
    {"DeleteRole", Target::Role},
    {"UpdateAssumeRolePolicy", Target::Role},
    {"TagRole", Target::Role},
    {"UntagRole", Target::Role},
    {"ListRoleTags", Target::Role},
    {"AttachRolePolicy", Target::Role},
    {"DetachRolePolicy", Target::Role},
    {"ListAttachedRolePolicies", Target::Role},
    {"PutRolePolicy", Target::Role},
    {"GetRolePolicy", Target::Role},
    {"ListRolePolicies", Target::Role},
    {"DeleteRolePolicy", Target::Role},
    {"PutRolePermissionsBoundary", Target::Role},
    {"DeleteRolePermissionsBoundary", Target::Role},
    {"ListRoles", Target::Roles},

    {"CreateUser", Target::User},
    {"GetUser", Target::User},
    {"DeleteUser", Target::User},
    {"TagUser", Target::User},
    {"UntagUser", Target::User},
    {"ListUserTags", Target::User},
    {"AttachUserPolicy", Target::User},
    {"DetachUserPolicy", Target::User},
    {"ListAttachedUserPolicies", Target::User},
    {"PutUserPolicy", Target::User},
    {"GetUserPolicy", Target::User},
    {"ListUserPolicies", Target::User},
    {"DeleteUserPolicy", Target::User},
    {"PutUserPermissionsBoundary", Target::User},
    {"DeleteUserPermissionsBoundary", Target::User},
    {"CreateAccessKey", Target::User},
    {"ListAccessKeys", Target::User},
    {"DeleteAccessKey", Target::User},
    {"ListGroupsForUser", Target::User},
    {"ListUsers", Target::Users},

    {"CreateGroup", Target::Group},
    {"GetGroup", Target::Group},
    {"DeleteGroup", Target::Group},
    {"AddUserToGroup", Target::Group},
    {"RemoveUserFromGroup", Target::Group},
    {"AttachGroupPolicy", Target::Group},
    {"DetachGroupPolicy", Target::Group},
    {"ListAttachedGroupPolicies", Target::Group},
    {"PutGroupPolicy", Target::Group},
    {"GetGroupPolicy", Target::Group},
    {"ListGroupPolicies", Target::Group},
    {"DeleteGroupPolicy", Target::Group},
    {"ListGroups", Target::Groups},

    {"CreatePolicy", Target::NewPolicy},
    {"GetPolicy", Target::Policy},
    {"DeletePolicy", Target::Policy},
    {"CreatePolicyVersion", Target::Policy},
    {"GetPolicyVersion", Target::Policy},
    {"ListPolicyVersions", Target::Policy},
    {"SetDefaultPolicyVersion", Target::Policy},
    {"DeletePolicyVersion", Target::Policy},
    {"ListEntitiesForPolicy", Target::Policy},
    {"ListPolicies", Target::Policies},

    {"SimulatePrincipalPolicy", Target::Source},
    {"SimulateCustomPolicy", Target::Anything},
};

using Tags = std::vector<std::pair<std::string, std::string>>;

// iam:ResourceTag/… and aws:ResourceTag/… of what was found.
void add_tags(Access& access, const Tags& tags) {
    for (const auto& [key, value] : tags)
        for (const char* prefix : {"iam:resourcetag/", "aws:resourcetag/"})
            access.context.emplace_back(prefix + to_lower(key), aws::Strings{value});
}

std::string iam_arn(const Call& call, std::string_view rest) {
    return "arn:aws:iam::" + call.caller.account + ":" + std::string(rest);
}

// ARNs have paths, which only the thing itself tells.
void set_role(Identity& identity, const Call& call, const Json& input, Access& access) {
    const std::string& name = input["RoleName"].as_string();
    const bool created = access.action == "iam:CreateRole";
    access.resource = iam_arn(call, "role" + (created ? input["Path"].string_or("/") : "/") + name);
    if (created) return;
    const auto role = access.action == "iam:GetRole" ? identity.find_role(call.caller.account, name)
                                                     : identity.roles().find(call.caller.account, name);
    if (!role) return;
    access.resource = role->arn;
    add_tags(access, role->tags);
    if (!role->boundary.empty()) access.context.emplace_back("iam:permissionsboundary", aws::Strings{role->boundary});
}

ApiResult<void> set_user(Identity& identity, const Call& call, const Json& input, Access& access) {
    const bool created = access.action == "iam:CreateUser";
    const std::string name = TRY(user_meant(call, input));
    access.resource = iam_arn(call, "user" + (created ? input["Path"].string_or("/") : "/") + name);
    if (created) return {};
    const auto user = identity.users().find(call.caller.account, name);
    if (!user) return {};
    access.resource = user->arn;
    add_tags(access, user->tags);
    if (!user->boundary.empty()) access.context.emplace_back("iam:permissionsboundary", aws::Strings{user->boundary});
    return {};
}

void set_group(Identity& identity, const Call& call, const Json& input, Access& access) {
    const std::string& name = input["GroupName"].as_string();
    const bool created = access.action == "iam:CreateGroup";
    access.resource = iam_arn(call, "group" + (created ? input["Path"].string_or("/") : "/") + name);
    if (created) return;
    if (const auto group = identity.groups().find(call.caller.account, name)) access.resource = group->arn;
}

void add_request_keys(const Json& input, Access& access) {
    if (input.has("PolicyArn") &&
        (access.action.find("Attach") != std::string::npos || access.action.find("Detach") != std::string::npos))
        access.context.emplace_back("iam:policyarn", aws::Strings{input["PolicyArn"].string_or("")});
    if (input.has("PermissionsBoundary")) {
        // The one asked for, not the one that is there.
        std::erase_if(access.context, [](const auto& key) { return key.first == "iam:permissionsboundary"; });
        access.context.emplace_back("iam:permissionsboundary",
                                    aws::Strings{input["PermissionsBoundary"].string_or("")});
    }
    aws::Strings keys;
    for (const Json& tag : input["Tags"].items()) {
        keys.push_back(tag["Key"].string_or(""));
        access.context.emplace_back("aws:requesttag/" + to_lower(keys.back()),
                                    aws::Strings{tag["Value"].string_or("")});
    }
    for (const Json& key : input["TagKeys"].items()) keys.push_back(key.string_or(""));
    if (!keys.empty()) access.context.emplace_back("aws:tagkeys", std::move(keys));
}

ApiResult<std::vector<Access>> needed(Identity& identity, const Row& row, const Call& call, const Json& input) {
    Access access;
    access.action = "iam:" + std::string(row.operation);
    const std::string prefix = input["PathPrefix"].string_or("/");
    switch (row.target) {
        case Target::Role:
            set_role(identity, call, input, access);
            break;
        case Target::User:
            TRY(set_user(identity, call, input, access));
            break;
        case Target::Group:
            set_group(identity, call, input, access);
            break;
        case Target::Policy:
            access.resource = input["PolicyArn"].as_string();
            break;
        case Target::NewPolicy:
            access.resource = iam_arn(call, "policy" + input["Path"].string_or("/") + input["PolicyName"].as_string());
            break;
        case Target::Source:
            access.resource = input["PolicySourceArn"].as_string();
            break;
        case Target::Roles:
            access.resource = iam_arn(call, "role" + prefix);
            break;
        case Target::Users:
            access.resource = iam_arn(call, "user" + prefix);
            break;
        case Target::Groups:
            access.resource = iam_arn(call, "group" + prefix);
            break;
        case Target::Policies:
            access.resource = iam_arn(call, "policy" + prefix);
            break;
        case Target::Anything:
            break;
    }
    add_request_keys(input, access);
    std::vector<Access> out;
    // Tags at birth need the permission to tag too.
    if (row.operation.starts_with("Create") && input["Tags"].size() > 0) {
        out.push_back(access);
        out.back().action = "iam:Tag" + std::string(row.operation.substr(6));
    }
    out.insert(out.begin(), std::move(access));
    return out;
}

}  // namespace

aws::AccessRule iam_access_rule(Identity& identity, std::string_view operation) {
    for (const Row& row : kRows)
        if (row.operation == operation)
            return
                [&identity, &row](const Call& call, const Json& input) { return needed(identity, row, call, input); };
    return nullptr;
}

}  // namespace millwright::services
