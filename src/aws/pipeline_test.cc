#include "aws/pipeline.h"

#include <gtest/gtest.h>

#include <set>

#include "aws/model.h"
#include "aws/test_support.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/xml.h"

namespace millwright::aws {
namespace {

const SigningKeys kKeys{"AKIDEXAMPLE", "secret"};

struct KeptRecords final : AuditSink {
    void record(const AuditRecord& record) override { records.push_back(record); }
    std::vector<AuditRecord> records;
};

// A front with a little of each protocol, and what its handlers saw.
class FrontTest : public testing::Test {
  protected:
    FrontTest() {
        credentials.by_id[kKeys.access_key_id] = {
            kKeys.secret_access_key, "", std::nullopt, {"123456789012", "", "arn:me", "me", ""}};
        front = std::make_unique<Front>(
            services(), credentials, clock, random,
            std::vector<RawRoute>{{"/v2/credentials/", raw("credentials"), true}, {"/health", raw("healthy")}},
            FrontSettings{.max_document_bytes = 4096,
                          .max_buffered_stream_bytes = 4096,
                          .audit = &audit,
                          .guests = {{"/v2", "guest", guest()}}});
    }

    std::function<std::string(Call&, net::Request&, net::ResponseWriter&)> guest() {
        return [this](Call& call, net::Request&, net::ResponseWriter& response) -> std::string {
            call.caller = {"123456789012", "us-west-2", "arn:guest", "guest", ""};
            seen = call;
            static_cast<void>(response.send(404, {}, "guest"));
            return "GUEST_CODE";
        };
    }

    static net::Handler raw(std::string body) {
        return
            [body](net::Request&, net::ResponseWriter& response) { static_cast<void>(response.send(200, {}, body)); };
    }

    DocumentHandler answer(Json output) {
        return [this, output = std::move(output)](const Call& call, const Json& input) -> ApiResult<Json> {
            seen = call;
            document = input;
            return output;
        };
    }

    StreamHandler echo() {
        return [this](const Call& call, net::Request& request, net::ResponseWriter& response) -> ApiResult<void> {
            seen = call;
            const std::string body = TRY(net::read_all(*request.body, 1 << 20));
            seen_headers = request.headers;
            TRY(response.send(200, {}, body));
            return {};
        };
    }

    std::vector<Service> services() {
        const DocumentHandler failing = [](const Call&, const Json&) -> ApiResult<Json> {
            return ApiError{404, "NoSuchEntity", "gone"};
        };
        const DocumentHandler throwing = [](const Call&, const Json&) -> ApiResult<Json> {
            throw std::runtime_error("secret path /root");
        };
        const DocumentHandler broken = [](const Call&, const Json&) -> ApiResult<Json> {
            return ApiError(internal_error("the disk says no"));
        };
        const DocumentHandler refused = [](const Call&, const Json&) -> ApiResult<Json> {
            return ApiError(invalid_input("not so"));
        };
        return {
            {"sagemaker",
             "sagemaker",
             Protocol::AwsJson,
             {{"ListModels", answer(Json::object({{"Models", Json::array()}, {"Extra", 1}}))},
              {"DescribeModel", throwing},
              {"DeleteModel", broken},
              {"DescribeTrainingJob", answer(Json::object())}},
             nullptr},
            {"sagemaker", "sagemaker-runtime", Protocol::Stream, {{"InvokeEndpoint", nullptr}}, echo()},
            {"sts",
             "sts",
             Protocol::Query,
             {{"GetCallerIdentity", answer(Json::object({{"Account", "123456789012"}}))}},
             nullptr},
            {"iam", "iam", Protocol::Query, {{"GetRole", failing}, {"ListRoles", refused}}, nullptr},
            {"monitoring",
             "cloudwatch",
             Protocol::QueryAndJson,
             {{"ListMetrics", answer(Json::object({{"Metrics", Json::array()}}))},
              {"GetDashboard", answer(Json::object())}},
             nullptr},
            {"s3", "s3", Protocol::Stream, {{"PutObject", nullptr}}, echo()},
        };
    }

    struct Wire {
        std::string method = "POST", target = "/", service = "sagemaker";
        net::Headers headers = {};
        std::string body = {};
        std::string payload_hash = {};  // the true one when empty
        bool sign = true;
    };
    RecordingWriter send(const Wire& wire) {
        net::Request request;
        request.method = wire.method;
        request.target = wire.target;
        request.headers = wire.headers;
        request.headers.set("Host", "localhost:9770");
        if (wire.sign)
            sign_request(request, kKeys, {"eu-west-1", wire.service, clock.now()},
                         wire.payload_hash.empty() ? sha256_hex(wire.body) : wire.payload_hash);
        SteppedBody body(wire.body, 13);
        request.body = &body;
        RecordingWriter response;
        front->handle(request, response);
        EXPECT_EQ(request.body, &body);
        body_bytes_read = body.consumed();
        return response;
    }
    RecordingWriter json(std::string_view operation, std::string body, std::string_view prefix = "SageMaker",
                         std::string service = "sagemaker") {
        return send({.service = std::move(service),
                     .headers = {{"X-Amz-Target", std::string(prefix) + "." + std::string(operation)},
                                 {"Content-Type", "application/x-amz-json-1.1"}},
                     .body = std::move(body)});
    }
    RecordingWriter query(std::string service, std::string form) {
        return send({.service = std::move(service),
                     .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                     .body = std::move(form)});
    }
    static std::string json_error(const RecordingWriter& response) {
        const auto body = Json::parse(response.body);
        return body ? (*body)["__type"].string_or("?") + ": " + (*body)["message"].string_or("?")
                    : "not JSON: " + response.body;
    }
    static std::string query_error(const RecordingWriter& response) {
        const auto xml = parse_xml(response.body);
        const XmlElement* error = xml ? xml->find("Error") : nullptr;
        return error ? error->text_of("Code") + ": " + error->text_of("Message") : "not an error: " + response.body;
    }

    FixedClock clock{"20261122T101530Z"};
    FixedCredentials credentials;
    SeededRandom random;
    KeptRecords audit;
    Call seen;
    Json document;
    net::Headers seen_headers;
    size_t body_bytes_read = 0;
    std::unique_ptr<Front> front;
};

TEST_F(FrontTest, RunsAJsonOperation) {
    const auto response = json("ListModels", R"({"MaxResults": 5, "Unknown": 1})");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, R"({"Models":[]})");
    EXPECT_EQ(response.headers.get("content-type"), "application/x-amz-json-1.1");
    EXPECT_EQ(response.headers.get("x-amzn-requestid"), seen.request_id);
    EXPECT_EQ(seen.operation, "ListModels");
    EXPECT_EQ(seen.caller.account, "123456789012");
    EXPECT_EQ(seen.caller.region, "eu-west-1");
    EXPECT_EQ(seen.caller.access_key_id, "AKIDEXAMPLE");
    EXPECT_EQ(document.dump(), R"({"MaxResults":5})");
}

TEST_F(FrontTest, ValidatesBeforeTheHandler) {
    EXPECT_EQ(json_error(json("DescribeTrainingJob", "{}")),
              "ValidationException: 1 validation error detected: Value null at 'trainingJobName' failed to satisfy "
              "constraint: Member must not be null");
    EXPECT_EQ(json("DescribeTrainingJob", "{}").status, 400);
    EXPECT_TRUE(json_error(json("DescribeTrainingJob", "{")).starts_with("SerializationException: "));
    EXPECT_TRUE(document.is_null());
}

TEST_F(FrontTest, WalksEverySagemakerOperation) {
    const std::set<std::string_view> implemented = {"ListModels", "DescribeModel", "DeleteModel",
                                                    "DescribeTrainingJob"};
    size_t refused = 0;
    for (const ModelOperation operation : find_service("sagemaker")->operations()) {
        const auto response = json(operation.name(), "{}");
        const std::string error = response.status == 200 ? "" : json_error(response);
        const std::string refusal = "UnsupportedOperationException: Millwright does not support " +
                                    std::string(operation.name()) + " yet. See docs/reference/operations.md.";
        EXPECT_EQ(error == refusal, !implemented.contains(operation.name())) << operation.name() << " " << error;
        refused += error == refusal && response.status == 400;
    }
    EXPECT_EQ(refused, find_service("sagemaker")->operations().size() - implemented.size());
}

TEST_F(FrontTest, RefusesUnknownOperationsAndServices) {
    EXPECT_TRUE(json_error(json("ListUnicorns", "{}")).starts_with("UnknownOperationException: "));
    EXPECT_TRUE(json_error(json("ListModels", "{}", "Other")).starts_with("UnknownOperationException: "));
    EXPECT_TRUE(query_error(query("sts", "Action=Nothing&Version=2011-06-15")).starts_with("InvalidAction: "));
    EXPECT_TRUE(query_error(query("sts", "Version=2011-06-15")).starts_with("MissingAction: "));
    EXPECT_EQ(query_error(query("iam", "Action=CreateVirtualMFADevice")),
              "UnsupportedOperationException: Millwright does not support CreateVirtualMFADevice yet. See "
              "docs/reference/operations.md.");
    EXPECT_EQ(json_error(json("DescribeRepositories", "{}", "AmazonEC2ContainerRegistry_V20150921", "ecr")),
              "UnsupportedOperationException: Millwright does not speak for the service 'ecr'. See "
              "docs/reference/operations.md.");
}

TEST_F(FrontTest, RunsAQueryOperation) {
    const auto response = query("sts", "Action=GetCallerIdentity&Version=2011-06-15");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(parse_xml(response.body)->find("GetCallerIdentityResult")->text_of("Account"), "123456789012");
    EXPECT_EQ(parse_xml(response.body)->find("ResponseMetadata")->text_of("RequestId"), seen.request_id);
    EXPECT_EQ(
        send({.method = "GET", .target = "/?Action=GetCallerIdentity&Version=2011-06-15", .service = "sts"}).status,
        200);
}

TEST_F(FrontTest, SpellsQueryErrorsTheQueryWay) {
    const auto gone = query("iam", "Action=GetRole&Version=2010-05-08&RoleName=x");
    EXPECT_EQ(gone.status, 404);
    EXPECT_EQ(query_error(gone), "NoSuchEntity: gone");
    EXPECT_EQ(query_error(query("iam", "Action=GetRole&Version=2010-05-08")),
              "ValidationError: 1 validation error detected: Value null at 'roleName' failed to satisfy constraint: "
              "Member must not be null");
    EXPECT_EQ(query_error(query("iam", "Action=ListRoles&Version=2010-05-08")), "ValidationError: not so");
}

TEST_F(FrontTest, SpeaksJsonAndQueryForCloudWatch) {
    EXPECT_EQ(json("ListMetrics", "{}", "GraniteServiceVersion20100801", "monitoring").body, R"({"Metrics":[]})");
    EXPECT_EQ(query("monitoring", "Action=ListMetrics&Version=2010-08-01").status, 200);
    const auto error = send(
        {.service = "monitoring",
         .headers = {{"X-Amz-Target", "GraniteServiceVersion20100801.GetDashboard"}, {"x-amzn-query-mode", "true"}},
         .body = "{}"});
    EXPECT_EQ(error.headers.get("x-amzn-query-error"), "ValidationError;Sender");
    EXPECT_EQ(error.headers.get("content-type"), "application/x-amz-json-1.0");
}

TEST_F(FrontTest, TurnsExceptionsAndFailuresIntoInternalFailure) {
    const auto thrown = json("DescribeModel", R"({"ModelName": "m"})");
    EXPECT_EQ(thrown.status, 500);
    EXPECT_TRUE(json_error(thrown).starts_with("InternalFailure: "));
    EXPECT_EQ(thrown.body.find("/root"), std::string::npos);
    const auto failed = json("DeleteModel", R"({"ModelName": "m"})");
    EXPECT_EQ(failed.status, 500);
    EXPECT_EQ(failed.body.find("disk"), std::string::npos);
}

TEST_F(FrontTest, RefusesStrangersWithoutReadingTheirBodies) {
    const auto anonymous =
        send({.headers = {{"X-Amz-Target", "SageMaker.ListModels"}}, .body = std::string(3000, 'x'), .sign = false});
    EXPECT_EQ(anonymous.status, 400);
    EXPECT_EQ(json_error(anonymous), "MissingAuthenticationTokenException: Missing Authentication Token");
    EXPECT_EQ(body_bytes_read, 0u);
    credentials.by_id.clear();
    EXPECT_TRUE(json_error(json("ListModels", std::string(3000, ' '))).starts_with("UnrecognizedClientException: "));
    EXPECT_EQ(body_bytes_read, 0u);
    const auto s3 = send({.method = "GET", .target = "/bucket/key", .sign = false});
    EXPECT_EQ(s3.status, 403);
    EXPECT_EQ(parse_xml(s3.body)->text_of("Code"), "AccessDenied");
    EXPECT_EQ(query_error(send({.headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                                .body = "Action=GetRole",
                                .sign = false})),
              "MissingAuthenticationToken: Request is missing Authentication Token");
}

TEST_F(FrontTest, RefusesABodyThatWasChanged) {
    const auto changed =
        send({.headers = {{"X-Amz-Target", "SageMaker.ListModels"}}, .body = "{}", .payload_hash = sha256_hex("{ }")});
    EXPECT_TRUE(json_error(changed).starts_with("InvalidSignatureException: The request signature we calculated"));
    const auto runtime = send({.target = "/endpoints/e/invocations", .body = "1,2", .payload_hash = sha256_hex("1,3")});
    EXPECT_EQ(runtime.headers.get("x-amzn-errortype"), "InvalidSignatureException");
}

TEST_F(FrontTest, LimitsDocumentsAndBufferedStreams) {
    const auto large = json("ListModels", std::string(5000, ' '));
    EXPECT_EQ(large.status, 413);
    EXPECT_EQ(send({.target = "/endpoints/e/invocations", .body = std::string(5000, ' ')}).status, 413);
}

TEST_F(FrontTest, StreamsS3AndRuntimeBodies) {
    const auto runtime = send({.target = "/endpoints/e/invocations", .body = "1,2"});
    EXPECT_EQ(runtime.body, "1,2");
    EXPECT_TRUE(runtime.headers.has("x-amzn-requestid"));
    const auto s3 = send({.method = "PUT",
                          .target = "/b/k",
                          .service = "s3",
                          .headers = {{"x-amz-content-sha256", "UNSIGNED-PAYLOAD"}},
                          .body = std::string(9000, 'x'),
                          .payload_hash = "UNSIGNED-PAYLOAD"});
    EXPECT_EQ(s3.status, 200);
    EXPECT_EQ(s3.body.size(), 9000u);
    EXPECT_TRUE(s3.headers.has("x-amz-request-id"));
    EXPECT_TRUE(s3.headers.has("x-amz-id-2"));
}

TEST_F(FrontTest, UnwrapsAwsChunkedBodies) {
    const std::string kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    Wire wire{.method = "PUT",
              .target = "/b/k",
              .service = "s3",
              .headers = {{"x-amz-content-sha256", kind},
                          {"x-amz-decoded-content-length", "5"},
                          {"x-amz-trailer", "x-amz-checksum-crc32"},
                          {"Content-Encoding", "aws-chunked,gzip"}},
              .body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
              .payload_hash = kind};
    EXPECT_EQ(send(wire).body, "hello");
    EXPECT_EQ(seen_headers.get("content-encoding"), "gzip");
    EXPECT_EQ(seen_headers.get("content-length"), "5");
    wire.body = "5\r\nhellO\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    const auto damaged = send(wire);
    EXPECT_EQ(damaged.status, 400);
    EXPECT_EQ(parse_xml(damaged.body)->text_of("Code"), "BadDigest");
    wire.body = "5\r\nhel";
    EXPECT_EQ(parse_xml(send(wire).body)->text_of("Code"), "IncompleteBody");
}

TEST_F(FrontTest, AnswersHeadWithoutABody) {
    const auto response = send({.method = "HEAD", .target = "/b/k", .sign = false});
    EXPECT_EQ(response.status, 403);
    EXPECT_EQ(response.body, "");
}

TEST_F(FrontTest, ServesRawRoutesWithoutASignature) {
    EXPECT_EQ(send({.method = "GET", .target = "/v2/credentials/secret", .sign = false}).body, "credentials");
    EXPECT_EQ(send({.method = "GET", .target = "/health?x=1", .sign = false}).body, "healthy");
    EXPECT_EQ(send({.method = "GET", .target = "/healthy", .sign = false}).status, 403);
    // A container's token is no signature.
    EXPECT_EQ(
        send({.method = "GET", .target = "/v2/credentials/s", .headers = {{"Authorization", "token"}}, .sign = false})
            .body,
        "credentials");
    // A signed request means the bucket of that name.
    EXPECT_EQ(send({.method = "PUT",
                    .target = "/health",
                    .service = "s3",
                    .headers = {{"x-amz-content-sha256", sha256_hex("b")}},
                    .body = "b"})
                  .body,
              "b");
}

TEST_F(FrontTest, LeavesItsGuestsToThemselvesAndWritesDownWhatTheyDid) {
    for (const auto* target : {"/v2", "/v2/", "/v2/a/manifests/b", "/v2/credentials/manifests/b"})
        EXPECT_EQ(send({.method = "GET", .target = target, .sign = false}).body, "guest") << target;
    EXPECT_EQ(send({.method = "GET", .target = "/v2x", .sign = false}).status, 403);
    EXPECT_NE(seen.gate, nullptr);
    ASSERT_EQ(audit.records.size(), 5u);
    const AuditRecord& record = audit.records.front();
    EXPECT_EQ(record.service + " " + record.arn + " " + record.error_code, "guest arn:guest GUEST_CODE");
    EXPECT_EQ(record.status, 404);
    EXPECT_EQ(record.region, "us-west-2");
}

TEST_F(FrontTest, RefusesCborInCbor) {
    const auto response = send({.target = "/service/GraniteServiceVersion20100801/operation/ListMetrics",
                                .service = "monitoring",
                                .headers = {{"smithy-protocol", "rpc-v2-cbor"}, {"Content-Type", "application/cbor"}}});
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(response.headers.get("smithy-protocol"), "rpc-v2-cbor");
    EXPECT_NE(response.body.find("UnsupportedOperationException"), std::string::npos);
}

TEST_F(FrontTest, ChoosesPoolsByScopeAndPath) {
    const auto pool = [&](std::string service, std::string target, net::Headers headers) {
        net::Request request;
        request.method = "POST";
        request.target = std::move(target);
        request.headers = std::move(headers);
        request.headers.set("Host", "h");
        sign_request(request, kKeys, {"us-west-2", service, clock.now()}, "UNSIGNED-PAYLOAD");
        return front->choose_pool(request);
    };
    EXPECT_EQ(pool("s3", "/b/k", {}), net::Pool::Data);
    EXPECT_EQ(pool("sagemaker", "/endpoints/e/invocations", {}), net::Pool::Inference);
    EXPECT_EQ(pool("sagemaker", "/", {{"X-Amz-Target", "SageMaker.ListModels"}}), net::Pool::Control);
    net::Request anonymous;
    anonymous.target = "/b/k";
    EXPECT_EQ(front->choose_pool(anonymous), net::Pool::Data);
    anonymous.headers.set("X-Amz-Target", "SageMaker.ListModels");
    EXPECT_EQ(front->choose_pool(anonymous), net::Pool::Control);
}

TEST_F(FrontTest, MarksWaitersAndSdksAsPolling) {
    const auto polling = [&](std::string agent) {
        static_cast<void>(send({.headers = {{"X-Amz-Target", "SageMaker.DescribeTrainingJob"}, {"User-Agent", agent}},
                                .body = R"({"TrainingJobName": "a"})"}));
        EXPECT_EQ(seen.user_agent, agent);
        return seen.polling;
    };
    const std::string boto =
        "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.2 md/pyimpl#CPython ";
    EXPECT_FALSE(polling(boto + "m/Z,N,E,g,b cfg/retry-mode#standard Botocore/1.44.5"));
    EXPECT_TRUE(polling(boto + "m/Z,N,B,E,g,b cfg/retry-mode#standard Botocore/1.44.5"));
    EXPECT_FALSE(polling(boto + "m/C,b,Bx cfg/retry-mode#standard"));
    EXPECT_TRUE(polling(boto + "m/Z,N,E cfg/retry-mode#standard Botocore/1.44.5 lib/AWS-SageMaker-Python-SDK#2.257.7"));
    EXPECT_TRUE(polling("AWS-SageMaker-Python-SDK/1.72.1 Python/3.7 Boto3/1.14 Botocore/1.17"));
    EXPECT_FALSE(polling("aws-cli/1.44 md/Botocore#1.44 md/prompt#off md/command#sagemaker.describe-training-job"));
    EXPECT_FALSE(polling(""));
}

TEST_F(FrontTest, DescribesWhatItCanDo) {
    const Json described = describe_operations(services());
    std::set<std::string> names;
    size_t implemented = 0, all = 0;
    for (const Json& service : described.items()) {
        names.insert(service["service"].as_string());
        for (const Json& operation : service["operations"].items()) {
            ++all;
            implemented += operation["implemented"].as_bool();
        }
    }
    EXPECT_EQ(names, (std::set<std::string>{"sagemaker", "sagemaker-runtime", "sts", "iam", "cloudwatch", "s3"}));
    EXPECT_EQ(implemented, 11u);
    EXPECT_GT(all, 700u);
}

}  // namespace
}  // namespace millwright::aws
