#include "services/iam/iam.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/encoding.h"
#include "metadata_store/database.h"

namespace millwright::services {
namespace {

const char kTrust[] =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]})";

const char kDenyIam[] = R"({"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:*","Resource":"*"}})";

class IamTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_iam_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        resources::IdentitySettings settings;
        settings.lenient_roles = false;
        identity_ = resources::Identity::open(folder_, *database_, system_clock(), system_random(), settings).value();
        service_ = iam_service(*identity_);
        call_.caller = identity_->find_credential(identity_->root().access_key_id)->caller;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    aws::ApiResult<Json> call(std::string_view operation, const Json& input) {
        for (const aws::Operation& entry : service_.operations)
            if (entry.name == operation) return entry.handle(call_, input);
        return aws::ApiError(400, "InvalidAction", std::string(operation));
    }
    std::string failure(std::string_view operation, const Json& input) {
        const auto answer = call(operation, input);
        return answer ? "" : answer.error().code;
    }

    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<resources::Identity> identity_;
    aws::Service service_;
    aws::Call call_;
};

Json role(std::string_view name) { return Json::object({{"RoleName", name}}); }

TEST_F(IamTest, ARoleLivesFromCreateToDelete) {
    Json wanted = role("Trainer");
    wanted.set("AssumeRolePolicyDocument", kTrust);
    wanted.set("Description", "trains");
    const auto made = call("CreateRole", wanted);
    ASSERT_TRUE(made);
    EXPECT_EQ(percent_decode((*made)["Role"]["AssumeRolePolicyDocument"].as_string()), kTrust);
    EXPECT_EQ(failure("CreateRole", wanted), "EntityAlreadyExists");
    EXPECT_EQ((*call("GetRole", role("Trainer")))["Role"]["Description"].as_string(), "trains");
    EXPECT_EQ(failure("GetRole", role("Nobody")), "NoSuchEntity");
    Json changed = role("Trainer");
    changed.set("PolicyDocument", R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}})");
    EXPECT_TRUE(call("UpdateAssumeRolePolicy", changed));
    changed.set("PolicyDocument", "{}");
    EXPECT_EQ(failure("UpdateAssumeRolePolicy", changed), "MalformedPolicyDocument");
    EXPECT_TRUE(call("DeleteRole", role("Trainer")));
    EXPECT_EQ(failure("DeleteRole", role("Trainer")), "NoSuchEntity");
    EXPECT_EQ(failure("DeleteRole", role("SageMakerRole")), "UnmodifiableEntity");
}

TEST_F(IamTest, PoliciesAreAttachedPutListedAndRemoved) {
    const std::string arn = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess";
    Json attach = role("SageMakerRole");
    attach.set("PolicyArn", arn);
    ASSERT_TRUE(call("AttachRolePolicy", attach));
    const auto attached = call("ListAttachedRolePolicies", role("SageMakerRole"));
    EXPECT_EQ((*attached)["AttachedPolicies"][0]["PolicyName"].as_string(), "AmazonSageMakerFullAccess");
    Json put = role("SageMakerRole");
    put.set("PolicyName", "p");
    put.set("PolicyDocument", "nonsense");
    EXPECT_EQ(failure("PutRolePolicy", put), "MalformedPolicyDocument");
    put.set("PolicyDocument", R"({"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}})");
    ASSERT_TRUE(call("PutRolePolicy", put));
    EXPECT_EQ((*call("ListRolePolicies", role("SageMakerRole")))["PolicyNames"][1].as_string(), "p");
    EXPECT_TRUE(call("GetRolePolicy", put));
    EXPECT_TRUE(call("DeleteRolePolicy", put));
    EXPECT_EQ(failure("GetRolePolicy", put), "NoSuchEntity");
    EXPECT_TRUE(call("DetachRolePolicy", attach));
    EXPECT_EQ(failure("DetachRolePolicy", attach), "NoSuchEntity");
}

TEST_F(IamTest, MarkersContinueAListing) {
    for (const char* name : {"r1", "r2", "r3"}) {
        Json wanted = role(name);
        wanted.set("AssumeRolePolicyDocument", kTrust);
        ASSERT_TRUE(call("CreateRole", wanted));
    }
    std::vector<std::string> names;
    Json input = Json::object({{"MaxItems", 1}});
    for (int page = 0; page < 10; ++page) {
        const auto answer = call("ListRoles", input);
        ASSERT_TRUE(answer);
        for (const Json& item : (*answer)["Roles"].items()) names.push_back(item["RoleName"].as_string());
        if (!(*answer)["IsTruncated"].as_bool()) break;
        input.set("Marker", (*answer)["Marker"]);
    }
    EXPECT_EQ(names, (std::vector<std::string>{"SageMakerRole", "r1", "r2", "r3"}));
    EXPECT_EQ(failure("ListRoles", Json::object({{"Marker", "%%"}})), "ValidationError");
}

TEST_F(IamTest, UsersHaveKeys) {
    const Json ada = Json::object({{"UserName", "ada"}});
    ASSERT_TRUE(call("CreateUser", ada));
    EXPECT_EQ(failure("CreateUser", ada), "EntityAlreadyExists");
    const auto key = call("CreateAccessKey", ada);
    ASSERT_TRUE(key);
    EXPECT_EQ(failure("DeleteUser", ada), "DeleteConflict");
    EXPECT_EQ((*call("ListAccessKeys", ada))["AccessKeyMetadata"].size(), 1u);
    call_.caller = identity_->find_credential((*key)["AccessKey"]["AccessKeyId"].as_string())->caller;
    EXPECT_EQ((*call("GetUser", Json::object()))["User"]["UserName"].as_string(), "ada");
    ASSERT_TRUE(call("DeleteAccessKey", Json::object({{"AccessKeyId", (*key)["AccessKey"]["AccessKeyId"]}})));
    EXPECT_TRUE(call("DeleteUser", ada));
    EXPECT_EQ(failure("GetUser", ada), "NoSuchEntity");
    EXPECT_EQ((*call("ListUsers", Json::object()))["Users"].size(), 0u);
}

TEST_F(IamTest, SimulationsAskTheEngine) {
    const Json input = Json::object({{"PolicySourceArn", (*call("GetRole", role("SageMakerRole")))["Role"]["Arn"]},
                                     {"ActionNames", Json::array({Json("s3:GetObject"), Json("sagemaker:*")})}});
    const auto answer = call("SimulatePrincipalPolicy", input);
    ASSERT_TRUE(answer);
    ASSERT_EQ((*answer)["EvaluationResults"].size(), 2u);
    EXPECT_EQ((*answer)["EvaluationResults"][1]["EvalDecision"].as_string(), "allowed");
    Json more = input;
    more.set("ActionNames", Json::array({Json("iam:CreateUser")}));
    EXPECT_EQ((*call("SimulatePrincipalPolicy", more))["EvaluationResults"][0]["EvalDecision"].as_string(),
              "implicitDeny");
    more.set("PolicyInputList", Json::array({Json(kDenyIam)}));
    EXPECT_EQ((*call("SimulatePrincipalPolicy", more))["EvaluationResults"][0]["EvalDecision"].as_string(),
              "explicitDeny");
    Json unknown = input;
    unknown.set("PolicySourceArn", "arn:aws:iam::" + call_.caller.account + ":role/Nobody");
    EXPECT_EQ(failure("SimulatePrincipalPolicy", unknown), "NoSuchEntity");
    unknown.set("PolicySourceArn", "arn:aws:s3:::bucket");
    EXPECT_EQ(failure("SimulatePrincipalPolicy", unknown), "InvalidInput");
}

TEST_F(IamTest, EveryOperationSaysWhatItNeeds) {
    for (const aws::Operation& operation : service_.operations) EXPECT_TRUE(operation.access) << operation.name;
}

TEST_F(IamTest, RulesNameTheThingWithItsPathAndTags) {
    Json wanted = Json::object({{"UserName", "eve"}, {"Path", "/team/"}});
    wanted.set("Tags", Json::array({Json::object({{"Key", "Team"}, {"Value", "red"}})}));
    const auto needed = [&](std::string_view name, const Json& input) {
        for (const aws::Operation& entry : service_.operations)
            if (entry.name == name) return entry.access(call_, input).value();
        return std::vector<aws::Access>();
    };
    const std::string arn = "arn:aws:iam::" + call_.caller.account + ":user/team/eve";
    ASSERT_EQ(needed("CreateUser", wanted).size(), 2u);
    EXPECT_EQ(needed("CreateUser", wanted)[0].resource, arn);
    EXPECT_EQ(needed("CreateUser", wanted)[1].action, "iam:TagUser");
    ASSERT_TRUE(call("CreateUser", wanted));
    const auto attach = needed("AttachUserPolicy", Json::object({{"UserName", "eve"}, {"PolicyArn", "arn:p"}}));
    EXPECT_EQ(attach[0].resource, arn);
    bool tagged = false, named = false;
    for (const auto& [key, values] : attach[0].context) {
        tagged |= key == "iam:resourcetag/team" && values == aws::Strings{"red"};
        named |= key == "iam:policyarn" && values == aws::Strings{"arn:p"};
    }
    EXPECT_TRUE(tagged && named);
}

TEST_F(IamTest, CustomersPoliciesLiveFromCreateToDelete) {
    const char document[] = R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}})";
    Json wanted = Json::object({{"PolicyName", "Team"}, {"PolicyDocument", document}});
    const auto made = call("CreatePolicy", wanted);
    ASSERT_TRUE(made);
    EXPECT_EQ(failure("CreatePolicy", wanted), "EntityAlreadyExists");
    const Json arn = Json::object({{"PolicyArn", (*made)["Policy"]["Arn"]}});
    Json version = arn;
    version.set("PolicyDocument", document);
    EXPECT_EQ((*call("CreatePolicyVersion", version))["PolicyVersion"]["VersionId"].as_string(), "v2");
    version = arn;
    version.set("VersionId", "v1");
    EXPECT_EQ(percent_decode((*call("GetPolicyVersion", version))["PolicyVersion"]["Document"].as_string()), document);
    EXPECT_EQ(failure("DeletePolicy", arn), "DeleteConflict");
    version.set("VersionId", "v2");
    EXPECT_TRUE(call("DeletePolicyVersion", version));
    Json attach = role("SageMakerRole");
    attach.set("PolicyArn", arn["PolicyArn"]);
    ASSERT_TRUE(call("AttachRolePolicy", attach));
    EXPECT_EQ((*call("ListEntitiesForPolicy", arn))["PolicyRoles"][0]["RoleName"].as_string(), "SageMakerRole");
    EXPECT_EQ((*call("GetPolicy", arn))["Policy"]["AttachmentCount"].as_int(), 1);
    EXPECT_EQ((*call("ListPolicies", Json::object({{"Scope", "Local"}})))["Policies"].size(), 1u);
    EXPECT_EQ(failure("DeletePolicy", arn), "DeleteConflict");
    ASSERT_TRUE(call("DetachRolePolicy", attach));
    EXPECT_TRUE(call("DeletePolicy", arn));
    EXPECT_EQ(failure("GetPolicy", arn), "NoSuchEntity");
    EXPECT_EQ(failure("AttachRolePolicy", attach), "NoSuchEntity");
}

}  // namespace
}  // namespace millwright::services
