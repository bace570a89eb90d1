// What the role of a job lets the server read and write for it.
#pragma once

#include <functional>
#include <string>

#include "resources/training_jobs/training_plan.h"
#include "resources/training_jobs/training_run.h"

namespace millwright::resources {

// When a job is created: InvalidInput, in SageMaker's words, when the role may not list the channels' places, may not
// read the code of a script, or may not write to where outputs and checkpoints go.
Result<void> check_role_access(Identity& identity, object_store::ObjectStore& objects, const NewTrainingJob& job,
                               const TrainingPlan& plan);

// When it starts: InvalidInput for an object that the role may not read.
using ReadCheck = std::function<Result<void>(const std::string& bucket, const std::string& key)>;
Result<ReadCheck> readable_for_role(const TrainingRunContext& context, const TrainingJob& job);

}  // namespace millwright::resources
