#include "algorithms/xgboost/selected_output.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "algorithms/common/job_log.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

constexpr std::array<std::string_view, 5> kRegressions = {"reg:squarederror", "reg:logistic", "reg:gamma",
                                                          "reg:absoluteerror", "reg:tweedie"};
constexpr std::array<std::string_view, 5> kClassifications = {"binary:logistic", "binary:logitraw", "binary:hinge",
                                                              "multi:softmax", "multi:softprob"};

const double kNone = std::numeric_limits<double>::quiet_NaN();

bool has_probabilities(std::string_view objective) {
    return objective == "binary:logistic" || objective == "multi:softprob";
}

SelectedValue predicted_label(std::span<const float> values, std::string_view objective) {
    if (objective == "binary:logistic") return static_cast<int64_t>(values[0] > 0.5F);
    if (objective == "binary:logitraw") return static_cast<int64_t>(values[0] > 0);
    if (objective == "multi:softprob")
        return static_cast<int64_t>(std::max_element(values.begin(), values.end()) - values.begin());
    return static_cast<double>(values[0]);
}

SelectedValue all_labels(std::string_view objective, size_t num_class) {
    std::vector<int64_t> labels(objective.starts_with("binary:") ? 2 : num_class);
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i);
    return labels;
}

SelectedValue top_score(std::span<const float> values) {
    return static_cast<double>(*std::max_element(values.begin(), values.end()));
}

SelectedValue all_scores(std::span<const float> values) {
    if (values.size() > 1) return std::vector<double>(values.begin(), values.end());
    const double one = values[0];
    return std::vector<double>{1.0 - one, one};
}

SelectedValue value_of(std::string_view key, std::span<const float> values, std::string_view objective,
                       size_t num_class) {
    const bool regression = std::find(kRegressions.begin(), kRegressions.end(), objective) != kRegressions.end();
    if (regression)
        return key == "predicted_score" ? SelectedValue(static_cast<double>(values[0])) : SelectedValue(kNone);
    if (key == "predicted_label") return predicted_label(values, objective);
    if (key == "labels") return all_labels(objective, num_class);
    if (key == "probability" && has_probabilities(objective)) return top_score(values);
    if (key == "probabilities" && has_probabilities(objective)) return all_scores(values);
    if (key == "raw_score") return top_score(values);
    if (key == "raw_scores") return all_scores(values);
    return kNone;
}

enum class Style { Json, Python };

void append_number(std::string& out, double value, Style style) {
    if (style == Style::Json && std::isnan(value)) {
        out += "NaN";
    } else {
        out += python_float(value);
    }
}
void append_number(std::string& out, int64_t value, Style) { out += std::to_string(value); }

template <typename T>
void append_list(std::string& out, const std::vector<T>& values, Style style) {
    out += '[';
    for (size_t i = 0; i < values.size(); ++i) {
        if (i > 0) out += ", ";
        append_number(out, values[i], style);
    }
    out += ']';
}

void append_value(std::string& out, const SelectedValue& value, Style style) {
    const bool quoted = style == Style::Python && value.index() >= 2;  // lists inside CSV
    if (quoted) out += '"';
    if (const auto* number = std::get_if<double>(&value)) append_number(out, *number, style);
    if (const auto* number = std::get_if<int64_t>(&value)) append_number(out, *number, style);
    if (const auto* list = std::get_if<std::vector<double>>(&value)) append_list(out, *list, style);
    if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) append_list(out, *list, style);
    if (quoted) out += '"';
}

void append_object(std::string& out, const SelectedOutput& output, size_t row) {
    out += '{';
    for (size_t i = 0; i < output.keys.size(); ++i) {
        if (i > 0) out += ", ";
        append_json_string(out, output.keys[i]);
        out += ": ";
        append_value(out, output.rows[row][i], Style::Json);
    }
    out += '}';
}

}  // namespace

std::vector<std::string> parse_selected_keys(std::string_view text) {
    std::vector<std::string> out;
    for (const std::string_view part : split(text, ',')) {
        std::string key = to_lower(part);
        std::erase(key, ' ');
        if (!key.empty()) out.push_back(std::move(key));
    }
    return out;
}

Result<SelectedOutput> select_output(const Predictions& predictions, const std::vector<std::string>& keys,
                                     std::string_view objective, size_t num_class) {
    const bool known = std::find(kRegressions.begin(), kRegressions.end(), objective) != kRegressions.end() ||
                       std::find(kClassifications.begin(), kClassifications.end(), objective) != kClassifications.end();
    if (!known)
        return invalid_input("Objective `" + std::string(objective) +
                             "` unsupported for selectable inference predictions.");
    SelectedOutput out{.keys = keys, .rows = {}};
    for (size_t row = 0; row < predictions.rows; ++row) {
        const std::span<const float> values(predictions.values.data() + row * predictions.width, predictions.width);
        std::vector<SelectedValue>& line = out.rows.emplace_back();
        for (const std::string& key : keys) line.push_back(value_of(key, values, objective, num_class));
    }
    return out;
}

std::string selected_json(const SelectedOutput& output) {
    std::string out = R"({"predictions": [)";
    for (size_t row = 0; row < output.rows.size(); ++row) {
        if (row > 0) out += ", ";
        append_object(out, output, row);
    }
    return out + "]}";
}

std::string selected_json_lines(const SelectedOutput& output) {
    std::string out;
    for (size_t row = 0; row < output.rows.size(); ++row) {
        append_object(out, output, row);
        out += '\n';
    }
    return out;
}

std::string selected_csv(const SelectedOutput& output) {
    std::string out;
    for (size_t row = 0; row < output.rows.size(); ++row) {
        if (row > 0) out += '\n';
        for (size_t i = 0; i < output.keys.size(); ++i) {
            if (i > 0) out += ',';
            append_value(out, output.rows[row][i], Style::Python);
        }
    }
    return out;
}

}  // namespace millwright::algorithms::xgboost
