#include "base/encoding.h"
#include "base/strings.h"
#include "resources/identity/aws_policies.h"
#include "resources/identity/policy_store.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::Identity;
using resources::ManagedPolicy;
using resources::PolicyVersion;

namespace {

Json policy_document(const ManagedPolicy& policy) {
    return Json::object({{"PolicyName", policy.name},
                         {"PolicyId", policy.id},
                         {"Arn", policy.arn},
                         {"Path", policy.path},
                         {"DefaultVersionId", "v" + std::to_string(policy.default_version)},
                         {"AttachmentCount", policy.attachments},
                         {"PermissionsBoundaryUsageCount", policy.boundaries},
                         {"IsAttachable", true},
                         {"CreateDate", to_epoch_seconds(policy.created)},
                         {"UpdateDate", to_epoch_seconds(policy.updated)}});
}

Json version_document(const PolicyVersion& version) {
    return Json::object({{"VersionId", "v" + std::to_string(version.number)},
                         {"IsDefaultVersion", version.is_default},
                         {"CreateDate", to_epoch_seconds(version.created)}});
}

ApiResult<int64_t> version_number(const Json& input) {
    const std::string text = input["VersionId"].as_string();  // v1, v2, …; v2.<anything> is of AWS only
    const auto number = text.starts_with("v") ? parse_int(std::string_view(text).substr(1)) : std::nullopt;
    if (!number || *number < 1) return ApiError(404, "NoSuchEntity", "Policy version " + text + " does not exist.");
    return *number;
}

// Of AWS: all at once, they are few.
ApiResult<resources::NamedPage<ManagedPolicy>> policies_of_aws(Identity& identity, const Call& call,
                                                               const std::string& prefix) {
    resources::NamedPage<ManagedPolicy> out;
    for (const auto& known : resources::aws_policies()) {
        auto policy = identity.policies().find(call.caller.account, known.arn);
        if (!policy) return iam_error(policy.error());
        if (policy->path.starts_with(prefix)) out.items.push_back(std::move(*policy));
    }
    return out;
}

}  // namespace

ApiResult<Json> create_policy(Identity& identity, const Call& call, const Json& input) {
    ManagedPolicy wanted;
    wanted.name = input["PolicyName"].as_string();
    wanted.path = input["Path"].string_or("/");
    wanted.description = input["Description"].string_or("");
    wanted.tags = tags_of(input["Tags"]);
    const auto policy = identity.policies().create(call.caller.account, wanted, input["PolicyDocument"].as_string());
    if (!policy) return iam_error(policy.error());
    Json answer = policy_document(*policy);
    if (!policy->tags.empty()) answer.set("Tags", tags_document(policy->tags));
    return Json::object({{"Policy", std::move(answer)}});
}

ApiResult<Json> get_policy(Identity& identity, const Call& call, const Json& input) {
    const auto policy = identity.policies().find(call.caller.account, input["PolicyArn"].as_string());
    if (!policy) return iam_error(policy.error());
    Json answer = policy_document(*policy);
    if (!policy->description.empty()) answer.set("Description", policy->description);
    answer.set("Tags", tags_document(policy->tags));
    return Json::object({{"Policy", std::move(answer)}});
}

// The customer's first, then those of AWS, which are on the last page together.
ApiResult<Json> list_policies(Identity& identity, const Call& call, const Json& input) {
    const std::string scope = input["Scope"].string_or("All"), prefix = input["PathPrefix"].string_or("/");
    if (input["PolicyUsageFilter"].string_or("PermissionsPolicy") != "PermissionsPolicy")
        return ApiError(400, "InvalidInput", "Millwright does not support PolicyUsageFilter of ListPolicies yet.");
    const std::string start = TRY(page_start(input));
    resources::NamedPage<ManagedPolicy> page;
    if (scope != "AWS") {
        auto own = identity.policies().list(call.caller.account, prefix, start, page_size(input));
        if (!own) return iam_error(own.error());
        page = std::move(*own);
    }
    if (scope != "Local" && page.last.empty()) {
        auto of_aws = TRY(policies_of_aws(identity, call, prefix));
        for (ManagedPolicy& policy : of_aws.items) page.items.push_back(std::move(policy));
    }
    if (input["OnlyAttached"].bool_or(false))
        std::erase_if(page.items, [](const ManagedPolicy& policy) { return policy.attachments == 0; });
    return page_document("Policies", page, policy_document);
}

ApiResult<Json> delete_policy(Identity& identity, const Call& call, const Json& input) {
    const auto done = identity.policies().remove(call.caller.account, input["PolicyArn"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> create_policy_version(Identity& identity, const Call& call, const Json& input) {
    const auto version =
        identity.policies().create_version(call.caller.account, input["PolicyArn"].as_string(),
                                           input["PolicyDocument"].as_string(), input["SetAsDefault"].bool_or(false));
    if (!version) return iam_error(version.error());
    return Json::object({{"PolicyVersion", version_document(*version)}});
}

ApiResult<Json> get_policy_version(Identity& identity, const Call& call, const Json& input) {
    const int64_t number = TRY(version_number(input));
    const auto version = identity.policies().version(call.caller.account, input["PolicyArn"].as_string(), number);
    if (!version) return iam_error(version.error());
    Json answer = version_document(*version);
    answer.set("Document", percent_encode(version->document));
    return Json::object({{"PolicyVersion", std::move(answer)}});
}

ApiResult<Json> list_policy_versions(Identity& identity, const Call& call, const Json& input) {
    const auto versions = identity.policies().versions(call.caller.account, input["PolicyArn"].as_string());
    if (!versions) return iam_error(versions.error());
    return page_document("Versions", resources::NamedPage<PolicyVersion>{*versions, ""}, version_document);
}

ApiResult<Json> set_default_policy_version(Identity& identity, const Call& call, const Json& input) {
    const int64_t number = TRY(version_number(input));
    const auto done =
        identity.policies().set_default_version(call.caller.account, input["PolicyArn"].as_string(), number);
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> delete_policy_version(Identity& identity, const Call& call, const Json& input) {
    const int64_t number = TRY(version_number(input));
    const auto done = identity.policies().remove_version(call.caller.account, input["PolicyArn"].as_string(), number);
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> list_entities_for_policy(Identity& identity, const Call& call, const Json& input) {
    for (const char* member : {"EntityFilter", "PathPrefix", "PolicyUsageFilter"})
        if (input.has(member))
            return ApiError(400, "InvalidInput",
                            std::string("Millwright does not support ") + member + " of ListEntitiesForPolicy yet.");
    const auto holders = identity.policies().holders_of(call.caller.account, input["PolicyArn"].as_string());
    if (!holders) return iam_error(holders.error());
    const auto listed = [](const auto& entities, const std::string& name, const std::string& id) {
        Json out = Json::array();
        for (const auto& entity : entities) out.push_back(Json::object({{name, entity.first}, {id, entity.second}}));
        return out;
    };
    return Json::object({{"PolicyRoles", listed(holders->roles, "RoleName", "RoleId")},
                         {"PolicyUsers", listed(holders->users, "UserName", "UserId")},
                         {"PolicyGroups", listed(holders->groups, "GroupName", "GroupId")},
                         {"IsTruncated", false}});
}

}  // namespace millwright::services
