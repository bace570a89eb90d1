// The files of the last failed jobs, for those who want to look at them or enter them again.
#pragma once

#include "resources/training_jobs/training_run.h"

namespace millwright::resources {

// Removes those beyond the limits of the settings, the oldest first.
void limit_kept_runs(const TrainingRunContext& context);

// Bytes on the disk below `folder`; what is linked from elsewhere (channels) does not count.
uint64_t own_bytes(const std::string& folder);

}  // namespace millwright::resources
