// Warm pools: the instances of a job stay for a while after its end, for the next job that matches.
//
//   InUse ──the job ends──▶ Available ──a matching job is created──▶ Reused
//     │                         └──its time is over, released, or the machine is needed──▶ Terminated
//     └──ends without instances worth keeping──▶ Terminated
//
// What stays is a share of the machine, the pool's cache folder and, for script jobs, a spare (executors/executor.h)
// whose interpreter has loaded what the job's script imports. docs/internals/warm_pools.md tells how they fit together.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "executors/executor.h"
#include "jobs/supervisor.h"
#include "metadata_store/database.h"

namespace millwright::resources {

inline constexpr const char* kWarmCacheInside = "/opt/ml/sagemaker/warmpoolcache";

struct WarmPoolStatus {
    std::string status;                       // the AWS word
    std::optional<int64_t> retained_seconds;  // so far, or in all; none while InUse
    std::string reused_by;                    // name of the job
};

// What a job leaves behind.
struct KeptInstances {
    std::string match;  // equal for jobs that may follow each other
    std::string image;  // preferred by jobs of the same
    jobs::Demand demand;
    int hosts = 1;
    std::string folder;  // of the run that ended; its cache moves on
};

// An interpreter that is to stand ready on instances that were kept. Without id, folder and log files.
struct WarmSpare {
    executors::RunSpec spec;
    std::string environment;  // id of the Python environment
};

struct TakenInstances {
    std::string run_id;  // of the run to prepare: the spare's, or the one that was given
    bool ready = false;  // a spare waits for the work
    bool reused = false;
};

// Thread-safe. A pool is known by the id of the job that left it.
class WarmPools {
  public:
    struct Parts {
        metadata_store::Database& database;
        executors::Executor& executor;
        jobs::Supervisor& supervisor;
        const Clock& clock;
        Random& random;
    };
    // `folder`: where runs have their folders. Goes on with the pools of an earlier server.
    static Result<std::unique_ptr<WarmPools>> open(const std::string& folder, const Parts& parts);
    virtual ~WarmPools() = default;

    // Runs whose folders pools hold.
    virtual std::set<std::string> run_ids() = 0;
    // A job with a keep-alive period begins. Again is fine.
    virtual Result<void> begin(int64_t job, std::chrono::seconds keep_alive) = 0;
    // Takes the best available pool for a new job: the key of its reservation, or empty.
    virtual std::string claim(const std::string& match, const std::string& image, int64_t job,
                              const std::string& name) = 0;
    // Before the job's run is prepared: under which id, and whether on a spare, whose environment must be the same. The
    // pool's cache is brought along.
    virtual TakenInstances take(int64_t job, const std::string& environment, const std::string& fresh_run_id) = 0;
    // What the job claimed or took and has not used is ended.
    virtual void give_up(int64_t job) = 0;

    // The job is about to end. True: its instances are Available from now on, and stand_ready() may follow.
    virtual Result<bool> keep(int64_t job, const KeptInstances& instances) = 0;
    virtual Result<void> keep_nothing(int64_t job) = 0;
    virtual void stand_ready(int64_t job, WarmSpare spare) = 0;

    // UpdateTrainingJob: from the end of the job; 0 releases. Conflict: reused or terminated.
    virtual Result<void> set_keep_alive(int64_t job, std::chrono::seconds keep_alive) = 0;
    virtual Result<std::optional<WarmPoolStatus>> status(int64_t job) = 0;
    // The job is deleted.
    virtual Result<void> forget(int64_t job) = 0;
    // Before the executor and the supervisor end. Spares live on for the next server.
    virtual void shut_down() = 0;
};

// Host N's cache of a run: shown at kWarmCacheInside. `{host}` for all hosts.
std::string warm_cache_folder(const std::string& run_folder, const std::string& host);

// As status() has it, for lists that read the row themselves.
WarmPoolStatus warm_pool_status(std::string status, std::optional<int64_t> since_ms, std::optional<int64_t> retained,
                                std::string reused_by, Timestamp now);

}  // namespace millwright::resources
