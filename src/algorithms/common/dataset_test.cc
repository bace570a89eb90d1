#include "algorithms/common/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millwright::algorithms {
namespace {

using ::testing::ElementsAre;

Dataset dense(size_t columns, std::initializer_list<float> values) {
    Dataset data;
    data.columns = columns;
    data.rows = values.size() / columns;
    data.values.assign(values.begin(), values.end());
    return data;
}

TEST(Dataset, MakeSparseDropsMissingAndKeepsZeros) {
    Dataset data = dense(3, {1, kMissing, 0, 4, 5, kMissing});
    make_sparse(data);
    EXPECT_THAT(data.row_starts, ElementsAre(0, 2, 4));
    EXPECT_THAT(data.indices, ElementsAre(0, 2, 0, 1));
    EXPECT_THAT(data.values, ElementsAre(1, 0, 4, 5));
    EXPECT_THAT(data.row_indices(1), ElementsAre(0, 1));
}

TEST(Dataset, MakeDenseFillsAbsentWithZeroAndLastDuplicateWins) {
    Dataset data;
    data.sparse = true;
    data.rows = 2;
    data.columns = 3;
    data.row_starts = {0, 3, 3};
    data.indices = {2, 0, 2};
    data.values = {1, 5, 7};
    make_dense(data);
    EXPECT_FALSE(data.sparse);
    EXPECT_THAT(data.values, ElementsAre(5, 0, 7, 0, 0, 0));
}

TEST(Dataset, AppendJoinsDenseRows) {
    Dataset data = dense(2, {1, 2});
    data.labels = {9};
    data.label_width = 1;
    Dataset tail = dense(2, {3, 4, 5, 6});
    tail.labels = {8, 7};
    tail.label_width = 1;
    ASSERT_TRUE(append(data, std::move(tail)));
    EXPECT_EQ(data.rows, 3u);
    EXPECT_THAT(data.values, ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_THAT(data.labels, ElementsAre(9, 8, 7));
}

TEST(Dataset, AppendOfMixedLayoutsIsSparse) {
    Dataset data = dense(2, {1, 2});
    Dataset tail;
    tail.sparse = true;
    tail.rows = 1;
    tail.columns = 5;
    tail.row_starts = {0, 1};
    tail.indices = {4};
    tail.values = {3};
    ASSERT_TRUE(append(data, std::move(tail)));
    EXPECT_TRUE(data.sparse);
    EXPECT_EQ(data.columns, 5u);
    EXPECT_THAT(data.row_starts, ElementsAre(0, 2, 3));
    EXPECT_THAT(data.indices, ElementsAre(0, 1, 4));
}

TEST(Dataset, AppendRefusesRowsThatDoNotFit) {
    Dataset data = dense(2, {1, 2});
    auto wider = append(data, dense(3, {1, 2, 3}));
    ASSERT_FALSE(wider);
    EXPECT_EQ(wider.error().message, "number of columns differs between rows: expected 2, got 3");
    Dataset weighted = dense(2, {1, 2});
    weighted.weights = {1};
    EXPECT_FALSE(append(data, std::move(weighted)));
}

TEST(Dataset, QueryGroupsAreRuns) {
    Dataset data = dense(1, {1, 2, 3, 4});
    data.query_ids = {5, 5, 1, 5};
    EXPECT_THAT(query_groups(data), ElementsAre(2, 1, 1));
    EXPECT_THAT(query_groups(dense(1, {1})), ElementsAre());
}

}  // namespace
}  // namespace millwright::algorithms
