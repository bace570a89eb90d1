// Which hosts a CreateTrainingJob request asks for, and how long they live: instance groups, managed spot training,
// retries.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "resources/training_jobs/training_plan.h"

namespace millwright::resources {

// InstanceType and InstanceCount, or InstanceGroups, to hosts and what each of them wants. InvalidInput, in AWS's words
// where the service has words for it.
Result<void> plan_hosts(const Json& request, TrainingPlan& plan);

// REQUIRES: plan.max_runtime is set.
Result<void> plan_life(const Json& request, TrainingPlan& plan);

}  // namespace millwright::resources
