#include "resources/training_jobs/metric_regex.h"

#include <gtest/gtest.h>

#include <chrono>

#include "resources/training_jobs/metric_definitions.h"

namespace millwright::resources {
namespace {

std::optional<double> find(const std::string& pattern, std::string_view line) {
    const auto regex = MetricRegex::compile(pattern);
    EXPECT_TRUE(regex) << pattern;
    return regex ? (*regex)->find(line) : std::nullopt;
}

TEST(MetricRegex, SearchesAnywhereInTheLine) {
    EXPECT_EQ(find("loss: ([0-9.]+)", "epoch 3 loss: 0.25, next"), 0.25);
    EXPECT_EQ(find("loss: ([0-9.]+)", "epoch 3"), std::nullopt);
}

TEST(MetricRegex, StopsAtTheLiteralThatStandsForATab) {
    EXPECT_EQ(find(R"(.*\[[0-9]+\].*#011train-rmse:(\S+))", "[0]#011train-rmse:8.09#011validation-rmse:8.3"), 8.09);
}

TEST(MetricRegex, FallsBackToPcreForLookAround) {
    EXPECT_EQ(find("(?<=acc=)([0-9.]+)", "x acc=0.5"), 0.5);
    EXPECT_EQ(find("(?<!val_)acc=([0-9.]+)", "val_acc=0.5"), std::nullopt);
}

TEST(MetricRegex, IgnoresWhatIsNoFiniteNumber) {
    for (const auto line : {"v=nan", "v=inf", "v=abc", "v="}) EXPECT_EQ(find("v=(.*)", line), std::nullopt) << line;
    EXPECT_EQ(find("v=(.*)", "v=-1e-3 "), -1e-3);
}

TEST(MetricRegex, RefusesPatternsThatAreNoneOrCaptureNothing) {
    EXPECT_FALSE(MetricRegex::compile("(unclosed"));
    EXPECT_FALSE(MetricRegex::compile("no group"));
}

TEST(MetricRegex, CatastrophicPatternsAreCutShort) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(find("(?=x)(x+x+)+y", std::string(5000, 'x')), std::nullopt);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(DefaultMetricDefinitions, FindEachValueOfAnXgboostLine) {
    const auto definitions = default_metric_definitions("xgboost");
    EXPECT_EQ(definitions.size(), 40u);
    int found = 0;
    for (const auto& definition : definitions.items()) {
        const auto value = find(definition["Regex"].as_string(), "[7]#011train-rmse:1.5#011validation-rmse:2.5e-05");
        const auto name = definition["Name"].as_string();
        if (name == "train:rmse") {
            EXPECT_EQ(value, 1.5);
        }
        if (name == "validation:rmse") {
            EXPECT_EQ(value, 2.5e-05);
        }
        found += value.has_value() ? 1 : 0;
    }
    EXPECT_EQ(found, 2);
}

}  // namespace
}  // namespace millwright::resources
