#include "aws/validate.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace millwright::aws {
namespace {

Shape input_of(std::string_view operation, std::string_view service = "sagemaker") {
    return *find_service(service)->find_operation(operation)->input();
}

Json parse(std::string_view text) { return Json::parse(text).value(); }

std::string refusal(std::string_view operation, std::string_view text, std::string_view service = "sagemaker") {
    const Shape shape = input_of(operation, service);
    const auto decoded = decode_json(shape, parse(text));
    if (!decoded) return decoded.error().code + ": " + decoded.error().message;
    const auto checked = validate(shape, *decoded);
    return checked ? "" : checked.error().message;
}

constexpr std::string_view kTraining = R"({
  "TrainingJobName": "job-1", "RoleArn": "arn:aws:iam::123456789012:role/SageMakerRole",
  "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
  "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
  "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
  "StoppingCondition": {"MaxRuntimeInSeconds": 3600}, "HyperParameters": {"a": "1"}})";

// The document with the text `from` replaced.
std::string training_with(std::string_view from, std::string_view to) {
    const std::string changed = replace_all(kTraining, from, to);
    EXPECT_NE(changed, kTraining);
    return changed;
}

TEST(Validate, AcceptsATrainingJob) { EXPECT_EQ(refusal("CreateTrainingJob", kTraining), ""); }

TEST(Validate, NamesAMissingMember) {
    EXPECT_EQ(refusal("DescribeTrainingJob", "{}"),
              "1 validation error detected: Value null at 'trainingJobName' failed to satisfy constraint: Member must "
              "not be null");
    EXPECT_EQ(refusal("DescribeTrainingJob", R"({"TrainingJobName": null})"), refusal("DescribeTrainingJob", "{}"));
}

TEST(Validate, NumbersThatAreNotFiniteLieWithinNoLimits) {
    for (const std::string number : {"NaN", "Infinity", "-Infinity"})
        EXPECT_NE(
            refusal("UpdateEndpointWeightsAndCapacities",
                    R"({"EndpointName": "e", "DesiredWeightsAndCapacities": [{"VariantName": "a", "DesiredWeight": ")" +
                        number + R"("}]})")
                .find("Member must have value greater than or equal to 0"),
            std::string::npos)
            << number;
}

TEST(Validate, ReportsSeveralErrorsInOneAnswer) {
    const std::string text = refusal("CreateTrainingJob", training_with(R"("job-1")", R"("no spaces")"));
    EXPECT_EQ(text,
              "1 validation error detected: Value 'no spaces' at 'trainingJobName' failed to satisfy constraint: "
              "Member must satisfy regular expression pattern: " +
                  std::string(input_of("CreateTrainingJob").find_member("TrainingJobName")->shape().pattern()));
    const std::string two =
        refusal("CreateTrainingJob",
                replace_all(training_with("\"job-1\"", "\"a b\""), "\"VolumeSizeInGB\": 10", "\"VolumeSizeInGB\": -1"));
    EXPECT_TRUE(two.starts_with("2 validation errors detected: Value 'a b' at 'trainingJobName'")) << two;
    EXPECT_TRUE(
        two.ends_with("; Value '-1' at 'resourceConfig.volumeSizeInGB' failed to satisfy constraint: Member must have "
                      "value greater than or equal to 0"))
        << two;
}

TEST(Validate, ListsTheEnumValueSet) {
    const std::string text = refusal("CreateTrainingJob", training_with("ml.m5.large", "local"));
    EXPECT_TRUE(text.starts_with(
        "1 validation error detected: Value 'local' at 'resourceConfig.instanceType' failed to satisfy "
        "constraint: Member must satisfy enum value set: [ml."))
        << text;
    EXPECT_TRUE(text.ends_with("]"));
}

TEST(Validate, EveryInstanceTypeOfTheModelPassesAndNothingElse) {
    const Shape types =
        input_of("CreateTrainingJob").find_member("ResourceConfig")->shape().find_member("InstanceType")->shape();
    for (const std::string_view type : types.enum_values()) EXPECT_TRUE(validate(types, Json(type))) << type;
    for (const char* type : {"", "ml.m5.Large", "ml.m5.large ", "m5.large"})
        EXPECT_FALSE(validate(types, Json(type))) << type;
}

TEST(Validate, SpellsPathsIntoLists) {
    const std::string text = refusal("CreateEndpointConfig", R"({"EndpointConfigName": "c", "ProductionVariants": [
        {"VariantName": "a", "ModelName": "m"}, {"VariantName": "b", "ModelName": "bad name"}]})");
    EXPECT_TRUE(text.starts_with(
        "1 validation error detected: Value 'bad name' at 'productionVariants.2.member.modelName' failed"))
        << text;
}

TEST(Validate, ReportsScalarsOfAListOnceForTheList) {
    EXPECT_EQ(refusal("CreateModel",
                      R"({"ModelName": "m", "VpcConfig": {"Subnets": ["ok-1", "b!d"], "SecurityGroupIds": ["sg-1"]}})"),
              "1 validation error detected: Value '[ok-1, b!d]' at 'vpcConfig.subnets' failed to satisfy constraint: "
              "Member must satisfy "
              "constraint: [Member must have length less than or equal to 32, Member must have length greater than or "
              "equal to 0, Member "
              "must satisfy regular expression pattern: [-0-9a-zA-Z]+]");
    EXPECT_EQ(
        refusal("CreateModel", R"({"ModelName": "m", "VpcConfig": {"Subnets": [], "SecurityGroupIds": ["sg-1"]}})"),
        "1 validation error detected: Value '[]' at 'vpcConfig.subnets' failed to satisfy constraint: Member must have "
        "length "
        "greater than or equal to 1");
}

TEST(Validate, ReportsValuesAndKeysOfMaps) {
    const std::string value(2501, 'x');
    const std::string text =
        refusal("CreateTrainingJob", training_with("{\"a\": \"1\"}", "{\"a\": \"" + value + "\"}"));
    EXPECT_TRUE(text.starts_with("1 validation error detected: Value '{a=xxx")) << text;
    EXPECT_TRUE(text.ends_with(
        "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: [Member must have "
        "length less than or equal to 2500, Member must have length greater than or equal to 0, Member must "
        "satisfy regular expression pattern: .*]"))
        << text.substr(text.size() - 300);
    const std::string key(257, 'k');
    EXPECT_NE(refusal("CreateTrainingJob", training_with("{\"a\": \"1\"}", "{\"" + key + "\": \"1\"}"))
                  .find("Map keys must satisfy constraint: ["),
              std::string::npos);
}

TEST(Validate, CountsCodePointsNotBytes) {
    const Shape name = input_of("CreateTrainingJob").find_member("HyperParameters")->shape().key().shape();
    std::string text;
    for (int i = 0; i < 256; ++i) text += "ä";
    EXPECT_TRUE(validate(name, Json(text)));
    EXPECT_FALSE(validate(name, Json(text + "ä")));
}

TEST(Validate, HidesSensitiveValues) {
    for (const Shape shape : find_service("iam")->shapes()) {
        if (!shape.sensitive() || !shape.max() || shape.type() != ShapeType::String) continue;
        const auto checked = validate(shape, Json(std::string(static_cast<size_t>(*shape.max()) + 1, 'x')));
        ASSERT_FALSE(checked);
        EXPECT_NE(checked.error().message.find("Value at '"), std::string::npos);
        EXPECT_EQ(checked.error().message.find("xxx"), std::string::npos);
        return;
    }
    FAIL() << "no sensitive shape with a limit in the model";
}

TEST(Validate, WantsOneMemberOfAUnion) {
    for (const Shape shape : find_service("sagemaker")->shapes()) {
        if (!shape.is_union()) continue;
        EXPECT_FALSE(validate(shape, Json::object())) << shape.name();
        return;
    }
    FAIL();
}

TEST(Validate, LimitsTheAnswerToManyErrors) {
    std::string tags;
    for (int i = 0; i < 3000; ++i) tags += std::string(i ? "," : "") + R"({"Key": "!*", "Value": "v"})";
    const std::string text = refusal(
        "AddTags", R"({"ResourceArn": "arn:aws:sagemaker:us-west-2:123456789012:model/m", "Tags": [)" + tags + "]}");
    EXPECT_TRUE(text.starts_with("3001 validation errors detected: ")) << text.substr(0, 100);
    EXPECT_LT(text.size(), 60'000u);
}

TEST(ModelPattern, LooksAroundWithoutRunningAway) {
    for (const Shape shape : find_service("sagemaker")->shapes()) {
        if (shape.pattern() != "https://([.\\-_a-zA-Z0-9]+/?){3,1016}") continue;
        EXPECT_TRUE(matches_model_pattern(shape, "https://github.com/user/repository.git"));
        EXPECT_FALSE(matches_model_pattern(shape, "https://" + std::string(2000, 'a') + "!"));
        return;
    }
    FAIL() << "the pattern is gone from the model; choose another with nested repetition";
}

TEST(DecodeJson, DropsUnknownAndNullMembers) {
    const auto decoded =
        decode_json(input_of("DescribeTrainingJob"), parse(R"({"TrainingJobName": "a", "Later": {"x": 1}})"));
    EXPECT_EQ(decoded->dump(), R"({"TrainingJobName":"a"})");
}

TEST(DecodeJson, RefusesWrongTypesAsAwsDoes) {
    EXPECT_EQ(refusal("DescribeTrainingJob", R"({"TrainingJobName": 5})"),
              "SerializationException: NUMBER_VALUE can not be converted to a String");
    EXPECT_EQ(refusal("DescribeTrainingJob", R"({"TrainingJobName": true})"),
              "SerializationException: TRUE_VALUE can not be converted to a String");
    EXPECT_EQ(refusal("DescribeTrainingJob", R"({"TrainingJobName": ["a"]})"),
              "SerializationException: Start of list found where not expected");
    EXPECT_EQ(refusal("DescribeTrainingJob", R"({"TrainingJobName": {}})"),
              "SerializationException: Start of structure or map found where not expected.");
    EXPECT_EQ(refusal("ListTrainingJobs", R"({"MaxResults": "5"})"),
              "SerializationException: STRING_VALUE can not be converted to an Integer");
    EXPECT_EQ(refusal("ListTrainingJobs", R"({"MaxResults": 5.5})"),
              "SerializationException: DECIMAL_VALUE can not be converted to an Integer");
    EXPECT_EQ(refusal("ListTrainingJobs", R"({"MaxResults": 5000000000})"),
              "SerializationException: NUMBER_VALUE can not be converted to an Integer");
    EXPECT_EQ(refusal("AddTags", R"({"ResourceArn": "a", "Tags": "x"})"),
              "SerializationException: Unrecognized collection type class java.lang.String");
    EXPECT_EQ(refusal("DescribeTrainingJob", "[]"), "SerializationException: Start of list found where not expected");
    EXPECT_EQ(refusal("DescribeTrainingJob", "5"),
              "SerializationException: Unrecognized collection type class java.lang.Number");
}

TEST(DecodeJson, TakesTimestampsAsNumbersOrText) {
    const Shape shape = input_of("ListTrainingJobs");
    EXPECT_EQ((*decode_json(shape, parse(R"({"CreationTimeAfter": 1.5})")))["CreationTimeAfter"].as_double(), 1.5);
    EXPECT_EQ((*decode_json(shape, parse(R"({"CreationTimeAfter": "1970-01-01T00:01:00Z"})")))["CreationTimeAfter"]
                  .as_double(),
              60.0);
    EXPECT_FALSE(decode_json(shape, parse(R"({"CreationTimeAfter": "yesterday"})")));
    EXPECT_FALSE(decode_json(shape, parse(R"({"CreationTimeAfter": 1e300})")));
}

TEST(DecodeJson, TakesWholeDoublesAsIntegers) {
    EXPECT_EQ((*decode_json(input_of("ListTrainingJobs"), parse(R"({"MaxResults": 7.0})")))["MaxResults"].as_int(), 7);
}

TEST(DecodeJson, RefusesNullInLists) {
    EXPECT_NE(
        refusal("CreateModel", R"({"ModelName": "m", "VpcConfig": {"Subnets": [null], "SecurityGroupIds": ["sg"]}})")
            .find("Member must not be null"),
        std::string::npos);
    EXPECT_NE(
        refusal("AddTags", R"({"ResourceArn": "arn:aws:sagemaker:us-west-2:123456789012:model/m", "Tags": [null]})")
            .find("Value null at 'tags.1.member'"),
        std::string::npos);
}

}  // namespace
}  // namespace millwright::aws
