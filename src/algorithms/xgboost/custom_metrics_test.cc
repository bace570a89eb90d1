// Against scikit-learn there are the golden jobs in train_test.cc; here are the corners.
#include "algorithms/xgboost/custom_metrics.h"

#include <gtest/gtest.h>

namespace millwright::algorithms::xgboost {
namespace {

using Floats = std::vector<float>;

double value(std::string_view metric, const Floats& labels, const std::vector<uint32_t>& predictions, size_t classes) {
    const auto confusion = count_confusion(labels, predictions, classes);
    return classification_metric(metric, confusion.value(), classes).value();
}

TEST(CustomMetricsUnit, SmallBinaryProblemByHand) {
    const Floats labels = {1, 1, 1, 0, 0};
    const std::vector<uint32_t> predictions = {1, 1, 0, 1, 0};
    EXPECT_DOUBLE_EQ(value("accuracy", labels, predictions, 2), 0.6);
    EXPECT_DOUBLE_EQ(value("precision", labels, predictions, 2), 2.0 / 3);
    EXPECT_DOUBLE_EQ(value("recall", labels, predictions, 2), 2.0 / 3);
    EXPECT_DOUBLE_EQ(value("f1_binary", labels, predictions, 2), 2.0 / 3);
    EXPECT_DOUBLE_EQ(value("balanced_accuracy", labels, predictions, 2), (2.0 / 3 + 0.5) / 2);
    EXPECT_DOUBLE_EQ(value("f1", labels, predictions, 2), (2.0 / 3 + 0.5) / 2);
}

TEST(CustomMetricsUnit, ClassesThatDoNotOccurAreNotAveraged) {
    const Floats labels = {0, 0, 2, 2};
    const std::vector<uint32_t> predictions = {0, 0, 2, 0};
    EXPECT_DOUBLE_EQ(value("recall_macro", labels, predictions, 5), 0.75);
    EXPECT_DOUBLE_EQ(value("precision_macro", labels, predictions, 5), (2.0 / 3 + 1) / 2);
    EXPECT_DOUBLE_EQ(value("precision_micro", labels, predictions, 5), 0.75);
}

TEST(CustomMetricsUnit, RatiosWithoutCasesAreZero) {
    EXPECT_DOUBLE_EQ(value("precision", {1, 1}, {0, 0}, 2), 0);
    EXPECT_DOUBLE_EQ(value("f1_binary", {0, 0}, {0, 0}, 2), 0);
}

TEST(CustomMetricsUnit, BinaryAveragesRefuseMoreClasses) {
    const std::vector<uint32_t> predictions = {0, 1, 2};
    const auto confusion = count_confusion(Floats{0, 1, 2}, predictions, 3);
    EXPECT_FALSE(classification_metric("f1_binary", confusion.value(), 3));
}

TEST(CustomMetricsUnit, LabelsMustBeClasses) {
    const std::vector<uint32_t> predictions = {0};
    EXPECT_FALSE(count_confusion(Floats{0.5F}, predictions, 2));
    EXPECT_FALSE(count_confusion(Floats{2}, predictions, 2));
    EXPECT_FALSE(count_confusion(Floats{-1}, predictions, 2));
    EXPECT_FALSE(count_confusion(Floats{std::stof("nan")}, predictions, 2));
}

TEST(CustomMetricsUnit, MarginsBecomeClasses) {
    EXPECT_EQ(classes_of_margins(Floats{-0.1F, 0, 0.1F}, 1), (std::vector<uint32_t>{0, 0, 1}));
    EXPECT_EQ(classes_of_margins(Floats{1, 3, 2, 5, 5, 1}, 3), (std::vector<uint32_t>{1, 0}));
}

TEST(CustomMetricsUnit, SumsOfTwoHostsGiveTheValueOfAllRows) {
    const Floats labels = {1000001, 1000002, 1000003, 1000007};
    const Floats predictions = {1000001, 1000003, 1000003, 1000006};
    auto whole = sum_regression(labels, predictions, 1000003);
    auto first = sum_regression(std::span(labels).first(1), std::span(predictions).first(1), 1000003);
    const auto second = sum_regression(std::span(labels).subspan(1), std::span(predictions).subspan(1), 1000003);
    for (size_t i = 0; i < first.size(); ++i) first[i] += second[i];
    EXPECT_DOUBLE_EQ(regression_metric("r2", first), regression_metric("r2", whole));
    EXPECT_DOUBLE_EQ(regression_metric("mse", whole), 0.5);
    EXPECT_NEAR(regression_metric("r2", whole), 1 - 2 / 20.75, 1e-12);
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
