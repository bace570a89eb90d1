// The metrics that the XGBoost container computes itself, beside those of the library. Equal to
// scikit-learn's.
//
// Everything is a sum over rows (a confusion matrix, or moments of labels and errors), so several hosts add
// their sums and get the value of all rows together.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms::xgboost {

bool is_custom_metric(std::string_view name);
// Compares class labels; the others (mse, r2) compare numbers.
bool is_classification_metric(std::string_view name);

// Class labels of predictions: `margins` are rows * width raw scores, before the link function. One score per
// row: 1 above 0, else 0. Several: the first largest.
std::vector<uint32_t> classes_of_margins(std::span<const float> margins, size_t width);

// counts[label * classes + predicted], to be added over hosts. REQUIRES: predictions below `classes`.
// InvalidInput when a label is not a whole number in [0, classes).
Result<std::vector<double>> count_confusion(std::span<const float> labels, std::span<const uint32_t> predictions,
                                            size_t classes);
// InvalidInput where scikit-learn refuses (f1_binary, precision and recall of more than two classes).
Result<double> classification_metric(std::string_view name, std::span<const double> confusion, size_t classes);

// Four sums: rows, labels, labels squared (both relative to `shift`), squared errors. Any common `shift` near
// the mean keeps r2 exact.
std::vector<double> sum_regression(std::span<const float> labels, std::span<const float> predictions, double shift);
double regression_metric(std::string_view name, std::span<const double> sums);

}  // namespace millwright::algorithms::xgboost
