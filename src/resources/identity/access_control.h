// Decides every request: finds the caller's policies, compiles them once, and asks evaluation.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aws/access.h"
#include "aws/service.h"
#include "base/time.h"
#include "resources/identity/evaluation.h"
#include "resources/identity/group_store.h"
#include "resources/identity/policy_store.h"
#include "resources/identity/role_store.h"
#include "resources/identity/session_store.h"
#include "resources/identity/user_store.h"

namespace millwright::resources {

// Everything about a caller that does not change between requests.
struct Profile {
    Authority authority;
    std::string user_name;                                  // of users
    std::string user_id;                                    // aws:userid
    std::string_view type = "Anonymous";                    // aws:PrincipalType
    std::vector<std::pair<std::string, std::string>> tags;  // aws:PrincipalTag/…
    std::optional<Timestamp> issued;                        // of temporary keys
    // Where each of authority.identity is from: the name of an inline policy, or an ARN.
    std::vector<std::string> sources;
};
using ProfilePtr = std::shared_ptr<const Profile>;

// Thread-safe.
class AccessControl final : public aws::Authorizer {
  public:
    AccessControl(RoleStore& roles, UserStore& users, GroupStore& groups, PolicyStore& policies, SessionStore& sessions,
                  const Clock& clock)
        : roles_(roles), users_(users), groups_(groups), policies_(policies), sessions_(sessions), clock_(clock) {}

    Result<aws::Decision> decide(const aws::Call& call, const aws::Access& access) const override;
    // What the server may do for a job in the name of its role.
    Result<aws::Decision> decide_for_role(const Role& role, const aws::Access& access) const;
    // Whether a service may take on a role; the keys name the resource it does it for.
    Result<aws::Decision> decide_for_service(std::string_view service, const aws::Access& access) const;

    // A user, a role, a group or the root of an account by its ARN, as it would be judged now; NotFound.
    Result<ProfilePtr> profile_of_principal(std::string_view arn) const;
    Result<PolicyPtr> compiled(std::string_view document, PolicyKind kind) const { return cache_.get(document, kind); }
    const Clock& clock() const { return clock_; }

    // Profiles are kept until somebody's policies, groups or tags change.
    void forget() const;

  private:
    Result<ProfilePtr> profile_of(const aws::Caller& caller) const;
    Result<ProfilePtr> load(const aws::Caller& caller) const;
    Result<ProfilePtr> cached(const std::string& key, const std::function<Result<ProfilePtr>()>& load) const;
    Result<Profile> load_user(std::string_view arn) const;
    Result<Profile> load_role(std::string_view arn) const;
    Result<Profile> load_group(std::string_view arn) const;
    Result<void> add_policies(const Holder& holder, Profile& into) const;
    Result<aws::Decision> judge(const Profile& profile, const aws::Call& call, const aws::Access& access) const;
    PolicyPtr compile_or_deny(const std::string& document, const std::string& source) const;

    RoleStore& roles_;
    UserStore& users_;
    GroupStore& groups_;
    PolicyStore& policies_;
    SessionStore& sessions_;
    const Clock& clock_;
    PolicyCache cache_;

    static constexpr size_t kMaxProfiles = 20000;  // emptied when it is full
    mutable std::shared_mutex mutex_;
    mutable std::unordered_map<std::string, ProfilePtr> profiles_;
    mutable uint64_t generation_ = 0;
};

// Names inside ARNs of IAM: "user", "role", … and the name without its path. Empty for other ARNs.
struct IamName {
    std::string_view account, kind, name;
};
std::optional<IamName> iam_name(std::string_view arn);

// The role behind a session: "arn:aws:sts::1:assumed-role/Name/session" -> "Name"; "" for others.
std::string_view assumed_role_name(std::string_view arn);

}  // namespace millwright::resources
