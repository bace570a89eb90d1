// What a CreateTrainingJob request lets run: a built-in algorithm, the user's script, or a command of its own.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "resources/training_jobs/training_plan.h"

namespace millwright::resources {

// InvalidInput: an image that stands for nothing here, or one that cannot do what is asked for.
Result<TrainingCommand> plan_command(const Json& request);

// A hyperparameter as the frameworks' estimators send it, a JSON text, or as boto3 users do, the text itself.
std::string script_parameter(const Json& request, std::string_view name);

}  // namespace millwright::resources
