#include "services/sts/sts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "metadata_store/database.h"
#include "resources/identity/access_control.h"
#include "resources/identity/policy_store.h"
#include "resources/identity/role_store.h"
#include "resources/identity/user_store.h"

namespace millwright::services {
namespace {

class StsTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_sts_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        identity_ = resources::Identity::open(folder_, *database_, system_clock(), system_random(), {}).value();
        service_ = sts_service(*identity_);
        root_ = identity_->find_credential(identity_->root().access_key_id)->caller;
        account_ = root_.account;
        EXPECT_TRUE(identity_->users().create(account_, {"ada", "/", "", "", {}, {}, ""}));
        ada_ = identity_->find_credential(identity_->users().create_key(account_, "ada")->id)->caller;
        EXPECT_TRUE(identity_->policies().put_inline(
            {resources::HolderKind::User, account_, "ada"}, "sts",
            R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}})"));
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    aws::ApiResult<Json> call(std::string_view operation, const aws::Caller& caller,
                              const Json& input = Json::object()) {
        aws::Call c;
        c.caller = caller;
        for (const aws::Operation& entry : service_.operations) {
            if (entry.name != operation) continue;
            // As the front does it.
            const auto needed = TRY(entry.access(c, input));
            for (const aws::Access& access : needed) {
                const auto decision = TRY(identity_->access().decide(c, access));
                if (!decision.allowed())
                    return aws::ApiError(403, "AccessDenied", aws::denial_text(caller, access, decision));
            }
            return entry.handle(c, input);
        }
        return aws::ApiError(400, "InvalidAction", std::string(operation));
    }
    Json assume(std::string_view role, int seconds = 3600) {
        return Json::object({{"RoleArn", "arn:aws:iam::" + account_ + ":role/" + std::string(role)},
                             {"RoleSessionName", "s"},
                             {"DurationSeconds", seconds}});
    }

    std::string folder_, account_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<resources::Identity> identity_;
    aws::Service service_;
    aws::Caller root_, ada_;
};

TEST_F(StsTest, TheRootKeyPairPresentsItselfAsASessionOfTheDefaultRole) {
    const auto answer = call("GetCallerIdentity", root_);
    EXPECT_EQ((*answer)["Arn"].as_string(), "arn:aws:sts::" + account_ + ":assumed-role/SageMakerRole/root");
    EXPECT_EQ((*answer)["Account"].as_string(), account_);
    EXPECT_EQ((*call("GetCallerIdentity", ada_))["Arn"].as_string(), "arn:aws:iam::" + account_ + ":user/ada");
}

TEST_F(StsTest, AssumedRolesSignAsTheRole) {
    const auto answer = call("AssumeRole", ada_, assume("SageMakerRole"));
    ASSERT_TRUE(answer);
    const auto credential = identity_->find_credential((*answer)["Credentials"]["AccessKeyId"].as_string());
    EXPECT_EQ(credential->session_token, (*answer)["Credentials"]["SessionToken"].as_string());
    EXPECT_EQ((*call("GetCallerIdentity", credential->caller))["Arn"].as_string(),
              "arn:aws:sts::" + account_ + ":assumed-role/SageMakerRole/s");
    EXPECT_EQ((*answer)["AssumedRoleUser"]["Arn"].as_string(),
              "arn:aws:sts::" + account_ + ":assumed-role/SageMakerRole/s");
    EXPECT_EQ(call("AssumeRole", credential->caller, assume("SageMakerRole", 7200)).error().code, "ValidationError")
        << "a chained session lasts an hour at most";
}

TEST_F(StsTest, TheTrustPolicyDecides) {
    resources::NewRole role;
    role.name = "JobsOnly";
    role.assume_role_policy =
        R"({"Statement":{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}})";
    ASSERT_TRUE(identity_->roles().create(account_, role));
    const auto refused = call("AssumeRole", ada_, assume("JobsOnly"));
    EXPECT_EQ(refused.error().status, 403);
    EXPECT_EQ(refused.error().code, "AccessDenied");
    EXPECT_EQ(refused.error().message,
              "User: arn:aws:iam::" + account_ +
                  ":user/ada is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::" + account_ +
                  ":role/JobsOnly");
}

TEST_F(StsTest, SessionsLastNoLongerThanTheRoleAllows) {
    resources::NewRole role;
    role.name = "Short";
    role.assume_role_policy = R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}})";
    ASSERT_TRUE(identity_->roles().create(account_, role));
    EXPECT_TRUE(call("AssumeRole", ada_, assume("Short", 3600)));
    EXPECT_EQ(call("AssumeRole", ada_, assume("Short", 3601)).error().message,
              "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
}

TEST_F(StsTest, WhatWouldMarkASessionIsRefused) {
    for (const char* member : {"TransitiveTagKeys", "SerialNumber", "SourceIdentity", "ProvidedContexts"}) {
        Json input = assume("SageMakerRole");
        input.set(member, "x");
        const auto refused = call("AssumeRole", ada_, input);
        ASSERT_FALSE(refused) << member;
        EXPECT_NE(refused.error().message.find(member), std::string::npos);
    }
}

TEST_F(StsTest, PoliciesAndTagsNarrowAndMarkASession) {
    Json input = assume("SageMakerRole");
    input.set("Policy", "nonsense");
    EXPECT_EQ(call("AssumeRole", ada_, input).error().code, "MalformedPolicyDocument");
    input.set("Policy", R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":)"
                        R"("arn:aws:s3:::${aws:PrincipalTag/team}/*"}})");
    input.set("PolicyArns", Json::array({Json::object({{"arn", "arn:aws:iam::aws:policy/Unknown"}})}));
    EXPECT_EQ(call("AssumeRole", ada_, input).error().code, "ValidationError");
    input.erase("PolicyArns");
    input.set("Tags", Json::array({Json::object({{"Key", "team"}, {"Value", "red"}})}));
    EXPECT_EQ(call("AssumeRole", ada_, input).error().code, "AccessDenied") << "the role does not trust sts:TagSession";
    ASSERT_TRUE(identity_->roles().set_trust_policy(account_, "SageMakerRole",
                                                    R"({"Statement":{"Effect":"Allow","Principal":{"AWS":")" +
                                                        account_ +
                                                        R"("},"Action":["sts:AssumeRole","sts:TagSession"]}})"));
    const auto answer = call("AssumeRole", ada_, input);
    ASSERT_TRUE(answer) << answer.error().message;
    aws::Call session;
    session.caller = identity_->find_credential((*answer)["Credentials"]["AccessKeyId"].as_string())->caller;
    const auto may = [&](std::string action, std::string resource) {
        aws::Access access;
        access.action = std::move(action);
        access.resource = std::move(resource);
        return identity_->access().decide(session, access)->allowed();
    };
    EXPECT_TRUE(may("s3:GetObject", "arn:aws:s3:::red/k"));
    EXPECT_FALSE(may("s3:GetObject", "arn:aws:s3:::blue/k"));
    EXPECT_FALSE(may("s3:PutObject", "arn:aws:s3:::red/k"));
}

TEST_F(StsTest, FederatedUsersMayDoWhatIsGivenToThem) {
    Json input = Json::object({{"Name", "eve"}});
    const auto answer = call("GetFederationToken", ada_, input);
    ASSERT_TRUE(answer);
    EXPECT_EQ((*answer)["FederatedUser"]["Arn"].as_string(), "arn:aws:sts::" + account_ + ":federated-user/eve");
    const auto caller = identity_->find_credential((*answer)["Credentials"]["AccessKeyId"].as_string())->caller;
    EXPECT_EQ(call("AssumeRole", caller, assume("SageMakerRole")).error().code, "AccessDenied");
    EXPECT_EQ(call("GetFederationToken", caller, input).error().code, "AccessDenied");
}

TEST_F(StsTest, ARoleOfAnotherAccountNeedsBothSides) {
    const auto other = identity_->create_account("other").value();
    const auto root = identity_->find_credential(other.access_key_id)->caller;
    const Json input = assume("SageMakerRole");
    EXPECT_EQ(call("AssumeRole", root, input).error().code, "AccessDenied");
    resources::NewRole role;
    role.name = "Shared";
    role.assume_role_policy = R"({"Statement":{"Effect":"Allow","Principal":{"AWS":")" + other.account +
                              R"("},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"42"}}}})";
    ASSERT_TRUE(identity_->roles().create(account_, role));
    Json shared = assume("Shared");
    EXPECT_EQ(call("AssumeRole", root, shared).error().code, "AccessDenied");
    shared.set("ExternalId", "42");
    const auto answer = call("AssumeRole", root, shared);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ((*answer)["AssumedRoleUser"]["Arn"].as_string(), "arn:aws:sts::" + account_ + ":assumed-role/Shared/s");
}

TEST_F(StsTest, SessionTokensKeepTheCaller) {
    const auto answer = call("GetSessionToken", ada_);
    ASSERT_TRUE(answer);
    const auto credential = identity_->find_credential((*answer)["Credentials"]["AccessKeyId"].as_string());
    EXPECT_EQ(credential->caller.arn, ada_.arn);
    EXPECT_EQ(call("GetSessionToken", credential->caller).error().code, "AccessDenied");
    EXPECT_EQ(
        (*call("GetAccessKeyInfo", ada_, Json::object({{"AccessKeyId", ada_.access_key_id}})))["Account"].as_string(),
        account_);
    EXPECT_FALSE(call("GetAccessKeyInfo", ada_, Json::object({{"AccessKeyId", "AKIAUNKNOWN"}})));
}

}  // namespace
}  // namespace millwright::services
