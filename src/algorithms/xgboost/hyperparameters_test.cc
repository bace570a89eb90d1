#include "algorithms/xgboost/hyperparameters.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "algorithms/xgboost/testing.h"

namespace millwright::algorithms::xgboost {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Given = std::map<std::string, std::string>;
using Pair = std::pair<std::string, std::string>;

Result<Settings> check(Given given, std::string_view tag = "1.7-1") {
    given.emplace("num_round", "10");
    return check_hyperparameters(given, tag);
}

std::string error_of(Given given, std::string_view tag = "1.7-1") {
    const auto settings = check(std::move(given), tag);
    return settings ? "none" : settings.error().message;
}

TEST(XgboostHyperparameters, EveryDeclaredOneIsAcceptedAtAGoodValueAndRefusedAtABadOne) {
    const Given good = {{"booster", "dart"},
                        {"objective", "binary:logistic"},
                        {"eval_metric", "auc,error@0.7,f1"},
                        {"early_stopping_rounds", "3"},
                        {"seed", "-4"},
                        {"nthread", "2"},
                        {"verbosity", "0"},
                        {"base_score", "0.5"},
                        {"csv_weights", "1"},
                        {"save_model_on_termination", "True"},
                        {"_kfold", "2"},
                        {"_num_cv_round", "1"},
                        {"_tuning_objective_metric", "validation:auc"},
                        {"eta", "1"},
                        {"gamma", "0"},
                        {"max_depth", "0"},
                        {"min_child_weight", "120"},
                        {"max_delta_step", "0.7"},
                        {"subsample", "0.1"},
                        {"colsample_bytree", "1"},
                        {"colsample_bylevel", "0.5"},
                        {"colsample_bynode", "0.5"},
                        {"lambda", "0"},
                        {"alpha", "7"},
                        {"tree_method", "hist"},
                        {"sketch_eps", "0.1"},
                        {"scale_pos_weight", "2"},
                        {"updater", "grow_quantile_histmaker,prune"},
                        {"dsplit", "row"},
                        {"refresh_leaf", "0"},
                        {"process_type", "default"},
                        {"grow_policy", "lossguide"},
                        {"max_leaves", "3"},
                        {"max_bin", "9"},
                        {"predictor", "cpu_predictor"},
                        {"monotone_constraints", "(1,0,-1)"},
                        {"interaction_constraints", "[[0,1]]"},
                        {"num_parallel_tree", "2"},
                        {"deterministic_histogram", "true"},
                        {"sampling_method", "uniform"},
                        {"prob_buffer_row", "2"},
                        {"sample_type", "weighted"},
                        {"normalize_type", "forest"},
                        {"rate_drop", "0.1"},
                        {"one_drop", "1"},
                        {"skip_drop", "1"},
                        {"lambda_bias", "0.5"},
                        {"tweedie_variance_power", "1.2"},
                        {"aft_loss_distribution", "extreme"},
                        {"aft_loss_distribution_scale", "2"},
                        {"use_dask_gpu_training", "false"},
                        {"num_round", "1"}};
    const auto all = check(good);
    EXPECT_TRUE(all) << all.error().message;
    for (const Hyperparameter& one : hyperparameter_table().all()) {
        if (one.name == "silent" || one.name == "single_precision_histogram" || one.name == "num_class")
            continue;  // other tags, other objectives
        EXPECT_TRUE(good.contains(one.name)) << one.name;
        if (one.name == "_tuning_objective_metric") continue;  // any text; the metric is checked below
        Given bad = good;
        bad[one.name] = "-1000000000000";
        EXPECT_FALSE(check(bad)) << one.name;
    }
}

TEST(XgboostHyperparameters, RelationsAreCheckedInTheContainersWords) {
    EXPECT_EQ(error_of({{"objective", "multi:softmax"}}),
              "Require input for parameter 'num_class' for multi-classification");
    EXPECT_THAT(error_of({{"num_class", "3"}}), HasSubstr("Do not need to setup parameter 'num_class'"));
    EXPECT_THAT(error_of({{"monotone_constraints", "(1)"}}), HasSubstr("monotone_constraints can be used only when"));
    EXPECT_THAT(error_of({{"interaction_constraints", "[[0]]"}}),
                HasSubstr("interaction_constraints can be used only when"));
    EXPECT_EQ(error_of({{"eval_metric", "auc"}}),
              "Metric 'auc' can only be applied for classification and ranking problems.");
    EXPECT_EQ(error_of({{"eval_metric", "aft-nloglik"}}),
              "Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.");
    EXPECT_EQ(error_of({{"eval_metric", "error@x"}}), "Threshold value 't' in 'error@t' expects float input.");
    EXPECT_THAT(error_of({{"eval_metric", "rmse@1"}}), HasSubstr("Metric 'rmse@1' is not supported."));
    EXPECT_THAT(error_of({{"eval_metric", "rsme"}}),
                HasSubstr("Hyperparameter eval_metric: value ['rsme'] not in range ['accuracy', "));
    EXPECT_THAT(error_of({{"_tuning_objective_metric", "validation:rsme"}}), HasSubstr("not in range"));
    EXPECT_THAT(error_of({{"updater", "grow_colmaker,grow_histmaker"}}),
                HasSubstr("Only one tree grow plugin can be selected."));
    EXPECT_THAT(error_of({{"updater", "shotgun"}}), HasSubstr("Tree updater should be selected"));
    EXPECT_THAT(error_of({{"booster", "gblinear"}, {"updater", "prune"}}),
                HasSubstr("Linear updater should be one of these options: 'shotgun', 'coord_descent'."));
    EXPECT_EQ(error_of({{"process_type", "update"}, {"updater", "grow_colmaker"}}),
              "process_type 'update' can only be used with updater 'refresh' and 'prune'");
}

TEST(XgboostHyperparameters, WhatTheLibraryCannotDoIsRefused) {
    EXPECT_THAT(error_of({{"tree_method", "gpu_hist"}}), HasSubstr("gpu_hist needs a GPU build"));
    EXPECT_THAT(error_of({{"predictor", "gpu_predictor"}}), HasSubstr("needs a GPU build"));
    EXPECT_THAT(error_of({{"sampling_method", "gradient_based"}}), HasSubstr("needs a GPU build"));
    EXPECT_THAT(error_of({{"use_dask_gpu_training", "true"}}), HasSubstr("needs a GPU build"));
    EXPECT_THAT(error_of({{"dsplit", "col"}}), HasSubstr("not supported by the XGBoost 1.7 library"));
    EXPECT_THAT(error_of({{"updater", "grow_skmaker"}}), HasSubstr("is not in the XGBoost 1.7 library"));
    EXPECT_THAT(error_of({{"sagemaker_program", "\"train.py\""}}), HasSubstr("script mode is not supported yet"));
}

TEST(XgboostHyperparameters, TagsKnowWhatTheirContainersKnew) {
    EXPECT_EQ(error_of({{"silent", "1"}}, "0.90-1"), "none");
    EXPECT_EQ(error_of({{"silent", "1"}}, "1"), "none");
    EXPECT_EQ(error_of({{"silent", "1"}}), "Extraneous hyperparameter found: silent (known to image tags up to 1.0-1)");
    EXPECT_THAT(error_of({{"_kfold", "3"}}, "1.0-1"),
                "none");  // a platform name: dropped, as unknown ones are
    EXPECT_THAT(error_of({{"num_parallel_tree", "2"}}, "0.90-1"),
                HasSubstr("Extraneous hyperparameter found: num_parallel_tree"));
    EXPECT_EQ(error_of({{"single_precision_histogram", "true"}}, "1.5-1"), "none");
    EXPECT_THAT(error_of({{"single_precision_histogram", "true"}}), HasSubstr("Extraneous"));
    EXPECT_THAT(error_of({{"objective", "survival:aft"}}, "1.0-1"), HasSubstr("not known to this image tag"));
    EXPECT_EQ(error_of({{"objective", "reg:linear"}}, "1"), "none");
}

TEST(XgboostHyperparameters, TagsAreRead) {
    EXPECT_EQ(parse_version("0.90-2-cpu-py3"), (Version{0, 90, 2}));
    EXPECT_EQ(parse_version("1.2-2"), (Version{1, 2, 2}));
    EXPECT_EQ(parse_version("1"), (Version{0, 72, 1}));
    EXPECT_EQ(parse_version("3.0-5"), (Version{3, 0, 5}));
    EXPECT_EQ(parse_version("strange"), (Version{1, 7, 1}));
}

TEST(XgboostHyperparameters, LibraryParametersHaveTheLibrarysForm) {
    const auto settings = check({{"learning_rate", "0.1"},
                                 {"tree_method", "hist"},
                                 {"monotone_constraints", "[1, -1]"},
                                 {"interaction_constraints", "[[0, 1], [2]]"},
                                 {"updater", "[\"grow_quantile_histmaker\", \"prune\"]"},
                                 {"objective", "reg:linear"},
                                 {"eval_metric", "[\"rmse\", \"mse\"]"},
                                 {"early_stopping_rounds", "5"}});
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_THAT(settings->library, Contains(Pair("eta", "0.1")));
    EXPECT_THAT(settings->library, Contains(Pair("monotone_constraints", "(1,-1)")));
    EXPECT_THAT(settings->library, Contains(Pair("interaction_constraints", "[[0,1],[2]]")));
    EXPECT_THAT(settings->library, Contains(Pair("updater", "grow_quantile_histmaker,prune")));
    EXPECT_THAT(settings->library, Contains(Pair("objective", "reg:squarederror")));
    EXPECT_THAT(settings->library, Contains(Pair("eval_metric", "rmse")));
    EXPECT_THAT(settings->library, Not(Contains(Pair("eval_metric", "mse"))));
    EXPECT_EQ(settings->custom_metrics, std::vector<std::string>{"mse"});
    EXPECT_EQ(settings->early_stopping_metric, "mse");
}

TEST(XgboostHyperparameters, NewTagsTakeHistForAuto) {
    EXPECT_THAT(check({}, "3.0-5")->library, Contains(Pair("tree_method", "hist")));
    EXPECT_THAT(check({{"tree_method", "auto"}}, "3.0-5")->library, Not(Contains(Pair("tree_method", "auto"))));
    EXPECT_THAT(check({{"tree_method", "exact"}}, "3.0-5")->library, Contains(Pair("tree_method", "exact")));
    EXPECT_THAT(check({})->library, Not(Contains(Pair("tree_method", "hist"))));
}

TEST(XgboostHyperparameters, DirectionOfMetrics) {
    EXPECT_TRUE(is_maximized("auc"));
    EXPECT_TRUE(is_maximized("map@3"));
    EXPECT_FALSE(is_maximized("mape"));
    EXPECT_FALSE(is_maximized("error@0.7"));
}

TEST(XgboostHyperparameters, TheReferencePageHasThisTable) {
    const std::string page = read_file(std::string(MILLWRIGHT_GOLDEN_DIR) + "/../../docs/reference/xgboost.md").value();
    EXPECT_NE(page.find(hyperparameter_table().markdown()), std::string::npos)
        << "write it again: millwright-algorithms hyperparameters xgboost --markdown";
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
