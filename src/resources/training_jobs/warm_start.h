// What a training job means for warm pools: whom its instances may serve next, and what is to stand ready on them.
#pragma once

#include <string>
#include <vector>

#include "resources/training_jobs/run_command.h"
#include "resources/training_jobs/training_jobs.h"
#include "resources/training_jobs/warm_pools.h"

namespace millwright::resources {

// Equal for jobs that may use each other's instances: account, region, role, instances, volume, VPC, isolation and
// encryption, as AWS has it. The image is not part of it: instances stay, containers do not.
std::string warm_pool_match(const TrainingJob& job);

// The modules that the Python files below `folder` import by name, sorted, whether they exist or not; each with the
// folders of its name ("torch", "torch.utils.data"). At most some hundred files and names.
std::vector<std::string> imported_modules(const std::string& folder);

// An interpreter that stands ready for scripts like that of `run`, whose code lies in its folder, on `instances` like
// its own. Nothing of the job itself is in it. REQUIRES: run.script.
WarmSpare warm_spare(const TrainingRunContext& context, const CommandedRun& run, executors::RunSpec instances);
// Tells the run that an interpreter stands ready beside it.
void run_on_spare(executors::RunSpec& spec);

// Shows each host its cache, which moves on from run to run of a pool.
Result<void> add_warm_cache(executors::RunSpec& spec);

}  // namespace millwright::resources
