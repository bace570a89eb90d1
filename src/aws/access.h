// Who may do what: the question the front asks before a handler runs, and whoever answers it. The rules of IAM are in
// resources/identity; here are only their words.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/api_error.h"

namespace millwright::aws {

struct Caller;
struct Call;

using Strings = std::vector<std::string>;

// One permission that a request needs.
struct Access {
    std::string action;          // "sagemaker:CreateTrainingJob"
    std::string resource = "*";  // its ARN
    // Other spellings of the ARN that policies use for the same thing (log groups with and without ":*").
    Strings other_spellings = {};
    // Condition keys of the request and their values, names in lower case: {"s3:prefix", {"data/"}}. What is true of
    // every request (aws:SourceIp, aws:username, …) is added by the authorizer.
    std::vector<std::pair<std::string, Strings>> context = {};
    // Keys that cost something to find out (tags of a resource): asked with a name in lower case, only when a policy
    // names it. Empty: the key is absent.
    std::function<Strings(std::string_view key)> find_context = {};
    // The policy of the resource itself (bucket policy, trust policy): JSON, "" for none; and the account that owns the
    // resource, "" for the caller's.
    std::string resource_policy = {};
    std::string resource_account = {};
    // A role is assumed only when its trust policy says so, whatever the caller's own policies allow.
    bool resource_policy_must_allow = false;
};

// What was found, and why.
struct Decision {
    enum class Because {
        Allowed,
        NoIdentityPolicy,       // nothing allows it
        NoResourcePolicy,       // of another account, or a role's trust policy
        NoPermissionsBoundary,  // the boundary does not allow it
        NoSessionPolicy,        // the session policies do not allow it
        DeniedByIdentityPolicy,
        DeniedByResourcePolicy,
        DeniedByPermissionsBoundary,
        DeniedBySessionPolicy,
    };
    Because because = Because::NoIdentityPolicy;
    bool allowed() const { return because == Because::Allowed; }
};

// Thread-safe.
class Authorizer {
  public:
    virtual ~Authorizer() = default;
    // An error only when the question could not be answered (the database failed); the request fails then.
    virtual Result<Decision> decide(const Call& call, const Access& access) const = 0;
};

// "User: arn:… is not authorized to perform: sagemaker:CreateModel on resource: arn:… because no identity-based policy
// allows the sagemaker:CreateModel action", or with which kind of policy denied it.
std::string denial_text(const Caller& caller, const Access& access, const Decision& decision);

// What a request passes through; one for each, made by the front. A null Gate of a Call lets everything pass (tests of
// a service alone).
class Gate {
  public:
    virtual ~Gate() = default;
    // AccessDeniedException with AWS's text unless the caller has the permission. Each is noted for the audit log.
    virtual ApiResult<void> require(const Call& call, const Access& access) = 0;
    // The same as a question; only the answer "no" of a require() refuses a request.
    virtual ApiResult<bool> may(const Call& call, const Access& access) = 0;
    // The name of the operation for the audit log, from handlers that find it themselves.
    virtual void name_operation(std::string_view name) = 0;
};

}  // namespace millwright::aws
