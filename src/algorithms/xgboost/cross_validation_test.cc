#include "algorithms/xgboost/cross_validation.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace millwright::algorithms::xgboost {
namespace {

TEST(Folds, AreOfNearlyEqualSizeAndRepeatable) {
    const auto folds = assign_folds(103, {}, 5, 7).value();
    for (int fold = 0; fold < 5; ++fold) {
        const auto size = std::count(folds.begin(), folds.end(), fold);
        EXPECT_TRUE(size == 20 || size == 21) << size;
    }
    EXPECT_EQ(folds, assign_folds(103, {}, 5, 7).value());
    EXPECT_NE(folds, assign_folds(103, {}, 5, 8).value());
}

TEST(Folds, SpreadEveryClassEvenly) {
    std::vector<float> classes(90, 0);
    std::fill(classes.begin() + 60, classes.end(), 1.0F);
    const auto folds = assign_folds(classes.size(), classes, 3, 1).value();
    for (int fold = 0; fold < 3; ++fold) {
        EXPECT_EQ(std::count(folds.begin() + 60, folds.end(), fold), 10);
        EXPECT_EQ(std::count(folds.begin(), folds.begin() + 60, fold), 20);
    }
}

TEST(Folds, MoreFoldsThanRowsAreRefused) {
    EXPECT_EQ(assign_folds(3, {}, 4, 1).error().message,
              "Cannot have number of splits n_splits=4 greater than the number of samples: n_samples=3.");
    const std::vector<float> classes = {0, 0, 1, 1, 2, 2};
    EXPECT_EQ(assign_folds(6, classes, 3, 1).error().message,
              "n_splits=3 cannot be greater than the number of members in each class.");
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
