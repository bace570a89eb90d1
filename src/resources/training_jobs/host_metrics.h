// CPUUtilization, MemoryUtilization and DiskUtilization of the hosts of running jobs, and GPUUtilization and
// GPUMemoryUtilization where the machine has GPUs and the instance type has some: percent, in the namespace
// /aws/sagemaker/TrainingJobs with the dimension Host = "<job>/algo-N", as on AWS. Processors and GPUs are summed: four
// busy ones are 400 %.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "executors/executor.h"
#include "metadata_store/database.h"
#include "resources/metrics/metrics.h"
#include "resources/training_jobs/gpu_usage.h"

namespace millwright::resources {

struct MeasuredRun {
    std::string run_id;
    std::string account, region, job;
    bool gpus = false;  // the instance type has some
};

// The samples of one host at `time`. `before` was measured `apart` earlier. What the machine cannot tell is left out.
std::vector<MetricSample> host_samples(const MeasuredRun& run, size_t host, const executors::HostUsage& before,
                                       const executors::HostUsage& now, std::chrono::milliseconds apart,
                                       Timestamp time);
std::vector<MetricSample> gpu_samples(const MeasuredRun& run, size_t host, const GpuUsage& usage, Timestamp time);

// Thread-safe; one thread, which sleeps while nothing runs.
class HostMetrics {
  public:
    struct Parts {
        executors::Executor& executor;
        metadata_store::Database& database;
        Metrics& metrics;
        const Clock& clock;
    };
    // A run is measured after a second (or one interval, if that is shorter), so that short jobs are seen at all, and
    // then once in each interval. An interval of 0 switches it off.
    static std::unique_ptr<HostMetrics> start(const Parts& parts, std::chrono::milliseconds interval);
    virtual ~HostMetrics() = default;

    // From now on; again, for the same run, is fine. A run that ends is forgotten by itself.
    virtual void watch(const MeasuredRun& run) = 0;
    // Before the executor ends. Nothing is measured any more.
    virtual void shut_down() = 0;
};

}  // namespace millwright::resources
