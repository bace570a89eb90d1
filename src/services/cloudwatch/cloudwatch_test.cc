#include "services/cloudwatch/cloudwatch.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>

#include "base/files.h"

namespace millwright::services {
namespace {

constexpr std::string_view kNamespace = "/aws/sagemaker/TrainingJobs";

Json dimensions(std::string_view job) {
    return Json::array({Json::object({{"Name", "TrainingJobName"}, {"Value", job}})});
}

class CloudwatchTest : public ::testing::Test {
  protected:
    CloudwatchTest() {
        char name[] = "/tmp/cloudwatch_test_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        metrics_ = resources::Metrics::open(*database_, system_clock()).value();
        service_ = cloudwatch_service(*metrics_);
        // Ten minutes ago, on a whole minute.
        start_ = std::floor(to_epoch_seconds(system_clock().now()) / 60) * 60 - 600;
    }
    ~CloudwatchTest() override {
        metrics_.reset();
        database_.reset();
        std::ignore = remove_tree(folder_);
    }
    aws::ApiResult<Json> try_call(std::string_view operation, const Json& input) {
        for (const aws::Operation& entry : service_.operations) {
            if (entry.name != operation) continue;
            aws::Call call;
            call.caller.account = "111122223333";
            call.caller.region = "us-west-2";
            call.operation = operation;
            return entry.handle(call, input);
        }
        return aws::ApiError(400, "InvalidAction", std::string(operation));
    }
    Json call(std::string_view operation, const Json& input) {
        auto answer = try_call(operation, input);
        EXPECT_TRUE(answer.has_value()) << operation << ": " << (answer ? "" : answer.error().message);
        return answer ? *answer : Json();
    }
    std::string refusal(std::string_view operation, const Json& input) {
        const auto answer = try_call(operation, input);
        return answer ? "accepted" : answer.error().code + ": " + answer.error().message;
    }
    // PutMetricData of one datum with `members` beside its name.
    Json one(std::initializer_list<JsonMember> members) const {
        Json datum = Json::object(members);
        datum.set("MetricName", "loss");
        if (!datum.has("Dimensions")) datum.set("Dimensions", dimensions("job"));
        return Json::object({{"Namespace", kNamespace}, {"MetricData", Json::array({datum})}});
    }
    Json statistics(int period, Json wanted) const {
        return Json::object({{"Namespace", kNamespace},
                             {"MetricName", "loss"},
                             {"Dimensions", dimensions("job")},
                             {"StartTime", start_},
                             {"EndTime", start_ + 600},
                             {"Period", period},
                             {"Statistics", std::move(wanted)}});
    }
    Json data_query(std::string_view id, std::string_view stat, std::string_view job = "job") const {
        const Json metric =
            Json::object({{"Namespace", kNamespace}, {"MetricName", "loss"}, {"Dimensions", dimensions(job)}});
        return Json::object(
            {{"Id", id}, {"MetricStat", Json::object({{"Metric", metric}, {"Period", 60}, {"Stat", stat}})}});
    }
    Json data(std::initializer_list<Json> queries) const {
        return Json::object(
            {{"MetricDataQueries", Json::array(queries)}, {"StartTime", start_}, {"EndTime", start_ + 600}});
    }

    double start_;
    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<resources::Metrics> metrics_;
    aws::Service service_;
};

TEST_F(CloudwatchTest, StatisticsOfWhatWasPut) {
    call("PutMetricData", one({{"Timestamp", start_ + 1}, {"Value", 4}}));
    call("PutMetricData",
         one({{"Timestamp", start_ + 2}, {"Values", Json::array({1, 2})}, {"Counts", Json::array({3, 1})}}));
    call("PutMetricData",
         one({{"Timestamp", start_ + 60},
              {"StatisticValues", Json::object({{"SampleCount", 2}, {"Sum", 10}, {"Minimum", 3}, {"Maximum", 7}})}}));
    const Json answer = call("GetMetricStatistics",
                             statistics(60, Json::array({"Average", "Sum", "Minimum", "Maximum", "SampleCount"})));
    EXPECT_EQ(answer["Label"].as_string(), "loss");
    ASSERT_EQ(answer["Datapoints"].size(), 2u);
    const Json& first = answer["Datapoints"][0];
    EXPECT_EQ(first["Timestamp"].as_double(), start_);
    EXPECT_EQ(first["SampleCount"].as_double(), 5);
    EXPECT_EQ(first["Sum"].as_double(), 9);
    EXPECT_EQ(first["Average"].as_double(), 1.8);
    EXPECT_EQ(first["Minimum"].as_double(), 1);
    EXPECT_EQ(first["Maximum"].as_double(), 4);
    EXPECT_EQ(first["Unit"].as_string(), "None");
    EXPECT_EQ(answer["Datapoints"][1]["Average"].as_double(), 5);
    Json percentiles = statistics(60, Json());
    percentiles.set("ExtendedStatistics", Json::array({"p50", "p100"}));
    const Json extended = call("GetMetricStatistics", percentiles)["Datapoints"];
    EXPECT_EQ(extended[0]["ExtendedStatistics"]["p50"].as_double(), 1);
    EXPECT_EQ(extended[0]["ExtendedStatistics"]["p100"].as_double(), 4);
    EXPECT_FALSE(extended[1].has("ExtendedStatistics"));
}

TEST_F(CloudwatchTest, GetMetricStatisticsChecksItsRange) {
    EXPECT_EQ(refusal("GetMetricStatistics", statistics(60, Json())),
              "MissingParameter: At least one of the parameters Statistics and ExtendedStatistics must be "
              "specified.");
    EXPECT_EQ(refusal("GetMetricStatistics", statistics(61, Json::array({"Sum"}))),
              "InvalidParameterValue: The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.");
    Json input = statistics(60, Json::array({"Sum"}));
    input.set("EndTime", start_);
    EXPECT_EQ(refusal("GetMetricStatistics", input),
              "InvalidParameterValue: The parameter StartTime must be less than the parameter EndTime.");
    input.set("EndTime", start_ + 1441 * 60);
    EXPECT_EQ(refusal("GetMetricStatistics", input).substr(0, 81),
              "InvalidParameterCombination: You have requested up to 1441 datapoints, which exce");
    input = statistics(60, Json());
    input.set("ExtendedStatistics", Json::array({"tm99"}));
    EXPECT_EQ(refusal("GetMetricStatistics", input).substr(0, 22), "InvalidParameterValue:");
}

TEST_F(CloudwatchTest, GetMetricDataReturnsSeriesInBothOrders) {
    for (int i = 0; i < 5; ++i) call("PutMetricData", one({{"Timestamp", start_ + 60 * i}, {"Value", i}}));
    Json input = data({data_query("a", "Average"), data_query("b", "p90"), data_query("c", "Sum", "nobody")});
    Json answer = call("GetMetricData", input);
    ASSERT_EQ(answer["MetricDataResults"].size(), 3u);
    const Json& first = answer["MetricDataResults"][0];
    EXPECT_EQ(first["Values"].dump(), "[4,3,2,1,0]");
    EXPECT_EQ(first["Timestamps"][0].as_double(), start_ + 240);
    EXPECT_EQ(first["Label"].as_string(), "loss");
    EXPECT_EQ(first["StatusCode"].as_string(), "Complete");
    EXPECT_EQ(answer["MetricDataResults"][2]["Values"].size(), 0u);
    EXPECT_FALSE(answer.has("NextToken"));
    input.set("ScanBy", "TimestampAscending");
    EXPECT_EQ(call("GetMetricData", input)["MetricDataResults"][0]["Values"][0].as_double(), 0);
}

TEST_F(CloudwatchTest, GetMetricDataPages) {
    for (int i = 0; i < 5; ++i) call("PutMetricData", one({{"Timestamp", start_ + 60 * i}, {"Value", i}}));
    for (int page_size = 1; page_size <= 11; ++page_size) {
        Json input = data({data_query("a", "Average"), data_query("b", "Sum")});
        input.set("MaxDatapoints", page_size);
        std::string seen;
        for (int pages = 0;; ++pages) {
            ASSERT_LT(pages, 15);
            const Json answer = call("GetMetricData", input);
            for (const Json& result : answer["MetricDataResults"].items())
                for (const Json& value : result["Values"].items())
                    seen += result["Id"].as_string() + std::to_string(int(value.as_double()));
            if (!answer.has("NextToken")) break;
            input.set("NextToken", answer["NextToken"].as_string());
        }
        EXPECT_EQ(seen, "a4a3a2a1a0b4b3b2b1b0") << page_size;
    }
    Json input = data({data_query("a", "Average")});
    input.set("NextToken", "bm9uc2Vuc2U=");
    EXPECT_EQ(refusal("GetMetricData", input).substr(0, 17), "InvalidNextToken:");
}

TEST_F(CloudwatchTest, GetMetricDataRefusesWhatItCannotCompute) {
    Json expression = Json::object({{"Id", "e"}, {"Expression", "a * 2"}});
    EXPECT_EQ(refusal("GetMetricData", data({expression})),
              "ValidationError: Millwright does not evaluate metric math expressions "
              "(MetricDataQueries.member.1.Expression) yet; use "
              "MetricStat.");
    EXPECT_EQ(refusal("GetMetricData", data({data_query("a", "tm90")})).substr(0, 35),
              "ValidationError: The value tm90 for");
    EXPECT_EQ(refusal("GetMetricData", data({data_query("A", "Sum")})).substr(0, 32),
              "ValidationError: The value A for");
    EXPECT_EQ(refusal("GetMetricData", data({data_query("a", "Sum"), data_query("a", "Sum")})).substr(0, 40),
              "ValidationError: The values for paramete");
    EXPECT_EQ(refusal("GetMetricData", data({})).substr(0, 16), "ValidationError:");
    Json hidden = data_query("a", "Sum");
    hidden.set("ReturnData", false);
    EXPECT_EQ(call("GetMetricData", data({hidden}))["MetricDataResults"].size(), 0u);
}

TEST_F(CloudwatchTest, PutMetricDataChecksEachDatum) {
    const std::string path = "MetricData.member.1";
    EXPECT_EQ(refusal("PutMetricData", one({})).substr(0, 17), "MissingParameter:");
    EXPECT_EQ(refusal("PutMetricData", one({{"Value", 1}, {"Values", Json::array({1})}})).substr(0, 28),
              "InvalidParameterCombination:");
    EXPECT_EQ(
        refusal("PutMetricData", one({{"Values", Json::array({1, 2})}, {"Counts", Json::array({1})}})),
        "InvalidParameterValue: The parameters " + path + ".Values and " + path + ".Counts must be of the same size.");
    EXPECT_EQ(refusal("PutMetricData", one({{"Value", 1e300}})),
              "InvalidParameterValue: The value 1e+300 for parameter " + path + ".Value is invalid.");
    EXPECT_EQ(refusal("PutMetricData", one({{"Value", std::nan("")}})).substr(0, 22), "InvalidParameterValue:");
    EXPECT_EQ(refusal("PutMetricData", one({{"Value", 1}, {"Timestamp", start_ - 15 * 86400}})).substr(0, 22),
              "InvalidParameterValue:");
    EXPECT_EQ(refusal("PutMetricData", one({{"Value", 1}, {"Timestamp", start_ + 3 * 3600}})).substr(0, 22),
              "InvalidParameterValue:");
    EXPECT_EQ(refusal("PutMetricData", one({{"Value", 1}, {"StorageResolution", 5}})).substr(0, 22),
              "InvalidParameterValue:");
    const Json twice = Json::array({dimensions("a")[0], dimensions("b")[0]});
    EXPECT_EQ(refusal("PutMetricData", one({{"Value", 1}, {"Dimensions", twice}})).substr(0, 22),
              "InvalidParameterValue:");
    Json reserved = one({{"Value", 1}});
    reserved.set("Namespace", "AWS/SageMaker");
    EXPECT_EQ(refusal("PutMetricData", reserved),
              "InvalidParameterValue: The value AWS/SageMaker for parameter Namespace is invalid.");
    EXPECT_EQ(call("ListMetrics", Json::object())["Metrics"].size(), 0u) << "nothing of a refused request is stored";
}

TEST_F(CloudwatchTest, ListMetricsPagesAndFilters) {
    Json data_list = Json::array();
    for (int i = 0; i < 501; ++i)
        data_list.push_back(
            Json::object({{"MetricName", "m" + std::to_string(i)}, {"Value", 1}, {"Dimensions", dimensions("job")}}));
    call("PutMetricData", Json::object({{"Namespace", kNamespace}, {"MetricData", data_list}}));
    const Json first = call("ListMetrics", Json::object());
    EXPECT_EQ(first["Metrics"].size(), 500u);
    EXPECT_EQ(first["Metrics"][0]["Dimensions"][0]["Name"].as_string(), "TrainingJobName");
    const Json second = call("ListMetrics", Json::object({{"NextToken", first["NextToken"].as_string()}}));
    EXPECT_EQ(second["Metrics"].size(), 1u);
    EXPECT_FALSE(second.has("NextToken"));
    const auto count = [&](const Json& input) { return call("ListMetrics", input)["Metrics"].size(); };
    EXPECT_EQ(count(Json::object({{"MetricName", "m7"}, {"RecentlyActive", "PT3H"}})), 1u);
    EXPECT_EQ(count(Json::object({{"MetricName", "m7"}, {"Namespace", "other"}})), 0u);
    const Json any = Json::array({Json::object({{"Name", "TrainingJobName"}})});
    EXPECT_EQ(count(Json::object({{"MetricName", "m7"}, {"Dimensions", any}})), 1u);
    EXPECT_EQ(count(Json::object({{"MetricName", "m7"}, {"Dimensions", dimensions("other")}})), 0u);
    EXPECT_EQ(refusal("ListMetrics", Json::object({{"NextToken", "x"}})).substr(0, 22), "InvalidParameterValue:");
}

}  // namespace
}  // namespace millwright::services
