// Turns log lines into metrics while a job runs: follows the event files of its hosts with inotify, applies the metric
// definitions, and stores samples together with the file position they came from, so each line counts exactly once
// however often the server dies.
#pragma once

#include <memory>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "resources/metrics/metrics.h"
#include "resources/training_jobs/training_job_store.h"

namespace millwright::resources {

struct ScrapedJob {
    int64_t id = 0;
    std::string account, region, name;
    Json definitions;
    std::vector<std::string> log_files;  // one per host
};

// Thread-safe; one thread for all jobs.
class MetricScraper {
  public:
    static Result<std::unique_ptr<MetricScraper>> start(TrainingJobStore& store, Metrics& metrics);
    virtual ~MetricScraper() = default;

    // Follows the logs from the stored positions (0 at first) until drain().
    virtual Result<void> watch(const ScrapedJob& job) = 0;
    // Reads what is left, also of a job that was never watched, and stops following. After the run has ended.
    virtual Result<void> drain(const ScrapedJob& job) = 0;
};

}  // namespace millwright::resources
