#include "algorithms/xgboost/custom_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace millwright::algorithms::xgboost {
namespace {

constexpr std::array<std::string_view, 11> kClassification = {
    "accuracy",        "balanced_accuracy", "f1",     "f1_binary",    "f1_macro",    "precision",
    "precision_macro", "precision_micro",   "recall", "recall_macro", "recall_micro"};

// Counts of one class. Ratios without any case are 0, as scikit-learn's zero_division default.
struct ClassCounts {
    double hits = 0;       // label and prediction
    double labelled = 0;   // label
    double predicted = 0;  // prediction

    double precision() const { return predicted > 0 ? hits / predicted : 0; }
    double recall() const { return labelled > 0 ? hits / labelled : 0; }
    double f1() const { return labelled + predicted > 0 ? 2 * hits / (labelled + predicted) : 0; }
    bool present() const { return labelled > 0 || predicted > 0; }
};

std::vector<ClassCounts> count_classes(std::span<const double> confusion, size_t classes) {
    std::vector<ClassCounts> out(classes);
    for (size_t label = 0; label < classes; ++label) {
        for (size_t predicted = 0; predicted < classes; ++predicted) {
            const double count = confusion[label * classes + predicted];
            out[label].labelled += count;
            out[predicted].predicted += count;
            if (label == predicted) out[label].hits += count;
        }
    }
    return out;
}

using Measure = double (ClassCounts::*)() const;

// Mean over the classes that occur among labels or predictions.
double macro_average(const std::vector<ClassCounts>& classes, Measure measure) {
    double sum = 0;
    double present = 0;
    for (const ClassCounts& one : classes) {
        if (!one.present()) continue;
        sum += (one.*measure)();
        present += 1;
    }
    return present > 0 ? sum / present : 0;
}

// Of class 1, the positive one.
Result<double> binary_value(const std::vector<ClassCounts>& classes, Measure measure) {
    const auto present =
        std::count_if(classes.begin(), classes.end(), [](const ClassCounts& one) { return one.present(); });
    const bool beyond = std::any_of(classes.begin() + std::min<ptrdiff_t>(2, std::ssize(classes)), classes.end(),
                                    [](const ClassCounts& one) { return one.present(); });
    if (present > 2 || beyond) {
        return invalid_input(
            "Target is multiclass but average='binary'. Please choose another average setting, "
            "one of [None, 'micro', 'macro', 'weighted'].");
    }
    return (classes[1].*measure)();
}

double balanced_accuracy(const std::vector<ClassCounts>& classes) {
    double sum = 0;
    double labelled = 0;
    for (const ClassCounts& one : classes) {
        if (one.labelled == 0) continue;
        sum += one.recall();
        labelled += 1;
    }
    return labelled > 0 ? sum / labelled : 0;
}

double accuracy(const std::vector<ClassCounts>& classes) {
    double hits = 0;
    double rows = 0;
    for (const ClassCounts& one : classes) {
        hits += one.hits;
        rows += one.labelled;
    }
    return rows > 0 ? hits / rows : 0;
}

}  // namespace

bool is_classification_metric(std::string_view name) {
    return std::find(kClassification.begin(), kClassification.end(), name) != kClassification.end();
}

bool is_custom_metric(std::string_view name) { return name == "mse" || name == "r2" || is_classification_metric(name); }

std::vector<uint32_t> classes_of_margins(std::span<const float> margins, size_t width) {
    std::vector<uint32_t> out(width == 0 ? 0 : margins.size() / width);
    for (size_t row = 0; row < out.size(); ++row) {
        const auto scores = margins.subspan(row * width, width);
        out[row] = width == 1 ? (scores[0] > 0 ? 1U : 0U)
                              : static_cast<uint32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    }
    return out;
}

Result<std::vector<double>> count_confusion(std::span<const float> labels, std::span<const uint32_t> predictions,
                                            size_t classes) {
    std::vector<double> out(classes * classes);
    for (size_t row = 0; row < labels.size(); ++row) {
        const float label = labels[row];
        if (!(label >= 0) || label >= static_cast<float>(classes) || label != std::floor(label)) {
            return invalid_input("Classification metrics need labels that are whole numbers in [0, " +
                                 std::to_string(classes) + "), but a label is " + std::to_string(label));
        }
        out[static_cast<size_t>(label) * classes + predictions[row]] += 1;
    }
    return out;
}

Result<double> classification_metric(std::string_view name, std::span<const double> confusion, size_t classes) {
    const std::vector<ClassCounts> counts = count_classes(confusion, classes);
    // Micro averages over all classes of a single-label problem are the accuracy.
    if (name == "accuracy" || name == "precision_micro" || name == "recall_micro") return accuracy(counts);
    if (name == "balanced_accuracy") return balanced_accuracy(counts);
    if (name == "f1" || name == "f1_macro") return macro_average(counts, &ClassCounts::f1);
    if (name == "precision_macro") return macro_average(counts, &ClassCounts::precision);
    if (name == "recall_macro") return macro_average(counts, &ClassCounts::recall);
    if (name == "f1_binary") return binary_value(counts, &ClassCounts::f1);
    if (name == "precision") return binary_value(counts, &ClassCounts::precision);
    if (name == "recall") return binary_value(counts, &ClassCounts::recall);
    return internal_error("unknown metric " + std::string(name));
}

std::vector<double> sum_regression(std::span<const float> labels, std::span<const float> predictions, double shift) {
    std::vector<double> sums(4);
    for (size_t row = 0; row < labels.size(); ++row) {
        const double label = labels[row] - shift;
        const double error = static_cast<double>(labels[row]) - static_cast<double>(predictions[row]);
        sums[0] += 1;
        sums[1] += label;
        sums[2] += label * label;
        sums[3] += error * error;
    }
    return sums;
}

double regression_metric(std::string_view name, std::span<const double> sums) {
    const double rows = sums[0];
    if (rows == 0) return 0;
    if (name == "mse") return sums[3] / rows;
    const double spread = sums[2] - sums[1] * sums[1] / rows;
    if (spread <= 0) return sums[3] == 0 ? 1 : 0;  // constant labels, as scikit-learn
    return 1 - sums[3] / spread;
}

}  // namespace millwright::algorithms::xgboost
