#include "base/encoding.h"
#include "base/strings.h"
#include "resources/identity/user_store.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::Identity;

ApiResult<Json> attach_role_policy(Identity& identity, const Call& call, const Json& input) {
    const auto done =
        identity.roles().attach(call.caller.account, input["RoleName"].as_string(), input["PolicyArn"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> detach_role_policy(Identity& identity, const Call& call, const Json& input) {
    const auto done =
        identity.roles().detach(call.caller.account, input["RoleName"].as_string(), input["PolicyArn"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> list_attached_role_policies(Identity& identity, const Call& call, const Json& input) {
    if (input["PathPrefix"].string_or("/") != "/")
        return ApiError(400, "InvalidInput", "Millwright does not support PathPrefix of ListAttachedRolePolicies yet.");
    const auto page = identity.roles().attached(call.caller.account, input["RoleName"].as_string(),
                                                TRY(page_start(input)), page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("AttachedPolicies", *page, [](const std::string& arn) {
        return Json::object({{"PolicyName", arn.substr(arn.rfind('/') + 1)}, {"PolicyArn", arn}});
    });
}

ApiResult<Json> put_role_policy(Identity& identity, const Call& call, const Json& input) {
    const auto done = identity.roles().put_policy(call.caller.account, input["RoleName"].as_string(),
                                                  input["PolicyName"].as_string(), input["PolicyDocument"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> get_role_policy(Identity& identity, const Call& call, const Json& input) {
    const std::string& role = input["RoleName"].as_string();
    const std::string& policy = input["PolicyName"].as_string();
    const auto document = identity.roles().get_policy(call.caller.account, role, policy);
    if (!document) return iam_error(document.error());
    return Json::object({{"RoleName", role}, {"PolicyName", policy}, {"PolicyDocument", percent_encode(*document)}});
}

ApiResult<Json> list_role_policies(Identity& identity, const Call& call, const Json& input) {
    const auto page = identity.roles().list_policies(call.caller.account, input["RoleName"].as_string(),
                                                     TRY(page_start(input)), page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("PolicyNames", *page, [](const std::string& name) { return Json(name); });
}

ApiResult<Json> delete_role_policy(Identity& identity, const Call& call, const Json& input) {
    const auto done = identity.roles().remove_policy(call.caller.account, input["RoleName"].as_string(),
                                                     input["PolicyName"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

namespace {

ApiResult<void> require_principal(Identity& identity, const Call& call, const std::string& arn) {
    const std::vector<std::string_view> parts = split(arn, ':');
    const std::string_view name = std::string_view(arn).substr(arn.rfind('/') + 1);
    if (parts.size() == 6 && parts[2] == "iam" && parts[5].starts_with("user/")) {
        const auto user = identity.users().find(call.caller.account, name);
        if (!user) return iam_error(user.error());
        return {};
    }
    if (parts.size() != 6 || parts[2] != "iam" || !parts[5].starts_with("role/"))
        return ApiError(400, "InvalidInput",
                        "Invalid Entity Arn: " + arn + " does not clearly define entity type and name.");
    const auto role = identity.resolve_role(call.caller.account, arn);
    if (!role) return iam_error(role.error());
    return {};
}

}  // namespace

// Answers what would really happen: nothing is denied while policies are not evaluated.
ApiResult<Json> simulate_principal_policy(Identity& identity, const Call& call, const Json& input) {
    TRY(require_principal(identity, call, input["PolicySourceArn"].as_string()));
    Json results = Json::array();
    const Json any = Json::array({Json("*")});
    const Json& resources = input["ResourceArns"].size() > 0 ? input["ResourceArns"] : any;
    for (const Json& action : input["ActionNames"].items())
        for (const Json& resource : resources.items())
            results.push_back(Json::object(
                {{"EvalActionName", action}, {"EvalResourceName", resource}, {"EvalDecision", "allowed"}}));
    return Json::object({{"EvaluationResults", std::move(results)}, {"IsTruncated", false}});
}

}  // namespace millwright::services
