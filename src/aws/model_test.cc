#include "aws/model.h"

#include <gtest/gtest.h>

#include <string>

#include "aws/validate.h"

namespace millwright::aws {
namespace {

constexpr const char* kServices[] = {"sagemaker", "sagemaker-runtime", "logs", "cloudwatch", "iam", "sts", "s3", "ecr"};

TEST(ServiceModel, KnowsTheServicesAndNoOthers) {
    for (const char* name : kServices) ASSERT_TRUE(find_service(name)) << name;
    EXPECT_FALSE(find_service("ec2"));
    EXPECT_EQ(find_service("sagemaker")->target_prefix(), "SageMaker");
    EXPECT_EQ(find_service("sagemaker-runtime")->signing_name(), "sagemaker");
    EXPECT_EQ(find_service("cloudwatch")->signing_name(), "monitoring");
    EXPECT_TRUE(find_service("cloudwatch")->query_compatible());
    EXPECT_GE(find_service("sagemaker")->operations().size(), 403u);
    EXPECT_GE(find_service("s3")->operations().size(), 100u);
}

TEST(ServiceModel, FindsEveryOperationByItsName) {
    for (const char* name : kServices)
        for (const ModelOperation operation : find_service(name)->operations()) {
            const auto found = find_service(name)->find_operation(operation.name());
            ASSERT_TRUE(found) << operation.name();
            EXPECT_EQ(found->name(), operation.name());
        }
    EXPECT_FALSE(find_service("sagemaker")->find_operation("CreateTrainingJobs"));
    EXPECT_FALSE(find_service("sagemaker")->find_operation(""));
    EXPECT_FALSE(find_service("sagemaker")->find_operation("zzz"));
}

TEST(ServiceModel, SaysWhatCreateTrainingJobIs) {
    const auto operation = *find_service("sagemaker")->find_operation("CreateTrainingJob");
    const Shape input = *operation.input();
    const auto name = input.find_member("TrainingJobName");
    ASSERT_TRUE(name);
    EXPECT_TRUE(name->required());
    EXPECT_EQ(name->shape().type(), ShapeType::String);
    EXPECT_EQ(name->shape().max(), 63);
    EXPECT_FALSE(name->shape().pattern().empty());
    EXPECT_FALSE(input.find_member("Tags")->required());
    EXPECT_EQ(input.find_member("HyperParameters")->shape().type(), ShapeType::Map);
    EXPECT_EQ(input.find_member("InputDataConfig")->shape().element().shape().name(), "Channel");
    EXPECT_FALSE(input.find_member("trainingJobName"));
    const Shape resources = input.find_member("ResourceConfig")->shape();
    EXPECT_GT(resources.find_member("InstanceType")->shape().enum_values().size(), 100u);
    EXPECT_EQ(resources.find_member("InstanceCount")->shape().min(), 0);
    bool in_use = false;
    for (const Shape error : operation.errors()) in_use = in_use || error.error_code() == "ResourceInUse";
    EXPECT_TRUE(in_use);
}

TEST(ServiceModel, KnowsBindingsErrorsAndPages) {
    const auto invoke = *find_service("sagemaker-runtime")->find_operation("InvokeEndpoint");
    EXPECT_EQ(invoke.method(), "POST");
    EXPECT_EQ(invoke.uri(), "/endpoints/{EndpointName}/invocations");
    EXPECT_EQ(invoke.input()->payload(), "Body");
    EXPECT_EQ(invoke.input()->find_member("ContentType")->location(), Location::Header);
    EXPECT_EQ(invoke.input()->find_member("ContentType")->location_name(), "Content-Type");
    EXPECT_EQ(find_service("sagemaker-runtime")->find_shape("ModelError")->error_status(), 424);
    EXPECT_EQ(find_service("iam")->find_shape("NoSuchEntityException")->error_code(), "NoSuchEntity");
    EXPECT_EQ(find_service("iam")->find_shape("NoSuchEntityException")->error_status(), 404);
    const auto pages = find_service("sagemaker")->find_operation("ListTrainingJobs")->pagination();
    ASSERT_TRUE(pages);
    EXPECT_EQ(pages->output_token, "NextToken");
    EXPECT_EQ(pages->result_key, "TrainingJobSummaries");
    EXPECT_FALSE(find_service("sagemaker")->find_operation("CreateModel")->pagination());
}

TEST(ServiceModel, EveryPatternCompiles) {
    int count = 0;
    for (const char* name : kServices)
        for (const Shape shape : find_service(name)->shapes())
            if (!shape.pattern().empty()) {
                ++count;
                EXPECT_TRUE(model_pattern_compiles(shape)) << name << " " << shape.name() << " " << shape.pattern();
            }
    EXPECT_GT(count, 500);
}

TEST(ServiceModel, EveryReferenceLeadsToAShape) {
    for (const char* name : kServices) {
        const auto service = *find_service(name);
        for (const Shape shape : service.shapes()) {
            EXPECT_FALSE(shape.name().empty());
            for (const Member member : shape.members()) {
                EXPECT_FALSE(member.name().empty());
                EXPECT_LT(member.shape().index(), service.shapes().size());
            }
            if (shape.type() == ShapeType::List) {
                EXPECT_LT(shape.element().shape().index(), service.shapes().size());
            }
            if (shape.type() == ShapeType::Map) {
                EXPECT_EQ(shape.key().shape().type(), ShapeType::String);
                EXPECT_LT(shape.value().shape().index(), service.shapes().size());
            }
        }
    }
}

}  // namespace
}  // namespace millwright::aws
