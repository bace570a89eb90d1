#include "resources/identity/evaluation.h"

#include <algorithm>

#include "base/strings.h"

namespace millwright::resources {
namespace {

using Because = aws::Decision::Because;

bool names_action(const Statement& statement, std::string_view lower_action) {
    const bool listed = std::any_of(statement.actions.begin(), statement.actions.end(), [&](const Pattern& pattern) {
        return pattern.matches(lower_action, LetterCase::Exact, nullptr);
    });
    return listed != statement.all_actions_but;
}

bool names_resource(const Statement& statement, const Question& question) {
    if (statement.resources.empty()) return true;  // trust policies
    const VariableLookup lookup = variables_of(question.context);
    for (const Pattern& pattern : statement.resources)
        for (const std::string_view resource : question.resources)
            if (pattern.matches_arn(resource, lookup)) return !statement.all_resources_but;
    return statement.all_resources_but;
}

bool applies(const Statement& statement, std::string_view lower_action, const Question& question) {
    return names_action(statement, lower_action) && names_resource(statement, question) &&
           std::all_of(statement.conditions.begin(), statement.conditions.end(),
                       [&](const Condition& condition) { return condition.holds(question.context); });
}

std::string account_root(const std::string& account) { return "arn:aws:iam::" + account + ":root"; }

Grant listed_as(const Principals& principals, const Asker& asker) {
    Grant best = Grant::None;
    const auto raise = [&best](Grant to) { best = std::max(best, to); };
    if (principals.everybody) raise(Grant::Principal);
    if (!asker.service.empty()) {
        const auto& known = principals.services;
        if (std::find(known.begin(), known.end(), asker.service) != known.end()) raise(Grant::Principal);
        return best;
    }
    if (asker.arn.empty()) return best;
    for (const std::string& name : principals.aws) {
        if (name == asker.arn)
            raise(Grant::Exact);
        else if (!asker.role_arn.empty() && name == asker.role_arn)
            raise(Grant::Principal);
        else if (name == asker.account || name == account_root(asker.account))
            raise(Grant::Account);
    }
    return best;
}

Grant grant_of(const Statement& statement, const Asker& asker) {
    const Grant listed = listed_as(statement.principals, asker);
    if (!statement.principals.negated) return listed;
    return listed == Grant::None ? Grant::Principal : Grant::None;
}

Effect effect_of_all(const std::vector<PolicyPtr>& policies, const Question& question) {
    Effect out = Effect::None;
    for (const PolicyPtr& policy : policies) {
        const Effect effect = find_effect(*policy, question).effect;
        if (effect == Effect::Deny) return effect;
        if (effect == Effect::Allow) out = effect;
    }
    return out;
}

// Effects of everything that limits or allows, found once.
struct Effects {
    Effect identity = Effect::None, boundary = Effect::Allow, session = Effect::Allow;
    Grant grant = Grant::None;
};

Effects effects_of(const Authority& authority, const Question& question) {
    Effects out;
    out.identity = effect_of_all(authority.identity, question);
    if (authority.boundary) out.boundary = find_effect(*authority.boundary, question).effect;
    if (authority.sessions) out.session = effect_of_all(*authority.sessions, question);
    if (question.resource_policy) out.grant = find_grant(*question.resource_policy, question, authority.asker);
    if (authority.unlimited) out.identity = Effect::Allow;
    return out;
}

std::optional<Because> explicit_deny(const Effects& effects) {
    if (effects.identity == Effect::Deny) return Because::DeniedByIdentityPolicy;
    if (effects.grant == Grant::Denied) return Because::DeniedByResourcePolicy;
    if (effects.boundary == Effect::Deny) return Because::DeniedByPermissionsBoundary;
    if (effects.session == Effect::Deny) return Because::DeniedBySessionPolicy;
    return std::nullopt;
}

}  // namespace

Finding find_effect(const Policy& policy, const Question& question) {
    Finding out;
    const std::string action = to_lower(question.action);
    for (const Statement& statement : policy.statements) {
        if (out.effect == Effect::Allow && statement.allow) continue;
        if (!applies(statement, action, question)) continue;
        out = {statement.allow ? Effect::Allow : Effect::Deny, &statement};
        if (!statement.allow) return out;
    }
    return out;
}

Grant find_grant(const Policy& policy, const Question& question, const Asker& asker) {
    Grant best = Grant::None;
    const std::string action = to_lower(question.action);
    for (const Statement& statement : policy.statements) {
        const Grant grant = grant_of(statement, asker);
        if (grant == Grant::None || !applies(statement, action, question)) continue;
        if (!statement.allow) return Grant::Denied;
        best = std::max(best, grant);
    }
    return best;
}

aws::Decision evaluate(const Authority& authority, const Question& question) {
    const Asker& asker = authority.asker;
    const Effects effects = effects_of(authority, question);
    if (const auto denied = explicit_deny(effects)) return {*denied};
    const bool own = !question.resource_account.empty() ? question.resource_account == asker.account : true;
    if (!asker.service.empty() || asker.arn.empty())
        return {effects.grant != Grant::None ? Because::Allowed : Because::NoResourcePolicy};
    if (effects.grant == Grant::None && (!own || question.resource_policy_must_allow))
        return {Because::NoResourcePolicy};
    if (own && effects.grant == Grant::Exact) return {Because::Allowed};
    const bool granted = own && effects.grant == Grant::Principal;
    if (effects.identity != Effect::Allow && !granted) return {Because::NoIdentityPolicy};
    if (effects.boundary != Effect::Allow) return {Because::NoPermissionsBoundary};
    if (effects.session != Effect::Allow) return {Because::NoSessionPolicy};
    return {Because::Allowed};
}

}  // namespace millwright::resources
