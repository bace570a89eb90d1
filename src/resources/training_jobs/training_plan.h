// What a CreateTrainingJob request means here, or why it is refused. Pure: looks at nothing but the request.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "executors/contract/artifacts.h"
#include "executors/contract/training_contract.h"
#include "jobs/capacity.h"
#include "object_store/object_store.h"
#include "resources/images/images.h"

namespace millwright::resources {

struct TrainingPlan {
    BuiltInImage image;
    executors::TrainingDescription training;
    jobs::Demand wanted;  // per host, by the instance type
    Json metric_definitions;
    object_store::S3Uri output;  // key ends with '/', or is empty
    executors::ArtifactForm artifact_form = executors::ArtifactForm::TarGzip;
    std::chrono::seconds max_runtime{86'400};
    bool network_isolation = false;
    std::map<std::string, std::string> environment;  // of the request
};

// InvalidInput: the request asks for something Millwright does not do; the message names it. docs/reference/training.md
// lists all of them.
Result<TrainingPlan> plan_training(const Json& request);

}  // namespace millwright::resources
