// Policy documents: checked when they are stored, and trust policies read to decide who may assume a role.
//
// Permission policies are stored and listed but not evaluated in this release; the statements read here are
// what an evaluator will start from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace millwright::resources {

enum class PolicyKind { Trust, Permission };

struct PolicyStatement {
    bool allow = true;
    std::vector<std::string> aws_principals;      // "*", account ids, ARNs
    std::vector<std::string> service_principals;  // "sagemaker.amazonaws.com"
    std::vector<std::string> actions;
    bool all_actions_but = false;  // NotAction
    bool has_condition = false;
};

// InvalidInput with IAM's text when the document is malformed for its kind.
Result<std::vector<PolicyStatement>> parse_policy(std::string_view document, PolicyKind kind);

// Whether the caller may assume a role with this trust policy. `caller_arn` is a user, an assumed role or the
// account root; naming an account (or its root) admits every caller of it. A Deny that matches wins. An Allow
// with a Condition does not match, a Deny with a Condition does: conditions are not evaluated, so the safe
// side is taken.
bool trust_allows(const std::vector<PolicyStatement>& trust, std::string_view caller_arn, std::string_view account);
// The same for a service ("sagemaker.amazonaws.com").
bool trust_allows_service(const std::vector<PolicyStatement>& trust, std::string_view service);

// '*' and '?' as in IAM; `ignore_case` for action names.
bool wildcard_match(std::string_view pattern, std::string_view text, bool ignore_case);

}  // namespace millwright::resources
