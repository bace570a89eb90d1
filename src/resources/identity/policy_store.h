// Policies of roles, users and groups: inline ones, attached ones, permissions boundaries; and the customer's managed
// policies with their versions. Managed policies of AWS are in aws_policies.h.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/identity/role_store.h"

namespace millwright::resources {

enum class HolderKind { Role, User, Group };

// Whose policies.
struct Holder {
    HolderKind kind;
    std::string_view account, name;
};

struct ManagedPolicy {
    std::string name, path = "/", arn, id, description;
    Timestamp created{}, updated{};
    int64_t default_version = 1;
    int64_t attachments = 0;  // users, groups and roles it is attached to
    int64_t boundaries = 0;   // users and roles it limits
    std::vector<std::pair<std::string, std::string>> tags;
    bool of_aws() const { return arn.starts_with("arn:aws:iam::aws:"); }
};

struct PolicyVersion {
    int64_t number = 1;  // "v1"
    std::string document;
    Timestamp created{};
    bool is_default = false;
};

// What evaluation reads of one holder: documents, as stored.
struct HeldPolicies {
    // `source`: the name of an inline policy, or an ARN; `document` is checked, but a boundary may be gone: "".
    struct Held {
        std::string source, document;
    };
    std::vector<Held> policies;
    std::optional<Held> boundary;
};

struct PolicyHolders {
    std::vector<std::pair<std::string, std::string>> roles, users, groups;  // name, id
};

inline constexpr size_t kMaxPolicyVersions = 5, kMaxManagedPolicySize = 6144, kMaxAttachedPolicies = 10;

// Thread-safe. Functions with a holder fail with NotFound when it is missing; malformed documents are InvalidInput with
// IAM's text, sizes and counts beyond the quotas LimitExceeded. `changed` is called after each write.
class PolicyStore {
  public:
    PolicyStore(metadata_store::Database& database, const Clock& clock, Random& random, std::function<void()> changed)
        : database_(database), clock_(clock), random_(random), changed_(std::move(changed)) {}

    Result<void> put_inline(const Holder& holder, std::string_view policy, std::string_view document);
    Result<std::string> get_inline(const Holder& holder, std::string_view policy);
    Result<NamedPage<std::string>> list_inline(const Holder& holder, std::string_view after, size_t limit);
    Result<void> remove_inline(const Holder& holder, std::string_view policy);

    // Attaching twice is fine. NotFound unless the policy exists, in the holder's account or as one of AWS.
    Result<void> attach(const Holder& holder, std::string_view policy_arn);
    Result<void> detach(const Holder& holder, std::string_view policy_arn);
    Result<NamedPage<std::string>> attached(const Holder& holder, std::string_view after, size_t limit);

    // Roles and users. An empty ARN removes it.
    Result<void> set_boundary(const Holder& holder, std::string_view policy_arn);
    Result<std::string> boundary(const Holder& holder);  // "" without one

    Result<ManagedPolicy> create(std::string_view account, const ManagedPolicy& policy, std::string_view document);
    Result<ManagedPolicy> find(std::string_view account, std::string_view arn);  // also those of AWS
    // Of the customer, in the order of names.
    Result<NamedPage<ManagedPolicy>> list(std::string_view account, std::string_view path_prefix,
                                          std::string_view after, size_t limit);
    Result<void> remove(std::string_view account, std::string_view arn);  // Conflict while attached, or with versions
    Result<PolicyVersion> create_version(std::string_view account, std::string_view arn, std::string_view document,
                                         bool make_default);
    Result<PolicyVersion> version(std::string_view account, std::string_view arn, int64_t number);
    Result<std::vector<PolicyVersion>> versions(std::string_view account, std::string_view arn);  // newest first
    Result<void> set_default_version(std::string_view account, std::string_view arn, int64_t number);
    Result<void> remove_version(std::string_view account, std::string_view arn, int64_t number);
    Result<PolicyHolders> holders_of(std::string_view account, std::string_view arn);

    // Everything of a holder at once; empty when it does not exist.
    Result<HeldPolicies> policies_of(const Holder& holder);
    // The document of a managed policy's default version, of AWS or the account. NotFound.
    Result<std::string> document_of(std::string_view account, std::string_view arn);

  private:
    Result<void> write(const std::function<Result<void>(metadata_store::Transaction&)>& work);

    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    const std::function<void()> changed_;
};

// Fails with Conflict while the holder has policies; for deletions, inside their transaction.
Result<void> require_no_policies(metadata_store::Connection& connection, const Holder& holder);

}  // namespace millwright::resources
