#include "services/logs/logs.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "base/files.h"

namespace millwright::services {
namespace {

constexpr std::string_view kGroup = "/aws/sagemaker/TrainingJobs";

Json in_group(std::initializer_list<JsonMember> members = {}) {
    Json input = Json::object(members);
    input.set("logGroupName", kGroup);
    return input;
}

class LogsServiceTest : public ::testing::Test {
  protected:
    LogsServiceTest() {
        char name[] = "/tmp/logs_service_test_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        logs_ = resources::Logs::open(folder_ + "/logs", *database_, system_clock(), system_random()).value();
        service_ = logs_service(*logs_);
        caller_.account = "111122223333";
        caller_.region = "us-west-2";
    }
    ~LogsServiceTest() override {
        logs_.reset();
        database_.reset();
        std::ignore = remove_tree(folder_);
    }
    aws::ApiResult<Json> try_call(std::string_view operation, const Json& input) {
        for (const aws::Operation& entry : service_.operations) {
            if (entry.name != operation) continue;
            aws::Call call;
            call.caller = caller_;
            call.operation = operation;
            return entry.handle(call, input);
        }
        return aws::ApiError(400, "UnknownOperationException", std::string(operation));
    }
    Json call(std::string_view operation, const Json& input) {
        auto answer = try_call(operation, input);
        EXPECT_TRUE(answer.has_value()) << operation << ": " << (answer ? "" : answer.error().message);
        return answer ? *answer : Json();
    }
    // "Code: text" of the refusal.
    std::string refusal(std::string_view operation, const Json& input) {
        const auto answer = try_call(operation, input);
        return answer ? "accepted" : answer.error().code + ": " + answer.error().message;
    }
    void make_stream(std::string_view stream) {
        std::ignore = try_call("CreateLogGroup", in_group());
        call("CreateLogStream", in_group({{"logStreamName", stream}}));
    }
    Json put(std::string_view stream, std::vector<std::pair<int64_t, std::string>> events) {
        Json list = Json::array();
        for (auto& [age_ms, text] : events)
            list.push_back(Json::object({{"timestamp", now_ms_ + age_ms}, {"message", text}}));
        return call("PutLogEvents", in_group({{"logStreamName", stream}, {"logEvents", list}}));
    }
    std::string texts(const Json& answer) {
        std::string all;
        for (const Json& event : answer["events"].items()) all += event["message"].as_string() + " ";
        return all;
    }

    const int64_t now_ms_ = to_epoch_milliseconds(system_clock().now()) - 10'000;
    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<resources::Logs> logs_;
    aws::Service service_;
    aws::Caller caller_;
};

TEST_F(LogsServiceTest, MissingAndTakenNamesHaveAwsTexts) {
    EXPECT_EQ(refusal("DescribeLogStreams", in_group()),
              "ResourceNotFoundException: The specified log group does not exist.");
    EXPECT_EQ(refusal("GetLogEvents", in_group({{"logStreamName", "s"}})),
              "ResourceNotFoundException: The specified log group does not exist.");
    EXPECT_EQ(refusal("FilterLogEvents", in_group()),
              "ResourceNotFoundException: The specified log group does not exist.");
    make_stream("s");
    EXPECT_EQ(refusal("CreateLogGroup", in_group()),
              "ResourceAlreadyExistsException: The specified log group already exists");
    EXPECT_EQ(refusal("CreateLogStream", in_group({{"logStreamName", "s"}})),
              "ResourceAlreadyExistsException: The specified log stream already exists");
    EXPECT_EQ(refusal("GetLogEvents", in_group({{"logStreamName", "t"}})),
              "ResourceNotFoundException: The specified log stream does not exist.");
}

// SDK v1 and v2: read until a page is empty, again and again.
TEST_F(LogsServiceTest, ATailEndsOnEachPollAndSeesNewLinesOnTheNext) {
    make_stream("job/algo-1");
    put("job/algo-1", {{0, "a"}, {1, "b"}, {2, "c"}});
    Json input = in_group({{"logStreamName", "job/algo-1"}, {"startFromHead", true}, {"limit", 2}, {"startTime", 0}});
    std::string seen;
    for (int page = 0;; ++page) {
        ASSERT_LT(page, 5);
        const Json answer = call("GetLogEvents", input);
        input.set("nextToken", answer["nextForwardToken"].as_string());
        if (answer["events"].size() == 0) break;
        seen += texts(answer);
    }
    EXPECT_EQ(seen, "a b c ");
    const Json again = call("GetLogEvents", input);
    EXPECT_EQ(again["nextForwardToken"], input["nextToken"]);
    put("job/algo-1", {{3, "d"}});
    EXPECT_EQ(texts(call("GetLogEvents", input)), "d ");
}

TEST_F(LogsServiceTest, WithoutStartFromHeadTheLatestEventsComeFirst) {
    make_stream("s");
    put("s", {{0, "a"}, {1, "b"}, {2, "c"}});
    Json input = in_group({{"logStreamName", "s"}, {"limit", 2}});
    const Json last = call("GetLogEvents", input);
    EXPECT_EQ(texts(last), "b c ");
    EXPECT_TRUE(last["events"][0]["timestamp"].is_int());
    input.set("nextToken", last["nextBackwardToken"].as_string());
    const Json first = call("GetLogEvents", input);
    EXPECT_EQ(texts(first), "a ");
    input.set("nextToken", first["nextForwardToken"].as_string());
    EXPECT_EQ(texts(call("GetLogEvents", input)), "b c ");
}

TEST_F(LogsServiceTest, TokensOfOtherStreamsOrNobodyAreRefused) {
    make_stream("s");
    make_stream("t");
    put("s", {{0, "a"}});
    const std::string token = call("GetLogEvents", in_group({{"logStreamName", "s"}}))["nextForwardToken"].as_string();
    EXPECT_TRUE(try_call("GetLogEvents", in_group({{"logStreamName", "s"}, {"nextToken", token}})).has_value());
    std::string between = token;
    between[21] = '1';
    for (const std::string& bad :
         {token + "0", std::string("f"), std::string("f/1/2"), std::string("x/") + token.substr(2), between})
        EXPECT_EQ(refusal("GetLogEvents", in_group({{"logStreamName", "s"}, {"nextToken", bad}})),
                  "InvalidParameterException: The specified nextToken is invalid.")
            << bad;
    EXPECT_EQ(refusal("GetLogEvents", in_group({{"logStreamName", "t"}, {"nextToken", token}})),
              "InvalidParameterException: The specified nextToken is invalid.");
    EXPECT_EQ(refusal("DescribeLogStreams", in_group({{"nextToken", "!"}})),
              "InvalidParameterException: The specified nextToken is invalid.");
}

TEST_F(LogsServiceTest, DescribeLogStreamsSendsATokenOnlyWhenMoreRemain) {
    for (const char* stream : {"job/algo-1", "job/algo-2", "other"}) make_stream(stream);
    Json input = in_group({{"logStreamNamePrefix", "job/"}, {"orderBy", "LogStreamName"}, {"limit", 2}});
    Json answer = call("DescribeLogStreams", input);
    EXPECT_EQ(answer["logStreams"].size(), 2u);
    EXPECT_FALSE(answer.has("nextToken"));
    EXPECT_EQ(answer["logStreams"][0]["arn"].as_string(),
              "arn:aws:logs:us-west-2:111122223333:log-group:/aws/sagemaker/TrainingJobs:log-stream:job/algo-1");
    input.set("limit", 1);
    answer = call("DescribeLogStreams", input);
    ASSERT_TRUE(answer.has("nextToken"));
    input.set("nextToken", answer["nextToken"].as_string());
    answer = call("DescribeLogStreams", input);
    EXPECT_EQ(answer["logStreams"][0]["logStreamName"].as_string(), "job/algo-2");
    EXPECT_FALSE(answer.has("nextToken"));
    input = in_group({{"logStreamNamePrefix", "job/"}, {"orderBy", "LastEventTime"}});
    EXPECT_EQ(refusal("DescribeLogStreams", input),
              "InvalidParameterException: Cannot order by LastEventTime with a logStreamNamePrefix.");
}

TEST_F(LogsServiceTest, DescribeLogStreamsPagesByLastEvent) {
    for (const char* stream : {"a", "b", "c"}) make_stream(stream);
    put("b", {{5, "x"}});
    put("a", {{9, "x"}});
    Json input = in_group({{"orderBy", "LastEventTime"}, {"descending", true}, {"limit", 1}});
    std::string order;
    for (;;) {
        const Json answer = call("DescribeLogStreams", input);
        order += answer["logStreams"][0]["logStreamName"].as_string();
        if (!answer.has("nextToken")) break;
        input.set("nextToken", answer["nextToken"].as_string());
    }
    EXPECT_EQ(order, "abc");
}

TEST_F(LogsServiceTest, FilterLogEventsMatchesTermsOverStreams) {
    make_stream("AllTraffic/i-1");
    make_stream("AllTraffic/i-2");
    make_stream("Other/i-3");
    put("AllTraffic/i-1", {{0, "GET /ping"}, {2, "ERROR one"}});
    put("AllTraffic/i-2", {{1, "ERROR two"}});
    put("Other/i-3", {{1, "ERROR three"}});
    Json input = in_group({{"logStreamNamePrefix", "AllTraffic/"}, {"filterPattern", "ERROR"}, {"limit", 1}});
    std::string seen;
    for (;;) {
        const Json answer = call("FilterLogEvents", input);
        seen += texts(answer);
        if (!answer.has("nextToken")) break;
        input.set("nextToken", answer["nextToken"].as_string());
    }
    EXPECT_EQ(seen, "ERROR two ERROR one ");
    const Json all = call("FilterLogEvents", in_group());
    EXPECT_EQ(all["events"].size(), 4u);
    EXPECT_EQ(all["events"][0]["logStreamName"].as_string(), "AllTraffic/i-1");
    EXPECT_NE(all["events"][0]["eventId"], all["events"][1]["eventId"]);
    EXPECT_EQ(refusal("FilterLogEvents", in_group({{"filterPattern", "{ $.a = 1 }"}})),
              "InvalidParameterException: Invalid filter pattern: Millwright does not evaluate JSON patterns "
              "yet; use terms");
    EXPECT_EQ(
        refusal("FilterLogEvents", in_group({{"logStreamNames", Json::array({"x"})}, {"logStreamNamePrefix", "y"}})),
        "InvalidParameterException: logStreamNames and logStreamNamePrefix cannot be used together.");
}

TEST_F(LogsServiceTest, PutLogEventsChecksTheBatch) {
    make_stream("s");
    const auto batch = [&](std::vector<std::pair<int64_t, std::string>> events) {
        Json list = Json::array();
        for (auto& [time, text] : events) list.push_back(Json::object({{"timestamp", time}, {"message", text}}));
        return in_group({{"logStreamName", "s"}, {"logEvents", list}});
    };
    EXPECT_EQ(refusal("PutLogEvents", batch({{now_ms_, "b"}, {now_ms_ - 1, "a"}})),
              "InvalidParameterException: Log events in a single PutLogEvents request must be in "
              "chronological order.");
    EXPECT_EQ(refusal("PutLogEvents", batch({{now_ms_ - 25 * 3'600'000, "a"}, {now_ms_, "b"}})),
              "InvalidParameterException: The batch of log events in a single PutLogEvents request cannot "
              "span more than 24 hours.");
    EXPECT_EQ(refusal("PutLogEvents", batch({{now_ms_, std::string(262'144, 'x')}})),
              "InvalidParameterException: Log event too large: 262170 bytes exceeds limit of 262144");
    EXPECT_EQ(refusal("PutLogEvents",
                      batch(std::vector<std::pair<int64_t, std::string>>(5, {now_ms_, std::string(220'000, 'x')}))),
              "InvalidParameterException: Upload too large: 1100130 bytes exceeds limit of 1048576");
    const int64_t two_weeks = 14 * 24 * int64_t{3'600'000};
    const Json old =
        call("PutLogEvents", batch({{now_ms_ - two_weeks - 60'000, "old"}, {now_ms_ - two_weeks + 60'000, "ok"}}));
    EXPECT_EQ(old["rejectedLogEventsInfo"]["tooOldLogEventEndIndex"].as_int(), 1);
    const Json early = call("PutLogEvents", batch({{now_ms_, "now"}, {now_ms_ + 3 * 3'600'000, "future"}}));
    EXPECT_EQ(early["rejectedLogEventsInfo"]["tooNewLogEventStartIndex"].as_int(), 1);
    EXPECT_TRUE(early["nextSequenceToken"].is_string());
    EXPECT_EQ(texts(call("GetLogEvents", in_group({{"logStreamName", "s"}}))), "ok now ");
}

TEST_F(LogsServiceTest, StreamsOfJobsAreReadOnly) {
    const auto path = logs_->open_job_stream({"111122223333", "us-west-2", std::string(kGroup), "job/algo-1"}).value();
    std::ofstream(path, std::ios::app) << "5 line\n";
    const Json events = Json::array({Json::object({{"timestamp", now_ms_}, {"message", "x"}})});
    EXPECT_EQ(refusal("PutLogEvents", in_group({{"logStreamName", "job/algo-1"}, {"logEvents", events}})).substr(0, 26),
              "OperationAbortedException:");
    EXPECT_EQ(texts(call("GetLogEvents", in_group({{"logStreamName", "job/algo-1"}}))), "line ");
}

TEST_F(LogsServiceTest, GroupsAreDescribedAndFoundByArn) {
    make_stream("s");
    const Json group = call("DescribeLogGroups", Json::object({{"logGroupNamePrefix", "/aws/"}}))["logGroups"][0];
    EXPECT_EQ(group["arn"].as_string(), "arn:aws:logs:us-west-2:111122223333:log-group:/aws/sagemaker/TrainingJobs:*");
    Json by_arn = Json::object({{"logGroupIdentifier", group["logGroupArn"]}});
    EXPECT_EQ(call("DescribeLogStreams", by_arn)["logStreams"].size(), 1u);
    by_arn.set("logGroupIdentifier", "arn:aws:logs:us-west-2:999900000000:log-group:" + std::string(kGroup));
    EXPECT_EQ(refusal("DescribeLogStreams", by_arn),
              "ResourceNotFoundException: The specified log group does not exist.");
    EXPECT_EQ(refusal("DescribeLogStreams", Json::object()).substr(0, 26), "InvalidParameterException:");
    EXPECT_EQ(call("DescribeLogGroups", Json::object({{"logGroupNamePrefix", "/none"}}))["logGroups"].size(), 0u);
    EXPECT_EQ(refusal("CreateLogGroup", Json::object({{"logGroupName", "g"}, {"tags", Json::object({{"a", "b"}})}})),
              "InvalidParameterException: Millwright does not support tags of CreateLogGroup yet.");
    call("DeleteLogStream", in_group({{"logStreamName", "s"}}));
    call("DeleteLogGroup", in_group());
    EXPECT_EQ(call("DescribeLogGroups", Json::object())["logGroups"].size(), 0u);
}

}  // namespace
}  // namespace millwright::services
