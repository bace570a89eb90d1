// The run behind one training job, as the supervisor drives it: each step is recorded before the next begins.
#pragma once

#include <functional>
#include <memory>

#include "jobs/supervisor.h"
#include "resources/training_jobs/checkpoint_uploader.h"
#include "resources/training_jobs/host_metrics.h"
#include "resources/training_jobs/job_deadlines.h"
#include "resources/training_jobs/metric_scraper.h"
#include "resources/training_jobs/training_job_store.h"
#include "resources/training_jobs/training_plan.h"
#include "resources/training_jobs/warm_pools.h"

namespace millwright::resources {

// What runs share; lives as long as TrainingJobs.
struct TrainingRunContext {
    const TrainingJobSettings& settings;
    const TrainingJobs::Parts& parts;
    TrainingJobStore& store;
    MetricScraper& scraper;
    HostMetrics& host_metrics;
    CheckpointUploader& checkpoints;
    JobDeadlines& deadlines;
    WarmPools& pools;
    std::function<void(int64_t id)> changed;  // something visible was committed
};

// REQUIRES: `plan` is the plan of row's request.
std::shared_ptr<jobs::Work> make_training_run(const TrainingRunContext& context, const TrainingJobRow& row,
                                              TrainingPlan plan, const jobs::Grant& grant);

std::string training_run_key(int64_t id);
std::string training_run_folder(const TrainingJobSettings& settings, const std::string& run_id);

}  // namespace millwright::resources
