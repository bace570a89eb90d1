// Accounts, access keys, users, roles and temporary credentials, and what each of them may do. The first account, its
// region and its root key pair are made on first start; every account has a SageMakerRole from its start.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/service.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"

namespace millwright::resources {

struct IdentitySettings {
    std::string region = "us-west-2";  // of the first start; later starts read it from credentials.json
    bool lenient_roles = true;         // unknown role names resolve to SageMakerRole
};

inline constexpr std::string_view kDefaultRoleName = "SageMakerRole";
inline constexpr std::string_view kDefaultRolePolicy = "MillwrightDefaultAccess";  // its inline policy

struct RootCredentials {
    std::string account, region, access_key_id, secret_access_key;
    std::string name = {};  // of further accounts
};

struct Role {
    std::string name, path = "/", arn, id, assume_role_policy, description;
    Timestamp created{};
    int64_t max_session_seconds = 3600;
    std::vector<std::pair<std::string, std::string>> tags;  // in the order given
    std::string boundary;                                   // ARN of a policy, or empty
    std::string account() const { return arn.substr(13, 12); }
};

struct TemporaryCredentials {
    std::string access_key_id, secret_access_key, session_token, role_arn, assumed_role_arn, assumed_role_id;
    Timestamp expires{};
};

// What narrows and marks a session.
struct SessionLimits {
    // Documents; the session may do what one of them allows and its role or user may do. Nothing: not narrowed.
    std::optional<std::vector<std::string>> policies = {};
    std::vector<std::pair<std::string, std::string>> tags = {};
};

class AccessControl;
class GroupStore;
class PolicyStore;
class RoleStore;
class UserStore;

// Thread-safe. What only IAM needs is in the stores.
class Identity : public aws::CredentialSource {
  public:
    // `folder`: the data directory; credentials.json (0600) in it holds account, region and root key pair.
    static Result<std::unique_ptr<Identity>> open(const std::string& folder, metadata_store::Database& database,
                                                  const Clock& clock, Random& random, const IdentitySettings& settings);

    virtual const RootCredentials& root() const = 0;  // of the first account
    // Further accounts, with root keys of their own. AlreadyExists when the name is taken.
    virtual Result<RootCredentials> create_account(std::string_view name) = 0;
    virtual Result<std::vector<RootCredentials>> accounts() = 0;  // the first one first; secrets left empty
    virtual bool has_account(std::string_view account) const = 0;

    // NotFound for an unknown name unless roles are lenient.
    virtual Result<Role> find_role(std::string_view account, std::string_view name) = 0;
    // The role that a job or a model names: a role ARN of this account (or of any account that is not here, when roles
    // are lenient), or a bare role name.
    virtual Result<Role> resolve_role(std::string_view account, std::string_view arn_or_name) = 0;
    // The role that somebody wants to assume: also one of another account here.
    virtual Result<Role> find_assumable_role(std::string_view account, std::string_view arn) = 0;

    virtual Result<TemporaryCredentials> assume_role(const Role& role, std::string_view session_name,
                                                     std::chrono::seconds lifetime,
                                                     const SessionLimits& limits = {}) = 0;
    // Short-lived keys with the rights of `caller` itself (GetSessionToken).
    virtual Result<TemporaryCredentials> session_for(const aws::Caller& caller, std::chrono::seconds lifetime) = 0;
    // Short-lived keys with rights of `caller` that the policies allow too (GetFederationToken).
    virtual Result<TemporaryCredentials> federate(const aws::Caller& caller, std::string_view name,
                                                  std::chrono::seconds lifetime, const SessionLimits& limits) = 0;

    // Whether the trust policy lets the service take on the role for the resource with this ARN.
    virtual Result<bool> service_may_assume(const Role& role, std::string_view service,
                                            std::string_view source_arn) = 0;

    virtual AccessControl& access() = 0;
    virtual RoleStore& roles() = 0;
    virtual UserStore& users() = 0;
    virtual GroupStore& groups() = 0;
    virtual PolicyStore& policies() = 0;

    // The container credentials endpoint: a job fetches short-lived keys of its role with a secret path,
    // renewed on each fetch until the grant is withdrawn. Grants survive a restart.
    // Both are safe from a power cut with the caller's own record of the job, which comes after them.
    virtual Result<std::string> grant_job_credentials(std::string_view run_id,
                                                      const Role& role) = 0;          // "/v2/credentials/<secret>"
    virtual Result<TemporaryCredentials> job_credentials(std::string_view path) = 0;  // NotFound
    virtual Result<void> withdraw_job_credentials(std::string_view run_id) = 0;
};

}  // namespace millwright::resources
