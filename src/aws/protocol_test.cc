#include "aws/protocol.h"

#include <gtest/gtest.h>

#include "aws/validate.h"
#include "base/xml.h"

namespace millwright::aws {
namespace {

ModelOperation operation(std::string_view service, std::string_view name) {
    return *find_service(service)->find_operation(name);
}

std::string decoded(std::string_view service, std::string_view name, std::string_view form) {
    const auto document = decode_query(*operation(service, name).input(), net::parse_query(form));
    return document ? document->dump() : document.error().code + ": " + document.error().message;
}

TEST(QueryDecoder, ReadsScalarsByTheirTypes) {
    EXPECT_EQ(decoded("sts", "AssumeRole", "Action=AssumeRole&RoleArn=arn%3Ax&RoleSessionName=s+t&DurationSeconds=900"),
              R"({"RoleArn":"arn:x","RoleSessionName":"s t","DurationSeconds":900})");
    EXPECT_EQ(decoded("sts", "AssumeRole", "DurationSeconds=soon"), "MalformedInput: soon is not a valid integer");
    EXPECT_EQ(decoded("sts", "AssumeRole", "DurationSeconds=99999999999"),
              "MalformedInput: 99999999999 is not a valid integer");
    EXPECT_EQ(decoded("iam", "CreateRole", "RoleName=r&Unknown=1"), R"({"RoleName":"r"})");
    EXPECT_EQ(decoded("iam", "ListPolicies", "OnlyAttached=true"), R"({"OnlyAttached":true})");
    EXPECT_EQ(decoded("iam", "ListPolicies", "OnlyAttached=yes"), "MalformedInput: yes is not a valid boolean");
}

TEST(QueryDecoder, ReadsListsInTheOrderOfTheirNumbers) {
    std::string form;
    for (int i = 12; i >= 1; --i)
        form += "Tags.member." + std::to_string(i) + ".Key=k" + std::to_string(i) + "&Tags.member." +
                std::to_string(i) + ".Value=v&";
    const auto document = decode_query(*operation("iam", "CreateRole").input(), net::parse_query(form));
    ASSERT_TRUE(document);
    ASSERT_EQ((*document)["Tags"].size(), 12u);
    for (size_t i = 0; i < 12; ++i) EXPECT_EQ((*document)["Tags"][i]["Key"].as_string(), "k" + std::to_string(i + 1));
    EXPECT_EQ(decoded("iam", "SimulatePrincipalPolicy", "ActionNames.member.1=s3%3AGetObject&ActionNames.member.2=b"),
              R"({"ActionNames":["s3:GetObject","b"]})");
    EXPECT_EQ(decoded("iam", "SimulatePrincipalPolicy", "ActionNames="), R"({"ActionNames":[]})");
}

TEST(QueryDecoder, ReadsMetricData) {
    EXPECT_EQ(
        decoded(
            "cloudwatch", "PutMetricData",
            "Namespace=n&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1.5&MetricData.member.1.Timestamp="
            "2026-11-22T10%3A15%3A30Z&MetricData.member.1.Dimensions.member.1.Name=d&MetricData.member.1.Dimensions."
            "member.1.Value=v"),
        R"({"Namespace":"n","MetricData":[{"MetricName":"m","Dimensions":[{"Name":"d","Value":"v"}],"Timestamp":1795342530,"Value":1.5}]})");
}

// The encoder's own form, read back by the decoder, for a document that has every kind of member.
TEST(QueryAnswer, IsWrappedAsTheModelSays) {
    const auto service = *find_service("sts");
    const auto answer = query_answer(
        service, operation("sts", "GetCallerIdentity"),
        Json::object({{"UserId", "id"}, {"Account", "123456789012"}, {"Arn", "arn:<&>"}, {"Secret", "x"}}), "req-1");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.get("content-type"), "text/xml");
    EXPECT_EQ(answer.body,
              "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<GetCallerIdentityResponse "
              "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
              "<GetCallerIdentityResult><UserId>id</UserId><Account>123456789012</Account><Arn>arn:&lt;&amp;&gt;</Arn>"
              "</GetCallerIdentityResult><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></"
              "GetCallerIdentityResponse>");
}

TEST(QueryAnswer, WritesListsTimesAndEmptyOutputs) {
    const auto iam = *find_service("iam");
    Json role = Json::object({{"RoleName", "r"},
                              {"CreateDate", 1795342530.25},
                              {"Tags", Json::array({Json::object({{"Key", "k"}, {"Value", "v"}})})}});
    const auto xml =
        parse_xml(query_answer(iam, operation("iam", "GetRole"), Json::object({{"Role", role}}), "r").body);
    const XmlElement* out = xml->find("GetRoleResult")->find("Role");
    EXPECT_EQ(out->text_of("CreateDate"), "2026-11-22T10:15:30.250Z");
    EXPECT_EQ(out->find("Tags")->find("member")->text_of("Key"), "k");
    const auto deleted = parse_xml(query_answer(iam, operation("iam", "DeleteRole"), Json::object(), "r").body);
    ASSERT_EQ(deleted->children.size(), 1u);
    EXPECT_EQ(deleted->children[0].text_of("RequestId"), "r");
}

TEST(QueryError, HasTypeCodeAndMessage) {
    const auto answer =
        query_error(*find_service("iam"), {404, "NoSuchEntity", "The role with name x cannot be found."}, "r");
    EXPECT_EQ(answer.status, 404);
    const auto xml = parse_xml(answer.body);
    EXPECT_EQ(xml->name, "ErrorResponse");
    EXPECT_EQ(xml->find("Error")->text_of("Type"), "Sender");
    EXPECT_EQ(xml->find("Error")->text_of("Code"), "NoSuchEntity");
    EXPECT_EQ(xml->text_of("RequestId"), "r");
}

TEST(JsonAnswer, KeepsWhatTheModelKnows) {
    const auto answer = json_answer(operation("sagemaker", "DescribeTrainingJob"), "1.1",
                                    Json::object({{"TrainingJobName", "a"},
                                                  {"CreationTime", 1795342530.25},
                                                  {"Internal", 1},
                                                  {"FailureReason", Json()},
                                                  {"HyperParameters", Json::object({{"k", "v"}})}}));
    EXPECT_EQ(answer.body, R"({"TrainingJobName":"a","HyperParameters":{"k":"v"},"CreationTime":1795342530.25})");
    EXPECT_EQ(answer.headers.get("content-type"), "application/x-amz-json-1.1");
    EXPECT_EQ(json_answer(operation("sagemaker", "DeleteModel"), "1.1", Json()).body, "");
    EXPECT_EQ(json_answer(operation("sagemaker", "ListModels"), "1.1", Json()).body, "{}");
}

TEST(JsonError, CarriesCodeMessageAndMembers) {
    ApiError error{400, "ResourceInUse", "taken"};
    const auto answer = json_error(error, "1.1");
    EXPECT_EQ(answer.body, R"({"__type":"ResourceInUse","message":"taken"})");
    EXPECT_FALSE(answer.headers.has("x-amzn-query-error"));
    EXPECT_EQ(json_error(error, "1.0", "InUse").headers.get("x-amzn-query-error"), "InUse;Sender");
    EXPECT_EQ(json_error({500, "InternalFailure", "x"}, "1.0", "InternalFailure").headers.get("x-amzn-query-error"),
              "InternalFailure;Receiver");
}

TEST(RestJsonError, NamesTheErrorInAHeader) {
    ApiError error{424, "ModelError", "Received server error (500) from primary"};
    error.members = Json::object({{"OriginalStatusCode", 500}, {"OriginalMessage", "boom"}});
    const auto answer = rest_json_error(error);
    EXPECT_EQ(answer.status, 424);
    EXPECT_EQ(answer.headers.get("x-amzn-errortype"), "ModelError");
    EXPECT_EQ(
        answer.body,
        R"({"message":"Received server error (500) from primary","OriginalStatusCode":500,"OriginalMessage":"boom"})");
}

TEST(S3Error, IsPlainXml) {
    ApiError error{404, "NoSuchKey", "The specified key does not exist."};
    error.members = Json::object({{"Key",
                                   "a\x01"
                                   "b"}});
    EXPECT_EQ(render_s3_error(error, "/b/k", "r").body,
              "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key "
              "does not exist.</Message>"
              "<Key>a\xEF\xBF\xBD"
              "b</Key><Resource>/b/k</Resource><RequestId>r</RequestId></Error>");
}

TEST(CborError, IsAMapOfTwoTexts) {
    const std::string body = cbor_error({400, "E", "no"}).body;
    EXPECT_EQ(body, std::string("\xa2\x79\0\x06__type\x79\0\x01"
                                "E\x79\0\x07message\x79\0\x02no",
                                29));
}

}  // namespace
}  // namespace millwright::aws
