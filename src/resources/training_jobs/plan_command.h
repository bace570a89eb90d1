// What a CreateTrainingJob request lets run: a built-in algorithm, the user's script, a command of its own, or an
// image.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "resources/training_jobs/training_plan.h"

namespace millwright::resources {

// InvalidInput: no name of an image, or one that cannot do what is asked for. `image`: see plan_training().
Result<TrainingCommand> plan_command(const Json& request, const std::string& image);

// Whether a script of the user's is named (sagemaker_program, SAGEMAKER_PROGRAM).
bool has_script(const Json& request);

// A hyperparameter as the frameworks' estimators send it, a JSON text, or as boto3 users do, the text itself.
std::string script_parameter(const Json& request, std::string_view name);

}  // namespace millwright::resources
