// How a training job ends, from how its run ended.
#pragma once

#include <string>

#include "base/result.h"
#include "executors/contract/failure.h"
#include "executors/executor.h"
#include "resources/training_jobs/training_job_store.h"

namespace millwright::resources {

struct TrainingVerdict {
    std::string status, secondary_status, message, failure_reason;
};

// REQUIRES: the run has ended.
TrainingVerdict judge(StopCause stop, const executors::RunOutcome& outcome, const executors::FailedRun& run);
// The job fails because something before or after the run did not work.
TrainingVerdict failed(const std::string& failure_reason);
TrainingVerdict stopped(StopCause cause);

// Faults of the user's data or request, as opposed to ours.
bool is_users_fault(const Error& error);
// Worth trying again.
bool heals(const Error& error);
// "ClientError: …" or "InternalServerError: …".
std::string failure_reason_of(const Error& error);
// Lost before its first instruction.
bool never_ran(const executors::RunOutcome& outcome);

}  // namespace millwright::resources
