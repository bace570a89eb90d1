// Whole jobs in this process: against libxgboost's Python package, and the ways a job ends.
#include <gmock/gmock.h>

#include <cmath>

#include "algorithms/common/readers.h"
#include "algorithms/xgboost/booster.h"
#include "algorithms/xgboost/data.h"
#include "algorithms/xgboost/testing.h"
#include "algorithms/xgboost/xgboost.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

using testing::HasSubstr;

struct Outcome {
    Result<void> result;
    std::vector<std::string> lines;  // those that start with "["round"]"
    std::string log;
};

bool is_evaluation_line(std::string_view line) {
    return line.starts_with('[') && line.find("]#011") != std::string_view::npos;
}

Outcome run(JobFolder& job) {
    testing::internal::CaptureStdout();
    Outcome out{.result = train(job.environment), .lines = {}, .log = {}};
    out.log = testing::internal::GetCapturedStdout();
    for (const std::string_view line : split(out.log, '\n')) {
        if (is_evaluation_line(line)) out.lines.emplace_back(line);
    }
    return out;
}

Matrix read_matrix(const std::string& path, const std::string& form) {
    ReaderOptions options{.format = form == "csv" ? Format::Csv : Format::Libsvm, .label_size = 1};
    return Matrix::create(read_files({path}, options).value(), 0).value();
}

std::map<std::string, std::string> hyperparameters_of(const Json& document) {
    std::map<std::string, std::string> out;
    for (const JsonMember& member : document.members()) out[member.name] = member.value.as_string();
    return out;
}

class Golden : public testing::TestWithParam<size_t> {};

TEST_P(Golden, LinesAndPredictionsAreThoseOfTheLibrary) {
    const Json golden = golden_cases();
    const Json& one = golden["cases"][GetParam()];
    SCOPED_TRACE(one["name"].as_string());
    JobFolder job;
    job.environment.hyperparameters = hyperparameters_of(one["hyperparameters"]);
    job.add_golden(one["data"].as_string(), one["form"].as_string());

    const Outcome outcome = run(job);
    ASSERT_TRUE(outcome.result) << outcome.result.error().message;
    std::vector<std::string> expected;
    for (const Json& line : one["lines"].items()) expected.push_back(line.as_string());
    EXPECT_EQ(outcome.lines, expected);

    const std::string bytes = read_file(job.model()).value();
    const Booster booster = Booster::load(bytes).value();
    if (one["hyperparameters"]["booster"].string_or("") != "gblinear") {
        EXPECT_EQ(booster.rounds().value(), one["rounds"].as_int());
    }
    const Matrix validation = read_matrix(
        golden_path(one["data"].as_string() + "_validation." + one["form"].as_string()), one["form"].as_string());
    const Predictions predictions = booster.predict(validation, PredictionKind::Value).value();
    ASSERT_EQ(predictions.values.size(), one["predictions"].size());
    for (size_t i = 0; i < predictions.values.size(); ++i) {
        ASSERT_EQ(predictions.values[i], static_cast<float>(one["predictions"][i].as_double())) << "row value " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::Range(size_t{0}, golden_cases()["cases"].size()),
                         [](const auto& one) { return golden_cases()["cases"][one.param]["name"].as_string(); });

class CustomMetrics : public testing::TestWithParam<size_t> {};

TEST_P(CustomMetrics, LastLineHasScikitLearnsValues) {
    const Json golden = golden_cases();
    const Json& one = golden["custom"][GetParam()];
    SCOPED_TRACE(one["name"].as_string());
    JobFolder job;
    job.environment.hyperparameters = hyperparameters_of(one["hyperparameters"]);
    job.add_golden(one["data"].as_string(), one["form"].as_string());
    const Outcome outcome = run(job);
    ASSERT_TRUE(outcome.result) << outcome.result.error().message;
    ASSERT_FALSE(outcome.lines.empty());
    for (const char* data : {"train", "validation"}) {
        for (const JsonMember& score : one["scores"][data].members()) {
            const std::string key = "#011" + std::string(data) + "-" + score.name + ":";
            const size_t at = outcome.lines.back().find(key);
            ASSERT_NE(at, std::string::npos) << key << " in " << outcome.lines.back();
            EXPECT_NEAR(strtod(outcome.lines.back().c_str() + at + key.size(), nullptr), score.value.as_double(),
                        1e-5 + 1e-6)
                << key;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Cases, CustomMetrics, testing::Range(size_t{0}, golden_cases()["custom"].size()),
                         [](const auto& one) { return golden_cases()["custom"][one.param]["name"].as_string(); });

// --- the ways a job ends ---

JobFolder& with_small_data(JobFolder& job, std::map<std::string, std::string> hyperparameters = {{"num_round", "2"}}) {
    job.environment.hyperparameters = std::move(hyperparameters);
    job.add_golden("diabetes", "csv");
    return job;
}

std::string error_of(JobFolder& job) {
    const Outcome outcome = run(job);
    if (outcome.result) return "none";
    EXPECT_EQ(outcome.result.error().kind, ErrorKind::InvalidInput) << outcome.result.error().message;
    return outcome.result.error().message;
}

TEST(Train, BadHyperparametersEndTheJobBeforeDataIsRead) {
    JobFolder job;
    EXPECT_EQ(error_of(with_small_data(job, {{"num_round", "2"}, {"bogus", "1"}})),
              "Extraneous hyperparameter found: bogus");
    EXPECT_FALSE(file_exists(job.model()));
}

TEST(Train, LabelsOutsideTheObjectiveAreTheUsersMistake) {
    JobFolder job;
    EXPECT_THAT(error_of(with_small_data(job, {{"num_round", "2"}, {"objective", "binary:logistic"}})),
                HasSubstr("label must be in [0,1] for logistic regression"));
    JobFolder classes;
    classes.environment.hyperparameters = {{"num_round", "2"}, {"objective", "multi:softmax"}, {"num_class", "2"}};
    classes.add_golden("wine", "csv");
    EXPECT_THAT(error_of(classes), HasSubstr("label must be in [0, num_class)"));
}

TEST(Train, BrokenCsvNamesFileAndLine) {
    JobFolder job;
    job.environment.hyperparameters = {{"num_round", "2"}};
    job.add_channel("train", "text/csv", {{"part-1.csv", "1,2,3\n2,x,4\n"}});
    const std::string message = error_of(job);
    EXPECT_THAT(message, HasSubstr("part-1.csv"));
    EXPECT_THAT(message, HasSubstr("2"));
}

TEST(Train, HiddenFilesAreRefusedInTheContainersWords) {
    JobFolder job;
    job.environment.hyperparameters = {{"num_round", "2"}};
    job.add_channel("train", "text/csv", {{".hidden", "x"}, {"a.csv", "1,2\n"}});
    EXPECT_EQ(error_of(job), "Hidden file found in the data path! Remove that before training.");
}

TEST(Train, EmptyChannelsAreNamed) {
    JobFolder job;
    job.environment.hyperparameters = {{"num_round", "2"}};
    job.add_channel("train", "text/csv", {});
    EXPECT_EQ(error_of(job), "No data in training channel path " + job.path() + "/input/data/train");
    JobFolder second;
    second.environment.hyperparameters = {{"num_round", "2"}};
    second.add_channel("train", "text/csv", {{"a.csv", "1,2\n3,4\n"}});
    second.add_channel("validation", "text/csv", {});
    EXPECT_EQ(error_of(second), "No data in validation channel path " + second.path() + "/input/data/validation");
}

TEST(Train, CustomMetricsOfAnotherKindOfProblemAreRefused) {
    JobFolder job;
    EXPECT_THAT(error_of(with_small_data(job, {{"num_round", "2"}, {"eval_metric", "accuracy"}})),
                HasSubstr("Classification metrics can't handle"));
    JobFolder wine;
    wine.environment.hyperparameters = {
        {"num_round", "2"}, {"objective", "multi:softmax"}, {"num_class", "3"}, {"eval_metric", "f1_binary"}};
    wine.add_golden("wine", "csv");
    EXPECT_THAT(error_of(wine), HasSubstr("Target is multiclass but average='binary'"));
}

TEST(Train, TheTuningMetricIsPrintedToo) {
    JobFolder job;
    const Outcome outcome = run(with_small_data(
        job, {{"num_round", "1"}, {"eval_metric", "rmse"}, {"_tuning_objective_metric", "validation:mae"}}));
    ASSERT_TRUE(outcome.result);
    ASSERT_EQ(outcome.lines.size(), 1U);
    EXPECT_THAT(outcome.lines[0], HasSubstr("#011validation-mae:"));
    EXPECT_THAT(outcome.lines[0], HasSubstr("#011validation-rmse:"));
}

TEST(Train, ResumingFromACheckpointGivesTheUninterruptedModel) {
    const std::map<std::string, std::string> whole = {{"num_round", "9"}, {"eta", "0.2"}};
    JobFolder uninterrupted;
    ASSERT_TRUE(run(with_small_data(uninterrupted, whole)).result);

    JobFolder job;
    with_small_data(job, {{"num_round", "4"}, {"eta", "0.2"}});
    job.environment.checkpoint_dir = job.path() + "/checkpoints";
    ASSERT_TRUE(run(job).result);
    EXPECT_TRUE(file_exists(job.path() + "/checkpoints/xgboost-checkpoint.3"));

    job.environment.hyperparameters = whole;
    const Outcome resumed = run(job);
    ASSERT_TRUE(resumed.result) << resumed.result.error().message;
    ASSERT_EQ(resumed.lines.size(), 5U);
    EXPECT_TRUE(resumed.lines.front().starts_with("[4]#011"));
    EXPECT_THAT(resumed.log, HasSubstr("Resuming from iteration 4"));
    // The newest five of the second run; those of the first stay.
    EXPECT_TRUE(file_exists(job.path() + "/checkpoints/xgboost-checkpoint.8"));
    EXPECT_TRUE(file_exists(job.path() + "/checkpoints/xgboost-checkpoint.0"));

    const Matrix validation = read_matrix(golden_path("diabetes_validation.csv"), "csv");
    const auto a = Booster::load(read_file(uninterrupted.model()).value())
                       .value()
                       .predict(validation, PredictionKind::Value)
                       .value();
    const auto b =
        Booster::load(read_file(job.model()).value()).value().predict(validation, PredictionKind::Value).value();
    EXPECT_EQ(a.values, b.values);
}

TEST(Train, ADamagedCheckpointEndsTheJobWithAReason) {
    JobFolder job;
    with_small_data(job);
    job.environment.checkpoint_dir = job.path() + "/checkpoints";
    std::filesystem::create_directories(job.environment.checkpoint_dir);
    ASSERT_TRUE(write_file(job.environment.checkpoint_dir + "/xgboost-checkpoint.1", "binf garbage"));
    EXPECT_THAT(error_of(job), HasSubstr("The model cannot be loaded"));
}

TEST(Train, UpdatingTreesNeedsACheckpointAndRefreshesIt) {
    const std::map<std::string, std::string> refresh = {
        {"num_round", "3"}, {"process_type", "update"}, {"updater", "refresh"}, {"refresh_leaf", "1"}};
    JobFolder job;
    with_small_data(job, refresh);
    job.environment.checkpoint_dir = job.path() + "/checkpoints";
    EXPECT_THAT(error_of(job), HasSubstr("process_type 'update' changes the trees of a model"));
    job.environment.hyperparameters = {{"num_round", "3"}};
    ASSERT_TRUE(run(job).result);
    job.environment.hyperparameters = refresh;
    const Outcome updated = run(job);
    ASSERT_TRUE(updated.result) << updated.result.error().message;
    EXPECT_EQ(updated.lines.size(), 3U);
    EXPECT_EQ(Booster::load(read_file(job.model()).value()).value().rounds().value(), 3);
}

TEST(Train, CrossValidationLeavesAModelPerFoldAndPredictions) {
    JobFolder job;
    job.environment.hyperparameters = {{"num_round", "3"},
                                       {"objective", "binary:logistic"},
                                       {"_kfold", "3"},
                                       {"_num_cv_round", "2"},
                                       {"eval_metric", "error"}};
    job.add_golden("cancer", "csv");
    const Outcome outcome = run(job);
    ASSERT_TRUE(outcome.result) << outcome.result.error().message;
    for (int i = 0; i < 6; ++i) EXPECT_TRUE(file_exists(job.model() + "-" + std::to_string(i))) << i;
    EXPECT_FALSE(file_exists(job.model()));
    // Three rounds for each of six models, and means after both repetitions and at the end.
    EXPECT_EQ(outcome.lines.size(), 6 * 3 + 3U);
    const std::string csv = read_file(job.path() + "/output/data/predictions.csv").value();
    const auto lines = split(trim(csv), '\n');
    EXPECT_EQ(lines.size(), 569U);
    size_t right = 0;
    for (const auto line : lines) {
        const auto cells = split(line, ',');
        ASSERT_EQ(cells.size(), 3U);
        right += cells[0] == cells[2] ? 1 : 0;
    }
    EXPECT_GT(right, 510U);
}

TEST(Train, ModelsOfNewTagsAreUbjsonAndTreeMethodAutoIsHist) {
    JobFolder job;
    with_small_data(job);
    job.environment.algorithm_version = "3.0-5";
    const Outcome outcome = run(job);
    ASSERT_TRUE(outcome.result);
    EXPECT_THAT(outcome.log, HasSubstr("tree_method auto is hist"));
    const std::string bytes = read_file(job.model()).value();
    EXPECT_EQ(bytes.substr(0, 2), "{L");
    EXPECT_TRUE(Booster::load(bytes));

    JobFolder hist;
    with_small_data(hist, {{"num_round", "2"}, {"tree_method", "hist"}});
    EXPECT_EQ(run(hist).lines, outcome.lines);
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
