// Repeated k-fold cross validation (`_kfold`, `_num_cv_round`): one model per fold and repetition, and the
// predictions of each row by models that have not seen it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "algorithms/common/job_log.h"
#include "algorithms/common/training_environment.h"
#include "algorithms/xgboost/boosting.h"
#include "algorithms/xgboost/hyperparameters.h"
#include "base/result.h"

namespace millwright::algorithms::xgboost {

// Fold of each row, for `folds` folds of nearly equal size; with `classes` (one per row) each class is spread
// evenly. The same seed and repetition give the same folds. InvalidInput when there are fewer rows, or rows
// of every class, than folds.
Result<std::vector<int>> assign_folds(size_t rows, std::span<const float> classes, int folds, uint64_t seed);

// `all` is train and validation together; `input` is watched as in ordinary training. Writes
// model/xgboost-model-<i> and output/data/predictions.csv (label, mean score and most frequent class, or
// label and mean prediction).
Result<void> cross_validate(const Matrix& all, const BoostingInput& input, const Settings& settings,
                            const TrainingEnvironment& environment, const Cluster& cluster, JobLog& log);

}  // namespace millwright::algorithms::xgboost
