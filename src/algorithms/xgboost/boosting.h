// The rounds of one model: update, evaluate, print, checkpoint, stop early.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/common/job_log.h"
#include "algorithms/xgboost/booster.h"
#include "algorithms/xgboost/cluster.h"
#include "algorithms/xgboost/hyperparameters.h"
#include "base/result.h"

namespace millwright::algorithms::xgboost {

struct BoostingInput {
    Matrix train;
    // Evaluated after each round, "train" first; the last one decides early stopping when it is "validation".
    std::vector<Matrix> watched;
    std::vector<std::string> watched_names;
    std::string checkpoint_dir;  // empty: none
    std::string model_path;      // where save_model_on_termination keeps the model of the last round
};

struct BoostingOutcome {
    Booster booster;
    std::vector<Score> last_scores;
    bool terminated = false;  // SIGTERM came; the model has the rounds done so far
};

// Calls are collective when the cluster is distributed. Prints on the leader only.
Result<BoostingOutcome> boost(const BoostingInput& input, const Settings& settings, const Cluster& cluster,
                              JobLog& log);

// "[0]#011train-rmse:8.09483#011validation-rmse:8.33559"
std::string evaluation_line(int round, const std::vector<Score>& scores);
ModelForm model_form(const Settings& settings);

}  // namespace millwright::algorithms::xgboost
