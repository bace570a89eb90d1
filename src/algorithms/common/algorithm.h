// What the program `millwright-algorithms` knows about each built-in algorithm.
//
// One Algorithm value per algorithm, defined in <name>/<name>.cc and listed in programs/algorithms. There is no
// self-registration.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "algorithms/common/serving.h"
#include "base/result.h"

namespace millwright::algorithms {

struct TrainingEnvironment;  // training_environment.h

struct Algorithm {
    // As MILLWRIGHT_ALGORITHM names it: "pca", "xgboost".
    std::string_view name;
    // Trains under /opt/ml; returns when the model is written. An InvalidInput error is the user's ("ClientError: …" in
    // the failure file), anything else ours ("AlgorithmError: …"); the caller writes the file and sets the exit code.
    Result<void> (*train)(TrainingEnvironment& environment);
    // Loads the model for serving. `version` is the image tag ("1", "1.7-1").
    Result<std::unique_ptr<ServedModel>> (*load)(const std::string& model_folder, const std::string& version);
};

}  // namespace millwright::algorithms
