// Training jobs: the record, its status machine, and the life of the run behind it. See
// docs/internals/training_jobs.md.
//
// Requests are documents in the shape of CreateTrainingJob, already validated against the service model.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "executors/executor.h"
#include "jobs/supervisor.h"
#include "metadata_store/database.h"
#include "object_store/object_store.h"
#include "resources/environments/environments.h"
#include "resources/identity/identity.h"
#include "resources/images/image_names.h"
#include "resources/logs/logs.h"
#include "resources/metrics/metrics.h"
#include "resources/tags/tags.h"
#include "resources/training_jobs/training_quotas.h"
#include "resources/training_jobs/warm_pools.h"

namespace millwright::resources {

// Managed spot training. Interruptions come by TrainingJobs::interrupt, and by themselves where a mean is set.
struct SpotSettings {
    std::chrono::seconds mean_between_interruptions{0};  // of a running segment, exponentially distributed; 0: none
    std::string seed;                                    // the same seed, job and time of creation: the same times
    double billed_share = 0.3;  // BillableTimeInSeconds over TrainingTimeInSeconds: the price of spot over on-demand
};

struct TrainingJobSettings {
    std::string folder;              // <data-dir>/jobs; must be on the object store's disk for channels to be linked
    std::string algorithms_program;  // absolute path of millwright-algorithms
    std::string runner_program{};    // absolute path of millwright-runner
    std::string python_folder{};     // absolute path of the packages that scripts may import (python/ of the project)
    std::string forward_to;          // "127.0.0.1:9770", see executors::RunSpec
    std::string egress_socket{};     // see executors::RunSpec; empty: jobs reach nothing outside
    // Everything the job starts is told of the proxy, not only pip: the configuration opens the internet.
    bool egress_for_all = false;
    std::map<std::string, std::string> file_systems{};  // FileSystemId: absolute folder of this machine
    bool strict_capacity = false;                       // refuse what can never fit instead of shrinking it with a note
    std::chrono::seconds stop_grace{120};
    TrainingQuotas quotas{};
    std::chrono::milliseconds host_metrics_interval{10'000};  // 0: hosts are not measured
    SpotSettings spot{};
    // The files of the last failed jobs stay, for `millwright jobs enter`: so many, and so many bytes together.
    size_t keep_failed = 5;
    uint64_t keep_failed_bytes = uint64_t{20} << 30;
    size_t max_held_describes = 32;  // beyond that, describe_changed answers at once
};

struct SecondaryStatusTransition {
    std::string status, message;
    Timestamp start{};
    std::optional<Timestamp> end;
};

struct FinalMetric {
    std::string name;
    double value = 0;
    Timestamp time{};
};

struct TrainingJob {
    std::string account, region, name, arn;
    std::string status, secondary_status;  // the AWS words
    Timestamp created{}, modified{};
    std::optional<Timestamp> training_start, training_end;
    Json request;             // as created, without Tags
    Json metric_definitions;  // effective: the request's, or those the service adds to a built-in algorithm
    std::string failure_reason;
    std::string model_artifacts;  // S3 URI; empty until uploaded
    std::optional<int64_t> training_seconds, billable_seconds;
    std::vector<SecondaryStatusTransition> transitions;
    std::vector<FinalMetric> final_metrics;
    std::optional<WarmPoolStatus> warm_pool;
    bool ended() const { return status == "Completed" || status == "Failed" || status == "Stopped"; }
};

struct TrainingJobSummary {
    std::string name, arn, status, secondary_status;
    Timestamp created{}, modified{};
    std::optional<Timestamp> training_end;
    std::optional<WarmPoolStatus> warm_pool;
};

struct TrainingJobQuery {
    enum class SortBy { Name, CreationTime, Status };
    std::optional<Timestamp> created_after, created_before, modified_after, modified_before;  // exclusive
    std::string name_contains, status_equals, warm_pool_status_equals;                        // empty: any
    SortBy sort_by = SortBy::CreationTime;
    bool ascending = false;
    size_t max_results = 100;
    std::string after;  // TrainingJobPage::next of the page before
};
struct TrainingJobPage {
    std::vector<TrainingJobSummary> jobs;
    std::string next;  // empty at the end
};

struct NewTrainingJob {
    std::string account, region;
    std::string created_by;  // ARN of the caller; jobs of different callers share the machine fairly
    Json request;
};

struct TrainingJobCard;  // training_job_card.h

// Thread-safe. Everything passed to open() must outlive it, and the supervisor must be shut down before it goes.
class TrainingJobs {
  public:
    struct Parts {
        metadata_store::Database& database;
        object_store::ObjectStore& objects;
        executors::Executor& executor;
        jobs::Supervisor& supervisor;
        Identity& identity;
        Logs& logs;
        Metrics& metrics;
        Tags& tags;
        const Clock& clock;
        Random& random;
        Environments* environments = nullptr;  // without it, framework images are refused
        ImageNames* images = nullptr;          // without it, all others but the built-in algorithms'
    };
    // Continues unfinished jobs of an earlier server.
    static Result<std::unique_ptr<TrainingJobs>> open(const TrainingJobSettings& settings, const Parts& parts);
    virtual ~TrainingJobs() = default;

    // The ARN; the job is on disk and queued. InvalidInput: refused, the message says why. AlreadyExists: the name is
    // taken, the message is AWS's. LimitExceeded: can never fit (strict capacity).
    virtual Result<std::string> create(const NewTrainingJob& job) = 0;
    virtual Result<TrainingJob> describe(std::string_view account, std::string_view region,
                                         std::string_view name) = 0;  // NotFound
    virtual Result<TrainingJobCard> inspect(std::string_view account, std::string_view region,
                                            std::string_view name) = 0;  // NotFound
    // As describe, but an unfinished job is answered only when its status changes, at most after `longest`. (Not with
    // each secondary status: a waiter that is told "Downloading" sleeps two minutes before it asks again.)
    virtual Result<TrainingJob> describe_changed(std::string_view account, std::string_view region,
                                                 std::string_view name, std::chrono::milliseconds longest) = 0;
    virtual Result<TrainingJobPage> list(std::string_view account, std::string_view region,
                                         const TrainingJobQuery& query) = 0;
    // Returns when the wish is on disk. Fine while it is stopping. Conflict: it has ended; the message is AWS's.
    virtual Result<void> stop(std::string_view account, std::string_view region, std::string_view name) = 0;
    // Takes the managed spot instance away: SIGTERM and the grace, then the job goes on from its checkpoints in another
    // segment. Returns when the wish is on disk. Conflict: it is no spot job, or does not run; the message says which.
    virtual Result<void> interrupt(std::string_view account, std::string_view region, std::string_view name) = 0;
    // Conflict: it has not ended.
    virtual Result<void> remove(std::string_view account, std::string_view region, std::string_view name) = 0;
    // How long the instances stay after the job's end; 0 releases them. The job's ARN. Conflict: its warm pool is over.
    virtual Result<std::string> set_keep_alive(std::string_view account, std::string_view region, std::string_view name,
                                               std::chrono::seconds keep_alive) = 0;
    // The server is stopping: every describe_changed answers at once from here on, and no thread of this object uses
    // the executor by itself any more. (Works do until the supervisor is shut down.)
    virtual void release_waiting() = 0;
};

std::string training_job_arn(std::string_view account, std::string_view region, std::string_view name);

}  // namespace millwright::resources
