// WarmPoolStatus, as descriptions and lists of training jobs show it.
#pragma once

#include <optional>

#include "base/json.h"
#include "resources/training_jobs/training_jobs.h"

namespace millwright::services {

// Does nothing for a job without a warm pool.
void set_warm_pool_status(const std::optional<resources::WarmPoolStatus>& pool, Json& document);

}  // namespace millwright::services
