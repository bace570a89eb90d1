// XGBoost in algorithm mode, as `sagemaker-xgboost:<tag>` and `xgboost:1` run it, on libxgboost 1.7.
#pragma once

#include "algorithms/common/algorithm.h"
#include "algorithms/common/training_environment.h"

namespace millwright::algorithms::xgboost {

extern const Algorithm kXgboost;

Result<void> train(TrainingEnvironment& environment);
Result<std::unique_ptr<ServedModel>> load(const std::string& model_folder, const std::string& version);

}  // namespace millwright::algorithms::xgboost
