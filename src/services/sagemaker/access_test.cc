#include "services/sagemaker/access.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "metadata_store/database.h"

namespace millwright::services {
namespace {

class SageMakerAccessTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_sm_access_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        identity_ = resources::Identity::open(folder_, *database_, system_clock(), system_random(), {}).value();
        tags_ = resources::Tags::open(*database_).value();
        call_.caller = identity_->find_credential(identity_->root().access_key_id)->caller;
        call_.caller.region = "us-west-2";
    }
    void TearDown() override {
        tags_.reset();
        identity_.reset();
        database_.reset();
        std::filesystem::remove_all(folder_);
    }

    std::vector<aws::Access> needed(std::string_view operation, std::string_view input) {
        const auto rule = sagemaker_access_rule({*tags_, *identity_}, operation);
        return rule(call_, Json::parse(input).value()).value();
    }
    static std::string value_of(const aws::Access& access, std::string_view key) {
        for (const auto& [name, values] : access.context)
            if (name == key) return values.empty() ? "" : values.front();
        return "absent";
    }

    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<resources::Identity> identity_;
    std::unique_ptr<resources::Tags> tags_;
    aws::Call call_;
};

TEST_F(SageMakerAccessTest, CreatingAJobNeedsTheJobItsTagsAndItsRole) {
    const auto all = needed("CreateTrainingJob", R"({"TrainingJobName":"Job-1","RoleArn":"SageMakerRole",
        "ResourceConfig":{"InstanceType":"ml.m5.large","InstanceGroups":[{"InstanceType":"ml.c5.large"}]},
        "VpcConfig":{"Subnets":["a","b"]},"EnableNetworkIsolation":true,"Tags":[{"Key":"Team","Value":"red"}]})");
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].action, "sagemaker:CreateTrainingJob");
    EXPECT_EQ(all[0].resource, "arn:aws:sagemaker:us-west-2:" + call_.caller.account + ":training-job/job-1");
    EXPECT_EQ(value_of(all[0], "sagemaker:instancetypes"), "ml.m5.large");
    EXPECT_EQ(value_of(all[0], "sagemaker:networkisolation"), "true");
    EXPECT_EQ(value_of(all[0], "aws:requesttag/team"), "red");
    EXPECT_EQ(value_of(all[0], "aws:tagkeys"), "Team");
    EXPECT_EQ(value_of(all[0], "sagemaker:keepaliveperiod"), "absent");
    for (const auto& [name, values] : all[0].context) {
        if (name == "sagemaker:vpcsubnets") {
            EXPECT_EQ(values, (aws::Strings{"a", "b"}));
        }
    }
    EXPECT_EQ(all[1].action, "sagemaker:AddTags");
    EXPECT_EQ(all[2].action, "iam:PassRole");
    EXPECT_EQ(all[2].resource, "arn:aws:iam::" + call_.caller.account + ":role/SageMakerRole");
    EXPECT_EQ(value_of(all[2], "iam:passedtoservice"), "sagemaker.amazonaws.com");
}

TEST_F(SageMakerAccessTest, ArnsOfOtherAccountsAreJudgedAsTheirs) {
    const auto all = needed("ListTags", R"({"ResourceArn":"arn:aws:sagemaker:us-west-2:999999999999:model/m"})");
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].resource_account, "999999999999");
}

TEST_F(SageMakerAccessTest, TagsOfResourcesAreFoundWhenAsked) {
    const std::string arn = "arn:aws:sagemaker:us-west-2:" + call_.caller.account + ":model/m";
    ASSERT_TRUE(database_->write([&](metadata_store::Transaction& tx) {
        return tags_->register_in(tx, arn, {{"Team", "red"}});
    }));
    const auto all = needed("DeleteModel", R"({"ModelName":"M"})");
    ASSERT_TRUE(all[0].find_context);
    EXPECT_EQ(all[0].find_context("aws:resourcetag/team"), aws::Strings{"red"});
    EXPECT_EQ(all[0].find_context("sagemaker:resourcetag/team"), aws::Strings{"red"});
    EXPECT_TRUE(all[0].find_context("aws:resourcetag/other").empty());
}

TEST_F(SageMakerAccessTest, ListsAreAboutEverything) {
    EXPECT_EQ(needed("ListModels", "{}")[0].resource, "*");
    EXPECT_EQ(needed("CreateEndpoint", R"({"EndpointName":"e","EndpointConfigName":"c"})").size(), 2u);
}

}  // namespace
}  // namespace millwright::services
