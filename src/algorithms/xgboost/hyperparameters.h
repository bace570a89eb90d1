// The hyperparameters of the XGBoost container in algorithm mode, and what each image tag makes of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "algorithms/common/hyperparameters.h"
#include "base/result.h"

namespace millwright::algorithms::xgboost {

const HyperparameterTable& hyperparameter_table();

// "0.90-1", "1.2-2-cpu-py3", "1" (the first-party image of XGBoost 0.72), "latest". Unknown tags count
// as 1.7-1.
struct Version {
    int major = 1;
    int minor = 7;
    int build = 1;
    friend auto operator<=>(const Version&, const Version&) = default;
};
Version parse_version(std::string_view tag);

// A job's hyperparameters, checked against each other and split into those of the library and our own.
struct Settings {
    Version version;
    int num_round = 0;
    // In the order in which the library wants them; eval_metric may occur several times.
    std::vector<std::pair<std::string, std::string>> library;
    std::vector<std::string> custom_metrics;  // computed by custom_metrics.h, in the order asked for
    std::string objective;
    std::string booster;
    int num_class = 0;
    int threads = 0;  // 0: all processors
    int num_parallel_tree = 1;
    bool csv_weights = false;
    int early_stopping_rounds = 0;      // 0: off
    std::string early_stopping_metric;  // empty: the last one printed
    bool save_model_on_termination = false;
    int folds = 0;  // 0: no cross validation
    int cross_validation_rounds = 1;
    std::vector<std::string> notes;  // for the log: where this differs from what the tag did
};

// InvalidInput with the container's words.
Result<Settings> check_hyperparameters(const std::map<std::string, std::string>& given, std::string_view tag);

// True for "auc", "map@3", …; of the metrics that the container knows.
bool is_maximized(std::string_view metric);

}  // namespace millwright::algorithms::xgboost
