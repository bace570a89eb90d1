#include "services/sts/sts.h"

#include "resources/identity/policy.h"
#include "resources/identity/role_store.h"

namespace millwright::services {
namespace {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::Identity;
using resources::Role;

constexpr int64_t kChainedSessionSeconds = 3600;  // AWS's limit when an assumed role assumes another
constexpr int64_t kLongestSessionToken = 36 * 3600;

ApiError validation_error(std::string text) { return {400, "ValidationError", std::move(text)}; }

ApiError not_offered(std::string_view member, std::string_view operation) {
    return validation_error("Millwright does not support " + std::string(member) + " of " + std::string(operation) +
                            " yet.");
}

// The SDKs take the role of a session out of this ARN and refuse a user or the account root, so the root key
// pair presents itself as a session of the default role.
Json identity_document(const Identity& identity, const aws::Caller& caller) {
    std::string arn = caller.arn;
    if (caller.access_key_id == identity.root().access_key_id || arn.ends_with(":root"))
        arn = "arn:aws:sts::" + caller.account + ":assumed-role/" + std::string(resources::kDefaultRoleName) + "/root";
    return Json::object({{"UserId", caller.user_id}, {"Account", caller.account}, {"Arn", arn}});
}

Json credentials_document(const resources::TemporaryCredentials& keys) {
    return Json::object({{"AccessKeyId", keys.access_key_id},
                         {"SecretAccessKey", keys.secret_access_key},
                         {"SessionToken", keys.session_token},
                         {"Expiration", to_epoch_seconds(keys.expires)}});
}

ApiError may_not_assume(const Call& call, std::string_view role_arn) {
    return {403, "AccessDenied",
            "User: " + call.caller.arn +
                " is not authorized to perform: sts:AssumeRole on resource: " + std::string(role_arn)};
}

ApiResult<int64_t> session_seconds(const Call& call, const Role& role, const Json& input) {
    const int64_t wanted = input["DurationSeconds"].int_or(std::min<int64_t>(3600, role.max_session_seconds));
    if (wanted > role.max_session_seconds)
        return validation_error("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    const bool chained = call.caller.arn.find(":assumed-role/") != std::string::npos;
    if (chained && wanted > kChainedSessionSeconds)
        return validation_error(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
            "chaining.");
    return wanted;
}

ApiResult<Json> assume_role(Identity& identity, const Call& call, const Json& input) {
    // Each of these narrows or describes a session; ignoring one would hand out more than was asked for.
    for (const std::string_view member : {"Policy", "PolicyArns", "Tags", "TransitiveTagKeys", "SerialNumber",
                                          "TokenCode", "SourceIdentity", "ProvidedContexts"})
        if (input.has(member)) return not_offered(member, "AssumeRole");
    const std::string& arn = input["RoleArn"].as_string();
    if (arn.find(':') == arn.npos) return validation_error(arn + " is invalid");
    const auto role = identity.resolve_role(call.caller.account, arn);
    if (!role && role.error().kind == ErrorKind::InvalidInput) return validation_error(arn + " is invalid");
    if (!role && role.error().kind == ErrorKind::NotFound) return may_not_assume(call, arn);
    if (!role) return ApiError(role.error());
    const auto trust = resources::parse_policy(role->assume_role_policy, resources::PolicyKind::Trust);
    if (!trust || !resources::trust_allows(*trust, call.caller.arn, call.caller.account))
        return may_not_assume(call, arn);
    const int64_t seconds = TRY(session_seconds(call, *role, input));
    const auto keys =
        TRY(identity.assume_role(*role, input["RoleSessionName"].as_string(), std::chrono::seconds(seconds)));
    return Json::object(
        {{"Credentials", credentials_document(keys)},
         {"AssumedRoleUser", Json::object({{"AssumedRoleId", keys.assumed_role_id}, {"Arn", keys.assumed_role_arn}})}});
}

ApiResult<Json> get_session_token(Identity& identity, const Call& call, const Json& input) {
    for (const std::string_view member : {"SerialNumber", "TokenCode"})
        if (input.has(member)) return not_offered(member, "GetSessionToken");
    if (call.caller.access_key_id.starts_with("ASIA"))
        return ApiError(403, "AccessDenied", "Cannot call GetSessionToken with session credentials");
    const int64_t seconds = std::min(input["DurationSeconds"].int_or(12 * 3600), kLongestSessionToken);
    const auto keys = TRY(identity.session_for(call.caller, std::chrono::seconds(seconds)));
    return Json::object({{"Credentials", credentials_document(keys)}});
}

ApiResult<Json> get_access_key_info(const Identity& identity, const Json& input) {
    const auto credential = identity.find_credential(input["AccessKeyId"].as_string());
    if (!credential) return validation_error("The access key ID provided does not exist in our records.");
    return Json::object({{"Account", credential->caller.account}});
}

}  // namespace

aws::Service sts_service(Identity& identity) {
    aws::Service service{
        .signing_name = "sts", .model = "sts", .protocol = aws::Protocol::Query, .operations = {}, .stream = nullptr};
    service.operations = {
        {"GetCallerIdentity",
         [&identity](const Call& call, const Json&) -> ApiResult<Json> {
             return identity_document(identity, call.caller);
         }},
        {"AssumeRole", [&identity](const Call& call, const Json& input) { return assume_role(identity, call, input); }},
        {"GetSessionToken",
         [&identity](const Call& call, const Json& input) { return get_session_token(identity, call, input); }},
        {"GetAccessKeyInfo",
         [&identity](const Call&, const Json& input) { return get_access_key_info(identity, input); }},
    };
    return service;
}

}  // namespace millwright::services
