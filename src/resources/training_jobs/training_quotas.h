// How much of the account training jobs may take at a time. What is over it is refused at once with AWS's text; within
// it, what does not fit the machine waits.
//
// A job counts from CreateTrainingJob until it ends, also while it waits. Checked in the transaction that inserts the
// job, so two requests cannot both take the last place.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "metadata_store/database.h"

namespace millwright::resources {

// Per account and region. What is 0, or no key, is without a limit; a type with the value 0 may not be used at all.
struct TrainingQuotas {
    // "ml.p3.2xlarge for training job usage", "ml.p3.2xlarge for spot training job usage": instances.
    std::map<std::string, int64_t> instances;
    int64_t jobs_per_user = 0, jobs_per_account = 0;  // unfinished ones; a user is the ARN that created the job
    std::chrono::seconds max_runtime{0};              // of MaxRuntimeInSeconds
};

// The quota that instances of the type count for. AWS counts spot apart.
std::string instance_quota_name(std::string_view instance_type, bool spot);
// "ml.m5.xlarge for training job usage" of a type that exists.
bool is_instance_quota_name(std::string_view name);

// AWS's sentence. `unit`: "Instances", "Jobs", "Seconds".
Error quota_exceeded(const std::string& quota, int64_t limit, int64_t used, int64_t asked, std::string_view unit);

// "ml.m5.xlarge" -> instances, by the request's ResourceConfig.
std::map<std::string, int64_t> requested_instances(const Json& resource_config);

struct QuotaClaim {
    int64_t job = 0;
    std::string account, region, owner;
    std::map<std::string, int64_t> instances;
    bool spot = false;
    std::chrono::seconds max_runtime{0};
};

Result<void> prepare_quotas(metadata_store::Database& database);
// LimitExceeded: over a quota; nothing is taken then.
Result<void> claim_quotas(metadata_store::Transaction& transaction, const TrainingQuotas& quotas,
                          const QuotaClaim& claim);
Result<void> release_quotas(metadata_store::Transaction& transaction, int64_t job);

}  // namespace millwright::resources
