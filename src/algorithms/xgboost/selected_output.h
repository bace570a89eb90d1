// SAGEMAKER_INFERENCE_OUTPUT: which content about each prediction an answer holds.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "algorithms/xgboost/booster.h"
#include "base/result.h"

namespace millwright::algorithms::xgboost {

// A number, whole or not, or a list of them; NaN where the objective has no such content.
using SelectedValue = std::variant<double, int64_t, std::vector<double>, std::vector<int64_t>>;

struct SelectedOutput {
    std::vector<std::string> keys;                 // as asked for
    std::vector<std::vector<SelectedValue>> rows;  // one value per key
};

// "predicted_label, probabilities" -> {"predicted_label", "probabilities"}.
std::vector<std::string> parse_selected_keys(std::string_view text);

// InvalidInput for objectives that have no selectable content.
Result<SelectedOutput> select_output(const Predictions& predictions, const std::vector<std::string>& keys,
                                     std::string_view objective, size_t num_class);

// Texts as Python's json and csv print them.
std::string selected_json(const SelectedOutput& output);
std::string selected_json_lines(const SelectedOutput& output);
std::string selected_csv(const SelectedOutput& output);

}  // namespace millwright::algorithms::xgboost
