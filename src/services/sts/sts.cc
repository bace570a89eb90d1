#include "services/sts/sts.h"

#include <set>

#include "base/strings.h"
#include "resources/identity/policy.h"
#include "resources/identity/policy_store.h"
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
constexpr int64_t kLongestOfRoot = 3600;

ApiError validation_error(std::string text) { return {400, "ValidationError", std::move(text)}; }

ApiError not_offered(std::string_view member, std::string_view operation) {
    return validation_error("Millwright does not support " + std::string(member) + " of " + std::string(operation) +
                            " yet.");
}

// The SDKs take the role of a session out of this ARN and refuse a user or the account root, so the root key
// pair presents itself as a session of the default role.
Json identity_document(const aws::Caller& caller) {
    std::string arn = caller.arn;
    if (arn.ends_with(":root"))
        arn = "arn:aws:sts::" + caller.account + ":assumed-role/" + std::string(resources::kDefaultRoleName) + "/root";
    return Json::object({{"UserId", caller.user_id}, {"Account", caller.account}, {"Arn", arn}});
}

Json credentials_document(const resources::TemporaryCredentials& keys) {
    return Json::object({{"AccessKeyId", keys.access_key_id},
                         {"SecretAccessKey", keys.secret_access_key},
                         {"SessionToken", keys.session_token},
                         {"Expiration", to_epoch_seconds(keys.expires)}});
}

// The documents that narrow a session: those given, and managed policies of the account.
ApiResult<void> read_session_policies(Identity& identity, const std::string& account, const Json& input,
                                      resources::SessionLimits& limits) {
    if (!input.has("Policy") && !input.has("PolicyArns")) return {};
    limits.policies.emplace();
    if (input.has("Policy")) {
        const std::string& document = input["Policy"].as_string();
        const auto parsed = resources::parse_policy(document, resources::PolicyKind::Permission);
        if (!parsed) return ApiError(400, "MalformedPolicyDocument", parsed.error().message);
        limits.policies->push_back(document);
    }
    for (const Json& policy : input["PolicyArns"].items()) {
        const std::string arn = policy["arn"].string_or("");
        auto document = identity.policies().document_of(account, arn);
        if (!document) return validation_error("The policy " + arn + " does not exist or is not attachable.");
        limits.policies->push_back(std::move(*document));
    }
    return {};
}

ApiResult<void> read_session_tags(const Json& input, resources::SessionLimits& limits) {
    std::set<std::string> seen;
    for (const Json& tag : input["Tags"].items()) {
        const std::string key = tag["Key"].string_or("");
        if (!seen.insert(to_lower(key)).second)
            return ApiError(400, "InvalidParameterValue",
                            "Duplicate tag keys found. Please note that Tag keys are "
                            "case insensitive.");
        limits.tags.emplace_back(key, tag["Value"].string_or(""));
    }
    return {};
}

void add_tag_keys(const Json& input, aws::Access& access) {
    aws::Strings keys;
    for (const Json& tag : input["Tags"].items()) {
        keys.push_back(tag["Key"].string_or(""));
        access.context.emplace_back("aws:requesttag/" + to_lower(keys.back()),
                                    aws::Strings{tag["Value"].string_or("")});
    }
    if (!keys.empty()) access.context.emplace_back("aws:tagkeys", std::move(keys));
}

// The trust policy speaks as the policy of the role.
ApiResult<std::vector<aws::Access>> assume_role_access(Identity& identity, const Call& call, const Json& input) {
    const std::string& arn = input["RoleArn"].as_string();
    if (arn.find(':') == arn.npos) return validation_error(arn + " is invalid");
    const auto role = identity.find_assumable_role(call.caller.account, arn);
    if (!role && role.error().kind == ErrorKind::InvalidInput) return validation_error(arn + " is invalid");
    if (!role && role.error().kind != ErrorKind::NotFound) return ApiError(role.error());
    aws::Access access;
    access.action = "sts:AssumeRole";
    access.resource = arn;
    access.resource_policy_must_allow = true;
    if (role) {
        access.resource = role->arn;
        access.resource_policy = role->assume_role_policy;
        access.resource_account = role->account();
        for (const auto& [key, value] : role->tags)
            for (const char* prefix : {"iam:resourcetag/", "aws:resourcetag/"})
                access.context.emplace_back(prefix + to_lower(key), aws::Strings{value});
    }
    access.context.emplace_back("sts:rolesessionname", aws::Strings{input["RoleSessionName"].string_or("")});
    if (input.has("ExternalId"))
        access.context.emplace_back("sts:externalid", aws::Strings{input["ExternalId"].string_or("")});
    add_tag_keys(input, access);
    std::vector<aws::Access> out = {access};
    if (input["Tags"].size() > 0) {
        access.action = "sts:TagSession";
        out.push_back(std::move(access));
    }
    return out;
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
    // Each of these marks a session; ignoring one would hand out more than was asked for.
    for (const std::string_view member :
         {"TransitiveTagKeys", "SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts"})
        if (input.has(member)) return not_offered(member, "AssumeRole");
    const auto role = TRY(identity.find_assumable_role(call.caller.account, input["RoleArn"].as_string()));
    resources::SessionLimits limits;
    TRY(read_session_policies(identity, role.account(), input, limits));
    TRY(read_session_tags(input, limits));
    const int64_t seconds = TRY(session_seconds(call, role, input));
    const auto keys =
        TRY(identity.assume_role(role, input["RoleSessionName"].as_string(), std::chrono::seconds(seconds), limits));
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

ApiResult<Json> get_federation_token(Identity& identity, const Call& call, const Json& input) {
    if (call.caller.access_key_id.starts_with("ASIA"))
        return ApiError(403, "AccessDenied", "Cannot call GetFederationToken with session credentials");
    const std::string& name = input["Name"].as_string();
    // Without a policy a federated user may do only what policies of resources grant it.
    resources::SessionLimits limits{.policies = std::vector<std::string>(), .tags = {}};
    TRY(read_session_policies(identity, call.caller.account, input, limits));
    TRY(read_session_tags(input, limits));
    const bool root = call.caller.arn.ends_with(":root");
    const int64_t longest = root ? kLongestOfRoot : kLongestSessionToken;
    const int64_t seconds = std::min(input["DurationSeconds"].int_or(12 * 3600), longest);
    const auto keys = TRY(identity.federate(call.caller, name, std::chrono::seconds(seconds), limits));
    return Json::object(
        {{"Credentials", credentials_document(keys)},
         {"FederatedUser", Json::object({{"FederatedUserId", keys.assumed_role_id}, {"Arn", keys.assumed_role_arn}})}});
}

ApiResult<std::vector<aws::Access>> federation_access(const Call& call, const Json& input) {
    aws::Access access;
    access.action = "sts:GetFederationToken";
    access.resource = "arn:aws:sts::" + call.caller.account + ":federated-user/" + input["Name"].string_or("");
    add_tag_keys(input, access);
    return std::vector<aws::Access>{std::move(access)};
}

ApiResult<std::vector<aws::Access>> nothing_needed(const Call&, const Json&) { return std::vector<aws::Access>(); }

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
         [](const Call& call, const Json&) -> ApiResult<Json> { return identity_document(call.caller); },
         nothing_needed},
        {"AssumeRole", [&identity](const Call& call, const Json& input) { return assume_role(identity, call, input); },
         [&identity](const Call& call, const Json& input) { return assume_role_access(identity, call, input); }},
        {"GetSessionToken",
         [&identity](const Call& call, const Json& input) { return get_session_token(identity, call, input); },
         nothing_needed},
        {"GetFederationToken",
         [&identity](const Call& call, const Json& input) { return get_federation_token(identity, call, input); },
         federation_access},
        {"GetAccessKeyInfo",
         [&identity](const Call&, const Json& input) { return get_access_key_info(identity, input); },
         [](const Call&, const Json&) -> ApiResult<std::vector<aws::Access>> {
             return std::vector<aws::Access>{{.action = "sts:GetAccessKeyInfo"}};
         }},
    };
    return service;
}

}  // namespace millwright::services
