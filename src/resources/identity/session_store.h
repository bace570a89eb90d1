// Temporary credentials: kept by access key id until they expire, across restarts; and the grants through
// which running jobs fetch them.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/identity/credential_cache.h"
#include "resources/identity/identity.h"

namespace millwright::resources {

struct NewSession {
    std::string account, caller_arn, caller_user_id;
    std::string role_arn;  // empty for GetSessionToken and GetFederationToken
    std::string run_id;    // of the job the keys were made for, else empty
    std::chrono::seconds lifetime{3600};
    std::string principal_arn;  // whose policies count: the role, the user, or the root of the account
    SessionLimits limits = {};
};

// What is to be known of a session to judge its requests.
struct SessionFacts {
    std::string principal_arn;
    SessionLimits limits;
    Timestamp issued{};
};

struct JobGrant {
    std::string run_id, account, role_name;
};

// Thread-safe.
class SessionStore {
  public:
    SessionStore(metadata_store::Database& database, const Clock& clock, Random& random, CredentialCache& cache)
        : database_(database), clock_(clock), random_(random), cache_(cache) {}

    Result<TemporaryCredentials> create(const NewSession& session);
    std::optional<aws::Credential> find_credential(std::string_view access_key_id);  // also expired ones
    Result<std::optional<SessionFacts>> find_facts(std::string_view access_key_id);

    // The path below which the run fetches its keys; the same again for a run that has one.
    Result<std::string> grant(const JobGrant& grant);
    Result<JobGrant> find_grant(std::string_view path);  // NotFound
    // Ends the grant and every key made through it.
    Result<void> withdraw(std::string_view run_id);

    // Keys handed out through a grant are shared by its fetches while they have half their life left, so that
    // a job that asks often costs no commit each time.
    std::optional<TemporaryCredentials> recent_keys(const std::string& run_id);
    void remember_keys(const std::string& run_id, const TemporaryCredentials& keys);

  private:
    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    CredentialCache& cache_;
    Mutex mutex_;
    std::map<std::string, TemporaryCredentials> recent_ GUARDED_BY(mutex_);
};

inline constexpr std::chrono::seconds kJobKeyLifetime{6 * 3600};

}  // namespace millwright::resources
