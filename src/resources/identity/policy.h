// Policy documents, checked and compiled. Pure: no I/O, no clock.
//
// A document is compiled once and shared; PolicyCache keeps compiled ones by their text.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "resources/identity/condition.h"
#include "resources/identity/wildcard.h"

namespace millwright::resources {

// What a document is for decides its grammar: Permission (of a user, group, role, session, or a managed policy) names
// no principal; Trust (of a role), Bucket and Repository (of images) must. Trust and Repository name no resource.
enum class PolicyKind { Permission, Trust, Bucket, Repository };

struct Principals {
    bool given = false;
    bool negated = false;               // NotPrincipal
    bool everybody = false;             // "*" or {"AWS": "*"}
    std::vector<std::string> aws;       // account ids and ARNs
    std::vector<std::string> services;  // "sagemaker.amazonaws.com"
    // Federated and CanonicalUser are accepted and match nobody: no identity of such a kind signs here.
};

struct Statement {
    std::string sid;
    bool allow = true;
    bool all_actions_but = false;    // NotAction
    bool all_resources_but = false;  // NotResource
    std::vector<Pattern> actions;    // in lower case
    std::vector<Pattern> resources;  // empty in policies of roles and repositories
    Principals principals;
    std::vector<Condition> conditions;
};

struct Policy {
    std::string id;
    std::vector<Statement> statements;
    bool names_key(std::string_view key) const;  // in a condition; lower case
};
using PolicyPtr = std::shared_ptr<const Policy>;

// InvalidInput with IAM's text (MalformedPolicyDocument), or with S3's (MalformedPolicy) for a bucket's.
Result<PolicyPtr> parse_policy(std::string_view document, PolicyKind kind);
// A bucket policy for this bucket: all actions are S3's, all resources the bucket or its objects.
Result<PolicyPtr> parse_bucket_policy(std::string_view document, std::string_view bucket);
// AWS's meaning of public: allows everybody something without a condition that ties it to fixed values.
bool is_public(const Policy& policy);
// Characters that count against IAM's quotas: all but white space.
size_t policy_size(std::string_view document);

// Compiled policies by kind and text. Thread-safe. Documents that are malformed are compiled each time they are asked
// for; the stores do not accept such.
class PolicyCache {
  public:
    Result<PolicyPtr> get(std::string_view document, PolicyKind kind) const;

  private:
    static constexpr size_t kMaxEntries = 4096;  // emptied when it is full
    mutable std::shared_mutex mutex_;
    mutable std::unordered_map<std::string, PolicyPtr> entries_;
};

}  // namespace millwright::resources
