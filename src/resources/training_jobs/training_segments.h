// A job may run in several segments: when its spot instance is taken away, or when the platform fails and the request
// allows another attempt. Each segment is a run of its own, on fresh files with the checkpoints restored.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "executors/executor.h"
#include "resources/training_jobs/training_job_store.h"
#include "resources/training_jobs/training_plan.h"

namespace millwright::resources {

enum class Follows {
    Nothing,            // the job ends with this outcome
    AfterInterruption,  // spot: the instance was taken away, or the machine was restarted
    AfterFault,         // RetryStrategy: the run could not be started, or was lost
};

// The run could not be started because of the image itself: it has no such command, or user, or is for other processors.
bool is_images_fault(const TrainingPlan& plan, const executors::RunOutcome& outcome);

// REQUIRES: the row is not past Running.
Follows what_follows(const TrainingJobRow& row, const TrainingPlan& plan, const executors::RunOutcome& outcome);
// Whether an error before the start is a fault of the platform that the request allows to try again.
bool may_retry(const TrainingJobRow& row, const TrainingPlan& plan, const Error& error);

// What is left of MaxRuntimeInSeconds, which spans all segments; rounded up, 0 when nothing is.
std::chrono::seconds runtime_left(const TrainingJobRow& row, const TrainingPlan& plan);

// Before the attempt after so many faults; growing.
std::chrono::milliseconds rest_before(int retries);

// How long after its start the segment is to be interrupted: exponentially distributed, and the same whenever it is
// asked again for this job and segment, so a restart of the server changes nothing. None unless it is a spot job and
// `mean` is positive.
std::optional<std::chrono::milliseconds> planned_interruption(const TrainingJobRow& row, const TrainingPlan& plan,
                                                              std::chrono::seconds mean, const std::string& seed);

// The statuses' messages.
std::string interruption_message(int interruption, bool has_checkpoints);
std::string retry_message(const std::string& why, int retry, int most);

// TrainingTimeInSeconds and BillableTimeInSeconds of what ran: never 0. `billed_share` is 1 without spot.
struct BilledTime {
    int64_t training_seconds = 1, billable_seconds = 1;
};
BilledTime billed_time(std::chrono::milliseconds ran, double billed_share);

}  // namespace millwright::resources
