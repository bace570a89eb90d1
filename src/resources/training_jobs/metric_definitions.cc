#include "resources/training_jobs/metric_definitions.h"

#include <string>

namespace millwright::resources {
namespace {

// For `train` and `validation` each, so 40 definitions: the most a job may show. The documented tunable ones come
// first.
constexpr std::string_view kXgboostMetrics[] = {
    "accuracy",  "auc",      "error",     "f1",   "logloss", "mae",   "map",
    "merror",    "mlogloss", "mse",       "ndcg", "rmse",    "aucpr", "balanced_accuracy",
    "f1_binary", "f1_macro", "precision", "r2",   "recall",  "rmsle",
};

// Not (\S+): the literal "#011" that stands for a tab would be part of it.
const std::string kNumber = "([-+]?[0-9]*\\.?[0-9]+(?:[eE][-+]?[0-9]+)?)";

Json definition(std::string name, std::string regex) {
    return Json::object({{"Name", std::move(name)}, {"Regex", std::move(regex)}});
}

}  // namespace

Json default_metric_definitions(std::string_view algorithm) {
    auto list = Json::array();
    if (algorithm != "xgboost") {
        list.push_back(definition("train:progress", "#progress_metric: host=\\S+, completed (\\S+) %"));
        list.push_back(
            definition("train:throughput", "#throughput_metric: host=\\S+, train throughput=(\\S+) records/second"));
        return list;
    }
    for (const auto metric : kXgboostMetrics) {
        for (const std::string split : {"train", "validation"}) {
            const std::string name(metric);
            list.push_back(
                definition(split + ":" + name, ".*\\[[0-9]+\\].*#011" + split + "-" + name + ":" + kNumber + ".*"));
        }
    }
    return list;
}

}  // namespace millwright::resources
