#include "resources/training_jobs/training_quotas.h"

#include "resources/instance_types/instance_types.h"

namespace millwright::resources {
namespace {

using metadata_store::Transaction;

const std::vector<metadata_store::Migration> kSchema = {
    {"training_quotas 1: what unfinished jobs take",
     "CREATE TABLE quota_claim(job INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL,"
     " owner TEXT NOT NULL);"
     "CREATE INDEX quota_claim_account ON quota_claim(account, region);"
     "CREATE TABLE quota_claim_instances(job INTEGER NOT NULL, quota TEXT NOT NULL, instances INTEGER NOT NULL,"
     " PRIMARY KEY(job, quota)) WITHOUT ROWID;"},
};

constexpr std::string_view kOnDemand = " for training job usage";
constexpr std::string_view kSpot = " for spot training job usage";

Result<int64_t> number(Transaction& transaction, const std::string& sql, const std::vector<metadata_store::Value>& of) {
    const auto rows = TRY(transaction.query_values(sql, of));
    return rows.at(0).integer(0);
}

Result<void> check_jobs(Transaction& transaction, const TrainingQuotas& quotas, const QuotaClaim& claim) {
    const std::string count = "SELECT count(*) FROM quota_claim WHERE account=? AND region=?";
    if (quotas.jobs_per_account > 0) {
        const auto used = TRY(number(transaction, count, {claim.account, claim.region}));
        if (used >= quotas.jobs_per_account) {
            return quota_exceeded("Number of training jobs in progress", quotas.jobs_per_account, used, 1, "Jobs");
        }
    }
    if (quotas.jobs_per_user > 0) {
        const auto used = TRY(number(transaction, count + " AND owner=?", {claim.account, claim.region, claim.owner}));
        if (used >= quotas.jobs_per_user) {
            return quota_exceeded("Number of training jobs in progress per user", quotas.jobs_per_user, used, 1,
                                  "Jobs");
        }
    }
    return {};
}

Result<void> check_instances(Transaction& transaction, const TrainingQuotas& quotas, const QuotaClaim& claim) {
    for (const auto& [type, instances] : claim.instances) {
        const auto name = instance_quota_name(type, claim.spot);
        const auto quota = quotas.instances.find(name);
        if (quota == quotas.instances.end()) continue;
        const auto used = TRY(number(transaction,
                                     "SELECT coalesce(sum(i.instances), 0) FROM quota_claim c JOIN "
                                     "quota_claim_instances i ON i.job=c.job WHERE c.account=? AND c.region=? AND "
                                     "i.quota=?",
                                     {claim.account, claim.region, name}));
        if (used + instances > quota->second) {
            return quota_exceeded(name, quota->second, used, instances, "Instances");
        }
    }
    return {};
}

}  // namespace

std::string instance_quota_name(std::string_view instance_type, bool spot) {
    return std::string(instance_type).append(spot ? kSpot : kOnDemand);
}

bool is_instance_quota_name(std::string_view name) {
    for (const auto ending : {kOnDemand, kSpot}) {
        if (name.ends_with(ending) && find_instance_type(name.substr(0, name.size() - ending.size()))) return true;
    }
    return false;
}

Error quota_exceeded(const std::string& quota, int64_t limit, int64_t used, int64_t asked, std::string_view unit) {
    const std::string of(unit);
    return {ErrorKind::LimitExceeded,
            "The account-level service limit '" + quota + "' is " + std::to_string(limit) + " " + of +
                ", with current utilization of " + std::to_string(used) + " " + of + " and a request delta of " +
                std::to_string(asked) + " " + of +
                ". Please use AWS Service Quotas to request an increase for this quota. If AWS Service Quotas is not "
                "available, contact AWS support to request an increase for this quota.",
            ""};
}

std::map<std::string, int64_t> requested_instances(const Json& resource_config) {
    std::map<std::string, int64_t> instances;
    for (const auto& group : resource_config["InstanceGroups"].items())
        instances[group["InstanceType"].string_or("")] += group["InstanceCount"].int_or(0);
    if (instances.empty()) {
        instances[resource_config["InstanceType"].string_or("")] = resource_config["InstanceCount"].int_or(0);
    }
    return instances;
}

Result<void> prepare_quotas(metadata_store::Database& database) { return database.migrate("training_quotas", kSchema); }

Result<void> claim_quotas(Transaction& transaction, const TrainingQuotas& quotas, const QuotaClaim& claim) {
    if (quotas.max_runtime.count() > 0 && claim.max_runtime > quotas.max_runtime) {
        return quota_exceeded("Longest run time for a training job", quotas.max_runtime.count(), 0,
                              claim.max_runtime.count(), "Seconds");
    }
    TRY(check_jobs(transaction, quotas, claim));
    TRY(check_instances(transaction, quotas, claim));
    // Taken even where nothing is limited: the limit may come with the next start of the server.
    TRY(transaction.run("INSERT INTO quota_claim(job, account, region, owner) VALUES(?,?,?,?)", claim.job,
                        claim.account, claim.region, claim.owner));
    for (const auto& [type, instances] : claim.instances) {
        TRY(transaction.run("INSERT INTO quota_claim_instances(job, quota, instances) VALUES(?,?,?)", claim.job,
                            instance_quota_name(type, claim.spot), instances));
    }
    return {};
}

Result<void> release_quotas(Transaction& transaction, int64_t job) {
    TRY(transaction.run("DELETE FROM quota_claim WHERE job=?", job));
    TRY(transaction.run("DELETE FROM quota_claim_instances WHERE job=?", job));
    return {};
}

}  // namespace millwright::resources
