#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>

#include "algorithms/common/job_log.h"
#include "algorithms/common/readers.h"
#include "algorithms/common/recordio.h"
#include "algorithms/xgboost/booster.h"
#include "algorithms/xgboost/testing.h"
#include "algorithms/xgboost/xgboost.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

using testing::HasSubstr;

// Sets a variable of the environment for one test.
class Variable {
  public:
    Variable(std::string name, const std::string& value) : name_(std::move(name)) {
        setenv(name_.c_str(), value.c_str(), 1);
    }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;
    ~Variable() { unsetenv(name_.c_str()); }

  private:
    std::string name_;
};

std::unique_ptr<ServedModel> train_and_load(JobFolder& job, const std::string& data,
                                            std::map<std::string, std::string> hyperparameters,
                                            const std::string& version = "1.7-1") {
    hyperparameters.emplace("num_round", "3");
    job.environment.hyperparameters = std::move(hyperparameters);
    job.add_golden(data, "csv");
    testing::internal::CaptureStdout();
    const auto trained = train(job.environment);
    testing::internal::GetCapturedStdout();
    EXPECT_TRUE(trained) << trained.error().message;
    auto model = load(job.environment.model_dir, version);
    EXPECT_TRUE(model) << model.error().message;
    return *std::move(model);
}

std::vector<float> library_predictions(const JobFolder& job, const std::string& csv) {
    const Booster booster = Booster::load(read_file(job.model()).value()).value();
    Dataset data = parse_bytes(csv, "rows", {.format = Format::Csv}).value();
    return booster.predict(Matrix::create(data, 1).value(), PredictionKind::Value).value().values;
}

const char* const kTwoRows =
    "0.03,0.05,0.06,0.02,-0.04,-0.03,-0.04,0.0,0.02,-0.02\n-0.002,,-0.05,-0.026,-0.008,-0.02,0.07,-0.04,-0."
    "07,-0.09\n";

ServeReply ask(const ServedModel& model, std::string_view type, std::string_view accept, std::string_view body) {
    return model.invoke({.content_type = type, .accept = accept, .custom_attributes = {}, .body = body});
}

TEST(Serving, AnswersHaveTheContainersForms) {
    JobFolder job;
    const auto model = train_and_load(job, "diabetes", {});
    const auto expected = library_predictions(job, kTwoRows);
    const std::string a = python_float(expected[0]);
    const std::string b = python_float(expected[1]);
    const ServeReply csv = ask(*model, "text/csv", "", kTwoRows);
    EXPECT_EQ(csv.status, 200) << csv.body;
    EXPECT_EQ(csv.content_type, "text/csv");
    EXPECT_EQ(csv.body, a + "\n" + b + "\n");
    EXPECT_EQ(ask(*model, "text/csv; charset=utf-8", "*/*", kTwoRows).body, csv.body);
    EXPECT_EQ(ask(*model, "text/csv", "application/json", kTwoRows).body,
              R"({"predictions": [{"score": )" + a + R"(}, {"score": )" + b + "}]}");
    EXPECT_EQ(ask(*model, "text/csv", "application/jsonlines", kTwoRows).body,
              R"({"score": )" + a + "}\n" + R"({"score": )" + b + "}\n");
    const ServeReply records = ask(*model, "text/csv", "application/x-recordio-protobuf", kTwoRows);
    EXPECT_EQ(records.status, 200);
    EXPECT_THAT(records.body, HasSubstr("score"));
}

TEST(Serving, EarlierTagsJoinRowsByCommas) {
    JobFolder job;
    const auto model = train_and_load(job, "diabetes", {}, "1.2-1");
    const auto expected = library_predictions(job, kTwoRows);
    EXPECT_EQ(ask(*model, "text/csv", "", kTwoRows).body, python_float(expected[0]) + "," + python_float(expected[1]));
}

TEST(Serving, LibsvmAndRecordIoGiveWhatCsvGives) {
    JobFolder job;
    const auto model = train_and_load(job, "diabetes", {});
    const std::string expected = ask(*model, "text/csv", "", "0.5,,0.25\n").body;
    EXPECT_EQ(ask(*model, "text/libsvm", "", "0:0.5 2:0.25\n").body, expected);
    EXPECT_EQ(ask(*model, "", "", "1 0:0.5 2:0.25").body, expected);
    const std::vector<float> values = {0.5F, 0.25F};
    const std::vector<uint64_t> keys = {0, 2};
    const std::vector<uint64_t> shape = {10};
    std::string record;
    append_record(record, {.features = {{.name = "values", .values = values, .keys = keys, .shape = shape}},
                           .label = {},
                           .uid = {},
                           .metadata = {}});
    EXPECT_EQ(ask(*model, "application/x-recordio-protobuf", "", record).body, expected);
}

TEST(Serving, BadRequestsHaveTheirStatus) {
    JobFolder job;
    const auto model = train_and_load(job, "diabetes", {});
    EXPECT_EQ(ask(*model, "text/csv", "", "").status, 204);
    EXPECT_EQ(ask(*model, "image/png", "", "x").status, 415);
    EXPECT_EQ(ask(*model, "text/csv", "image/png", "1,2").status, 406);
    EXPECT_EQ(ask(*model, "text/csv", "", "1,two").status, 400);
    EXPECT_EQ(ask(*model, "text/csv", "", "1,2\n3\n").status, 400);
    EXPECT_EQ(ask(*model, "text/libsvm", "", "0:a").status, 400);
    EXPECT_EQ(ask(*model, "text/libsvm", "", "10:1").status, 400);
    EXPECT_EQ(ask(*model, "application/x-recordio-protobuf", "", "not a record").status, 400);
    EXPECT_THAT(ask(*model, "text/csv", "", "1,2,3,4,5,6,7,8,9,10,11").body,
                HasSubstr("Unable to evaluate payload provided"));
}

TEST(Serving, BatchAnswersHaveOneLinePerRow) {
    const Variable batch("SAGEMAKER_BATCH", "true");
    JobFolder job;
    const auto model = train_and_load(job, "wine", {{"objective", "multi:softprob"}, {"num_class", "3"}});
    const std::string body = ask(*model, "text/csv", "", "13,2,2,15,100,3,3,0.3,2,5,1,3,1000").body;
    EXPECT_TRUE(body.starts_with("[") && body.ends_with("]\n")) << body;
    EXPECT_EQ(split(body, ',').size(), 3U);
}

TEST(Serving, SelectedContentIsChosenByTheEnvironment) {
    const Variable selected("SAGEMAKER_INFERENCE_OUTPUT", "predicted_label, probabilities,labels,predicted_score");
    JobFolder job;
    const auto model = train_and_load(job, "cancer", {{"objective", "binary:logistic"}});
    const std::string body = ask(*model, "text/csv", "application/json", "17,10,122,1001").body;
    EXPECT_THAT(
        body,
        testing::ContainsRegex(
            R"(\{"predictions": \[\{"predicted_label": [01], "probabilities": \[0\.[0-9]+, 0\.[0-9]+\], "labels": \[0, 1\], "predicted_score": NaN\}\]\})"));
    const std::string csv = ask(*model, "text/csv", "text/csv", "17,10,122,1001").body;
    EXPECT_THAT(csv, testing::ContainsRegex(R"(^[01],"\[0\.[0-9]+, 0\.[0-9]+\]","\[0, 1\]",nan$)"));
    EXPECT_THAT(ask(*model, "text/csv", "application/x-recordio-protobuf", "17,10,122,1001").body,
                HasSubstr("predicted_label"));
}

TEST(Serving, DefaultAcceptComesFromTheEnvironment) {
    const Variable accept("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json");
    JobFolder job;
    const auto model = train_and_load(job, "diabetes", {});
    EXPECT_EQ(ask(*model, "text/csv", "", "1,2").content_type, "application/json");
}

TEST(Serving, SeveralModelsAreAveragedUnlessToldOtherwise) {
    JobFolder job;
    train_and_load(job, "diabetes", {{"_kfold", "3"}});
    double sum = 0;
    for (int i = 0; i < 3; ++i) {
        const Booster booster = Booster::load(read_file(job.model() + "-" + std::to_string(i)).value()).value();
        Dataset row = parse_bytes("0.03,0.05", "row", {.format = Format::Csv}).value();
        sum += booster.predict(Matrix::create(row, 1).value(), PredictionKind::Value)->values[0];
    }
    const auto all = load(job.environment.model_dir, "1.7-1").value();
    EXPECT_NEAR(strtod(ask(*all, "text/csv", "", "0.03,0.05").body.c_str(), nullptr), sum / 3, 1e-3);
    const Variable first_only("SAGEMAKER_INFERENCE_ENSEMBLE", "false");
    const auto one = load(job.environment.model_dir, "1.7-1").value();
    EXPECT_NE(ask(*one, "text/csv", "", "0.03,0.05").body, ask(*all, "text/csv", "", "0.03,0.05").body);
}

TEST(Serving, LinearModelsPredictToo) {
    JobFolder job;
    const auto model = train_and_load(job, "diabetes", {{"booster", "gblinear"}});
    const auto expected = library_predictions(job, kTwoRows);
    EXPECT_EQ(ask(*model, "text/csv", "", kTwoRows).body,
              python_float(expected[0]) + "\n" + python_float(expected[1]) + "\n");
}

TEST(Serving, AFolderWithoutUsableModelIsAnErrorWithTheFileName) {
    JobFolder job;
    EXPECT_THAT(load(job.environment.model_dir, "1.7-1").error().message, HasSubstr("no model file"));
    ASSERT_TRUE(write_file(job.model(), "binf" + std::string(500, '\x01')));
    EXPECT_THAT(load(job.environment.model_dir, "1.7-1").error().message, HasSubstr("xgboost-model cannot be loaded"));
    ASSERT_TRUE(write_file(job.model(), std::string("\x80\x03") + "pickle"));
    EXPECT_THAT(load(job.environment.model_dir, "1.7-1").error().message, HasSubstr("Python pickle"));
}

TEST(Serving, ExecutionParametersNameThePayloadLimit) {
    JobFolder job;
    const auto model = train_and_load(job, "diabetes", {});
    const Json parameters = Json::parse(model->execution_parameters()).value();
    EXPECT_EQ(parameters["BatchStrategy"].as_string(), "MULTI_RECORD");
    EXPECT_EQ(parameters["MaxPayloadInMB"].as_int(), 6);
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
