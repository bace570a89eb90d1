// The engine that judges requests, asked about requests that nobody made.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "resources/identity/access_control.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using aws::Decision;
using resources::Identity;
using resources::PolicyKind;
using resources::PolicyPtr;
using resources::Profile;

namespace {

// The keys that the caller gives, then what is known of the principal. Remembers what was asked for in vain.
class SimulatedContext final : public resources::RequestContext {
  public:
    SimulatedContext(const Json& entries, const Profile& profile, const Clock& clock) : profile_(profile) {
        for (const Json& entry : entries.items()) {
            std::vector<std::string> values;
            for (const Json& value : entry["ContextKeyValues"].items()) values.push_back(value.string_or(""));
            entries_.emplace_back(to_lower(entry["ContextKeyName"].string_or("")), std::move(values));
        }
        now_ = format_iso8601(clock.now());
    }

    std::optional<std::vector<std::string>> find(std::string_view key) const override {
        for (const auto& [name, values] : entries_)
            if (name == key) return values;
        const std::string known = find_known(key);
        if (!known.empty()) return std::vector<std::string>{known};
        missing_.insert(std::string(key));
        return std::nullopt;
    }
    const std::set<std::string>& missing() const { return missing_; }

  private:
    std::string find_known(std::string_view key) const {
        const auto& asker = profile_.authority.asker;
        if (key == "aws:username") return profile_.user_name;
        if (key == "aws:userid") return profile_.user_id;
        if (key == "aws:principalarn") return asker.arn;
        if (key == "aws:principalaccount") return asker.account;
        if (key == "aws:currenttime") return now_;
        constexpr std::string_view kTag = "aws:principaltag/";
        if (key.starts_with(kTag))
            for (const auto& [name, value] : profile_.tags)
                if (equals_ignoring_case(name, key.substr(kTag.size()))) return value;
        return "";
    }

    const Profile& profile_;
    std::string now_;
    std::vector<std::pair<std::string, std::vector<std::string>>> entries_;
    mutable std::set<std::string> missing_;
};

std::string_view decision_word(const Decision& decision) {
    using Because = Decision::Because;
    switch (decision.because) {
        case Because::Allowed:
            return "allowed";
        case Because::DeniedByIdentityPolicy:
        case Because::DeniedByResourcePolicy:
        case Because::DeniedByPermissionsBoundary:
        case Because::DeniedBySessionPolicy:
            return "explicitDeny";
        default:
            return "implicitDeny";
    }
}

struct Simulation {
    Profile profile;
    PolicyPtr resource_policy;  // null without one
    std::string resource_account;
};

ApiResult<std::vector<PolicyPtr>> compile(const Json& documents) {
    std::vector<PolicyPtr> out;
    for (const Json& document : documents.items()) {
        auto policy = resources::parse_policy(document.string_or(""), PolicyKind::Permission);
        if (!policy) return ApiError(400, "InvalidInput", policy.error().message);
        out.push_back(std::move(*policy));
    }
    return out;
}

// Who asked: the statements that decided, with the policies they are in.
Json matched_statements(const Profile& profile, const resources::Question& question, bool allowed) {
    Json out = Json::array();
    for (size_t i = 0; i < profile.authority.identity.size(); ++i) {
        const auto finding = resources::find_effect(*profile.authority.identity[i], question);
        const auto wanted = allowed ? resources::Effect::Allow : resources::Effect::Deny;
        if (finding.effect != wanted) continue;
        const std::string& source = profile.sources[i];
        const std::string_view type = source.starts_with("arn:aws:iam::aws:") ? "aws-managed"
                                      : source.starts_with("arn:")            ? "user-managed"
                                                                              : "none";
        out.push_back(Json::object({{"SourcePolicyId", source}, {"SourcePolicyType", type}}));
    }
    return out;
}

Json simulate_one(const Simulation& simulation, const Json& entries, const Clock& clock, const std::string& action,
                  const std::string& resource) {
    const Profile& profile = simulation.profile;
    const SimulatedContext context(entries, profile, clock);
    const resources::Question question{.action = action,
                                       .resources = {resource},
                                       .context = context,
                                       .resource_policy = simulation.resource_policy.get(),
                                       .resource_account = simulation.resource_account};
    const Decision decision = resources::evaluate(profile.authority, question);
    Json result = Json::object({{"EvalActionName", action},
                                {"EvalResourceName", resource},
                                {"EvalDecision", decision_word(decision)},
                                {"MatchedStatements", matched_statements(profile, question, decision.allowed())}});
    Json missing = Json::array();
    for (const std::string& key : context.missing()) missing.push_back(key);
    result.set("MissingContextValues", std::move(missing));
    if (profile.authority.boundary) {
        const auto effect = resources::find_effect(*profile.authority.boundary, question).effect;
        result.set("PermissionsBoundaryDecisionDetail",
                   Json::object({{"AllowedByPermissionsBoundary", effect == resources::Effect::Allow}}));
    }
    return result;
}

// Adds what the request says itself: further policies, a boundary, the policy of the resource.
ApiResult<void> read_request(const Json& input, Simulation& simulation) {
    for (const char* member : {"ResourceHandlingOption", "PolicyExclusionList", "OrderedOrganizationPolicyInputList"})
        if (input.has(member))
            return ApiError(400, "InvalidInput",
                            std::string("Millwright does not support ") + member + " of policy simulations yet.");
    Profile& profile = simulation.profile;
    const auto more = TRY(compile(input["PolicyInputList"]));
    for (size_t i = 0; i < more.size(); ++i) {
        profile.authority.identity.push_back(more[i]);
        profile.sources.push_back("PolicyInputList." + std::to_string(i + 1));
    }
    auto boundaries = TRY(compile(input["PermissionsBoundaryPolicyInputList"]));
    if (boundaries.size() > 1) return ApiError(400, "InvalidInput", "There can be one permissions boundary.");
    if (!boundaries.empty()) profile.authority.boundary = std::move(boundaries.front());
    if (input.has("CallerArn")) {
        profile.authority.asker.arn = input["CallerArn"].as_string();
        const auto parts = split(profile.authority.asker.arn, ':');
        if (parts.size() == 6) profile.authority.asker.account = parts[4];
    }
    if (input.has("ResourcePolicy")) {
        auto policy = resources::parse_policy(input["ResourcePolicy"].as_string(), PolicyKind::Bucket);
        if (!policy) return ApiError(400, "InvalidInput", policy.error().message);
        simulation.resource_policy = std::move(*policy);
    }
    const std::string owner = input["ResourceOwner"].string_or("");
    const auto parts = split(owner, ':');
    if (parts.size() == 6) simulation.resource_account = parts[4];
    return {};
}

ApiResult<Json> run(Identity& identity, const Json& input, Simulation& simulation) {
    TRY(read_request(input, simulation));
    const std::string start = TRY(page_start(input));
    const int64_t first = start.empty() ? 0 : parse_int(start).value_or(-1);
    if (first < 0) return ApiError(400, "ValidationError", "Invalid Marker.");
    const auto limit = static_cast<int64_t>(page_size(input));
    const Json any = Json::array({Json("*")});
    const Json& resources = input["ResourceArns"].size() > 0 ? input["ResourceArns"] : any;
    Json results = Json::array();
    int64_t at = 0;
    for (const Json& action : input["ActionNames"].items())
        for (const Json& resource : resources.items()) {
            const int64_t position = at++;
            if (position < first || position >= first + limit) continue;
            results.push_back(simulate_one(simulation, input["ContextEntries"], identity.access().clock(),
                                           action.string_or(""), resource.string_or("")));
        }
    Json answer = Json::object({{"EvaluationResults", std::move(results)}, {"IsTruncated", at > first + limit}});
    if (at > first + limit) answer.set("Marker", to_base64(std::to_string(first + limit)));
    return answer;
}

}  // namespace

ApiResult<Json> simulate_principal_policy(Identity& identity, const Call& call, const Json& input) {
    const std::string& source = input["PolicySourceArn"].as_string();
    const auto name = resources::iam_name(source);
    if (!name || (name->kind != "user" && name->kind != "role" && name->kind != "group"))
        return ApiError(400, "InvalidInput",
                        "Invalid Entity Arn: " + source + " does not clearly define entity type and name.");
    std::string principal = source;
    if (name->kind == "role") {
        const auto role = identity.resolve_role(call.caller.account, source);
        if (!role) return iam_error(role.error());
        principal = role->arn;
    } else if (name->account != call.caller.account) {
        return ApiError(
            404, "NoSuchEntity",
            "The " + std::string(name->kind) + " with name " + std::string(name->name) + " cannot be found.");
    }
    const auto profile = identity.access().profile_of_principal(principal);
    if (!profile) return iam_error(profile.error());
    Simulation simulation{**profile, nullptr, ""};
    return run(identity, input, simulation);
}

ApiResult<Json> simulate_custom_policy(Identity& identity, const Call& call, const Json& input) {
    Simulation simulation;
    simulation.profile.authority.asker.account = call.caller.account;
    simulation.profile.authority.asker.arn = call.caller.arn;
    return run(identity, input, simulation);
}

}  // namespace millwright::services
