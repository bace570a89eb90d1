// The outcome of a run as it is kept in the job's row from Finishing on.
#pragma once

#include "base/json.h"
#include "executors/executor.h"

namespace millwright::resources {

Json outcome_to_json(const executors::RunOutcome& outcome);
executors::RunOutcome outcome_from_json(const Json& document);

}  // namespace millwright::resources
