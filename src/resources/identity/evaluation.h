// The evaluation logic of IAM: policies and a question in, a decision out. Pure and thread-safe.
//
// In AWS's order: an explicit deny anywhere; then what allows, which for the caller's own account is its identity
// policies or the resource's policy, and for another account's resource both; limited by the permissions boundary and
// by the session policies. What the resource's policy grants to a session by its ARN, or to a user by its ARN, is not
// limited by these two.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/access.h"
#include "resources/identity/policy.h"

namespace millwright::resources {

// Who asks, as the principals of a resource's policy see it.
struct Asker {
    std::string account;
    std::string arn;       // as the request was signed: user, session of a role, federated user, root; "" for nobody
    std::string role_arn;  // behind a session of a role
    std::string service;   // "sagemaker.amazonaws.com" instead of all these
};

// Everything that was granted to the caller itself.
struct Authority {
    Asker asker;
    std::vector<PolicyPtr> identity;                 // inline, attached, of groups
    PolicyPtr boundary;                              // null without one
    std::optional<std::vector<PolicyPtr>> sessions;  // nothing without any: not limited
    bool unlimited = false;                          // the root user of an account has no policies, and needs none
};

struct Question {
    std::string_view action;                  // in any case
    std::vector<std::string_view> resources;  // spellings of one ARN
    const RequestContext& context;
    const Policy* resource_policy = nullptr;
    std::string_view resource_account;  // "" for the asker's
    bool resource_policy_must_allow = false;
};

aws::Decision evaluate(const Authority& authority, const Question& question);

enum class Effect { None, Allow, Deny };
// One identity policy alone, also with the statement that decided (for simulations).
struct Finding {
    Effect effect = Effect::None;
    const Statement* statement = nullptr;
};
Finding find_effect(const Policy& policy, const Question& question);

// How a resource's policy speaks to the asker.
enum class Grant {
    None,
    Account,    // names its account, which still has to allow it
    Principal,  // names everybody, or its role
    Exact,      // names the user or the session itself
    Denied,
};
Grant find_grant(const Policy& policy, const Question& question, const Asker& asker);

}  // namespace millwright::resources
