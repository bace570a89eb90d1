#include "base/encoding.h"
#include "resources/identity/policy_store.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::Identity;
using resources::Role;

namespace {

Json role_document(const Role& role) {
    Json out = Json::object({{"Path", role.path},
                             {"RoleName", role.name},
                             {"RoleId", role.id},
                             {"Arn", role.arn},
                             {"CreateDate", to_epoch_seconds(role.created)},
                             // IAM's wire form; SDKs decode it.
                             {"AssumeRolePolicyDocument", percent_encode(role.assume_role_policy)},
                             {"MaxSessionDuration", role.max_session_seconds}});
    if (!role.description.empty()) out.set("Description", role.description);
    return out;
}

Json role_with_tags(const Role& role) {
    Json out = role_document(role);
    if (!role.tags.empty()) out.set("Tags", tags_document(role.tags));
    if (!role.boundary.empty()) out.set("PermissionsBoundary", boundary_document(role.boundary));
    return out;
}

}  // namespace

ApiResult<Json> create_role(Identity& identity, const Call& call, const Json& input) {
    resources::NewRole wanted;
    wanted.boundary = input["PermissionsBoundary"].string_or("");
    if (!wanted.boundary.empty())
        if (const auto known = identity.policies().find(call.caller.account, wanted.boundary); !known)
            return iam_error(known.error());
    wanted.name = input["RoleName"].as_string();
    wanted.path = input["Path"].string_or("/");
    wanted.assume_role_policy = input["AssumeRolePolicyDocument"].as_string();
    wanted.description = input["Description"].string_or("");
    wanted.max_session_seconds = input["MaxSessionDuration"].int_or(3600);
    wanted.tags = tags_of(input["Tags"]);
    const auto role = identity.roles().create(call.caller.account, wanted);
    if (!role) return iam_error(role.error());
    return Json::object({{"Role", role_with_tags(*role)}});
}

ApiResult<Json> get_role(Identity& identity, const Call& call, const Json& input) {
    // Lenient here too: SDKs turn a bare role name into an ARN with this call.
    const auto role = identity.find_role(call.caller.account, input["RoleName"].as_string());
    if (!role) return iam_error(role.error());
    return Json::object({{"Role", role_with_tags(*role)}});
}

ApiResult<Json> list_roles(Identity& identity, const Call& call, const Json& input) {
    const auto start = TRY(page_start(input));
    const auto page =
        identity.roles().list(call.caller.account, input["PathPrefix"].string_or("/"), start, page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("Roles", *page, role_document);
}

ApiResult<Json> delete_role(Identity& identity, const Call& call, const Json& input) {
    const auto done = identity.roles().remove(call.caller.account, input["RoleName"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> update_assume_role_policy(Identity& identity, const Call& call, const Json& input) {
    const auto done = identity.roles().set_trust_policy(call.caller.account, input["RoleName"].as_string(),
                                                        input["PolicyDocument"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> tag_role(Identity& identity, const Call& call, const Json& input) {
    const std::string& name = input["RoleName"].as_string();
    const auto role = identity.roles().find(call.caller.account, name);
    if (!role) return iam_error(role.error());
    const auto tags = TRY(with_tags(role->tags, input["Tags"]));
    const auto done = identity.roles().set_tags(call.caller.account, name, tags);
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> untag_role(Identity& identity, const Call& call, const Json& input) {
    const std::string& name = input["RoleName"].as_string();
    const auto role = identity.roles().find(call.caller.account, name);
    if (!role) return iam_error(role.error());
    const auto done = identity.roles().set_tags(call.caller.account, name, without_tags(role->tags, input["TagKeys"]));
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> list_role_tags(Identity& identity, const Call& call, const Json& input) {
    const auto role = identity.roles().find(call.caller.account, input["RoleName"].as_string());
    if (!role) return iam_error(role.error());
    return Json::object({{"Tags", tags_document(role->tags)}, {"IsTruncated", false}});
}

}  // namespace millwright::services
