#include "algorithms/xgboost/booster.h"

#include <gmock/gmock.h>

#include <random>
#include <thread>

#include "algorithms/common/readers.h"
#include "algorithms/xgboost/testing.h"

namespace millwright::algorithms::xgboost {
namespace {

using testing::HasSubstr;

Dataset golden_data(const std::string& file) {
    return read_files({golden_path(file)}, {.format = Format::Csv, .label_size = 1}).value();
}

std::string small_model(const std::map<std::string, std::string>& parameters = {}) {
    const Matrix train = Matrix::create(golden_data("cancer_holes_train.csv"), 1).value();
    Booster booster = Booster::create({&train, 1}).value();
    EXPECT_TRUE(booster.set("objective", "binary:logistic"));
    for (const auto& [name, value] : parameters) EXPECT_TRUE(booster.set(name, value));
    for (int round = 0; round < 5; ++round) EXPECT_TRUE(booster.update(round, train));
    return booster.save(ModelForm::Binary).value();
}

TEST(ModelBytes, GoodOnesPass) {
    const std::string binary = small_model();
    EXPECT_TRUE(check_model_bytes(binary));
    const std::string ubj = Booster::load(binary)->save(ModelForm::Ubj).value();
    EXPECT_TRUE(check_model_bytes(ubj));
    EXPECT_TRUE(Booster::load(ubj));
}

TEST(ModelBytes, BadOnesAreRefusedWithAReasonAndNothingCrashes) {
    const std::string good = small_model();
    for (const std::string& bad :
         {std::string(), std::string("hello"), std::string(200, '\0'), good.substr(0, good.size() / 2),
          "binf" + std::string(300, '\xff'), std::string("{\"learner\":{}}"), std::string("{"),
          good.substr(0, 90) + std::string(good.size(), '\x7f')}) {
        const auto checked = check_model_bytes(bad);
        ASSERT_FALSE(checked) << bad.size() << " bytes were taken";
        EXPECT_EQ(checked.error().kind, ErrorKind::InvalidInput);
        EXPECT_FALSE(checked.error().message.empty());
    }
}

TEST(ModelBytes, PicklesAreNamed) {
    EXPECT_THAT(check_model_bytes("\x80\x03"
                                  "cxgboost.core\nBooster\n")
                    .error()
                    .message,
                HasSubstr("Python pickle"));
}

TEST(InPlacePrediction, IsBitEqualToThatOfAMatrix) {
    for (const std::map<std::string, std::string>& parameters :
         {std::map<std::string, std::string>{},
          std::map<std::string, std::string>{{"booster", "dart"}, {"rate_drop", "0.5"}},
          std::map<std::string, std::string>{{"num_parallel_tree", "3"}, {"tree_method", "hist"}}}) {
        Booster booster = Booster::load(small_model(parameters)).value();
        ASSERT_TRUE(booster.prepare_for_serving());
        Dataset data = golden_data("cancer_holes_validation.csv");
        const Matrix matrix = Matrix::create(data, 1).value();
        const auto expected = booster.predict(matrix, PredictionKind::Value).value();
        const auto dense = booster.predict_in_place(data).value();
        EXPECT_EQ(dense.values, expected.values);
        make_sparse(data);
        EXPECT_EQ(booster.predict_in_place(data)->values, expected.values);
    }
}

TEST(InPlacePrediction, MissingColumnsAtTheEndAreMissingValuesAndMoreAreAnError) {
    Booster booster = Booster::load(small_model()).value();
    ASSERT_TRUE(booster.prepare_for_serving());
    Dataset narrow;
    narrow.rows = 2;
    narrow.columns = 2;
    narrow.values = {12, 15, 20, 25};
    Dataset wide = narrow;
    wide.columns = 30;
    wide.values.assign(60, kMissing);
    wide.values[0] = 12, wide.values[1] = 15, wide.values[30] = 20, wide.values[31] = 25;
    EXPECT_EQ(booster.predict_in_place(narrow)->values, booster.predict_in_place(wide)->values);
    wide.columns = 31;
    wide.values.assign(62, 0.0F);
    EXPECT_THAT(booster.predict_in_place(wide).error().message,
                HasSubstr("larger than the feature size of the trained model, 30"));
}

TEST(InPlacePrediction, ManyThreadsGetTheSameAnswers) {
    Booster booster = Booster::load(small_model()).value();
    ASSERT_TRUE(booster.prepare_for_serving());
    const Dataset data = golden_data("cancer_holes_validation.csv");
    const auto expected = booster.predict_in_place(data).value();
    std::atomic<int> wrong{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i)
                wrong += booster.predict_in_place(data).value().values == expected.values ? 0 : 1;
        });
    }
    threads.clear();
    EXPECT_EQ(wrong.load(), 0);
}

TEST(Matrices, InfiniteValuesAreTheUsersMistake) {
    Dataset data;
    data.rows = 1;
    data.columns = 2;
    data.values = {1, std::numeric_limits<float>::infinity()};
    data.labels = {0};
    data.label_width = 1;
    const auto matrix = Matrix::create(data, 1);
    ASSERT_FALSE(matrix);
    EXPECT_EQ(matrix.error().kind, ErrorKind::InvalidInput);
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
