#include "resources/identity/access_control.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "resources/identity/identity.h"

namespace millwright::resources {
namespace {

using Because = aws::Decision::Because;

std::string allow(std::string_view action, std::string_view resource = "*") {
    return R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":")" + std::string(action) +
           R"(","Resource":")" + std::string(resource) + R"("}})";
}

class AccessControlTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_access_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        identity_ = Identity::open(folder_, *database_, system_clock(), system_random(), {}).value();
        account_ = identity_->root().account;
        User ada;
        ada.name = "ada";
        ada.tags = {{"Team", "red"}};
        ASSERT_TRUE(identity_->users().create(account_, ada));
        ada_ = caller_of(identity_->users().create_key(account_, "ada")->id);
    }
    void TearDown() override {
        identity_.reset();
        database_.reset();
        std::filesystem::remove_all(folder_);
    }

    aws::Caller caller_of(const std::string& key) { return identity_->find_credential(key)->caller; }
    Because decide(const aws::Caller& caller, const aws::Access& access) {
        aws::Call call;
        call.caller = caller;
        call.source_address = "10.0.0.9";
        return identity_->access().decide(call, access)->because;
    }
    Because decide(const aws::Caller& caller, const std::string& action, const std::string& resource = "*") {
        aws::Access access;
        access.action = action;
        access.resource = resource;
        return decide(caller, access);
    }
    Holder user(std::string_view name) { return {HolderKind::User, account_, name}; }

    std::string folder_, account_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Identity> identity_;
    aws::Caller ada_;
};

TEST_F(AccessControlTest, RootMayDoEverythingAndANewUserNothing) {
    EXPECT_EQ(decide(caller_of(identity_->root().access_key_id), "iam:DeleteUser"), Because::Allowed);
    EXPECT_EQ(decide(ada_, "s3:ListAllMyBuckets"), Because::NoIdentityPolicy);
}

TEST_F(AccessControlTest, WritesAreSeenAtOnce) {
    PolicyStore& policies = identity_->policies();
    ASSERT_TRUE(policies.put_inline(user("ada"), "p", allow("s3:*")));
    EXPECT_EQ(decide(ada_, "s3:ListAllMyBuckets"), Because::Allowed);
    ASSERT_TRUE(policies.remove_inline(user("ada"), "p"));
    EXPECT_EQ(decide(ada_, "s3:ListAllMyBuckets"), Because::NoIdentityPolicy);
    ASSERT_TRUE(policies.attach(user("ada"), "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"));
    EXPECT_EQ(decide(ada_, "s3:ListAllMyBuckets"), Because::Allowed);
    EXPECT_EQ(decide(ada_, "s3:CreateBucket"), Because::NoIdentityPolicy);
}

TEST_F(AccessControlTest, CustomersPoliciesHaveVersions) {
    PolicyStore& policies = identity_->policies();
    ManagedPolicy wanted;
    wanted.name = "Team";
    const auto made = policies.create(account_, wanted, allow("s3:GetObject"));
    ASSERT_TRUE(made);
    ASSERT_TRUE(policies.attach(user("ada"), made->arn));
    EXPECT_EQ(decide(ada_, "s3:GetObject"), Because::Allowed);
    ASSERT_TRUE(policies.create_version(account_, made->arn, allow("logs:*"), true));
    EXPECT_EQ(decide(ada_, "s3:GetObject"), Because::NoIdentityPolicy);
    EXPECT_EQ(decide(ada_, "logs:GetLogEvents"), Because::Allowed);
    ASSERT_TRUE(policies.set_default_version(account_, made->arn, 1));
    EXPECT_EQ(decide(ada_, "s3:GetObject"), Because::Allowed);
    EXPECT_EQ(policies.remove(account_, made->arn).error().kind, ErrorKind::Conflict);
    EXPECT_EQ(policies.remove_version(account_, made->arn, 1).error().kind, ErrorKind::Conflict);
    ASSERT_TRUE(policies.remove_version(account_, made->arn, 2));
    ASSERT_TRUE(policies.detach(user("ada"), made->arn));
    ASSERT_TRUE(policies.remove(account_, made->arn));
    EXPECT_EQ(decide(ada_, "s3:GetObject"), Because::NoIdentityPolicy);
}

TEST_F(AccessControlTest, GroupsGiveWhatTheyHave) {
    ASSERT_TRUE(identity_->groups().create(account_, {"team", "/", "", "", {}}));
    ASSERT_TRUE(identity_->policies().put_inline({HolderKind::Group, account_, "team"}, "p", allow("logs:*")));
    EXPECT_EQ(decide(ada_, "logs:GetLogEvents"), Because::NoIdentityPolicy);
    ASSERT_TRUE(identity_->groups().add(account_, "team", "ada"));
    EXPECT_EQ(decide(ada_, "logs:GetLogEvents"), Because::Allowed);
    EXPECT_EQ(identity_->users().remove(account_, "ada").error().kind, ErrorKind::Conflict);
    ASSERT_TRUE(identity_->groups().leave(account_, "team", "ada"));
    EXPECT_EQ(decide(ada_, "logs:GetLogEvents"), Because::NoIdentityPolicy);
}

TEST_F(AccessControlTest, BoundariesLimitUsersAlsoWhenTheyAreGone) {
    PolicyStore& policies = identity_->policies();
    ASSERT_TRUE(policies.put_inline(user("ada"), "p", allow("*")));
    ASSERT_TRUE(policies.set_boundary(user("ada"), "arn:aws:iam::aws:policy/AmazonS3FullAccess"));
    EXPECT_EQ(decide(ada_, "s3:GetObject"), Because::Allowed);
    EXPECT_EQ(decide(ada_, "logs:GetLogEvents"), Because::NoPermissionsBoundary);
    EXPECT_EQ(policies.set_boundary(user("ada"), "arn:aws:iam::1:policy/x").error().kind, ErrorKind::NotFound);
    ASSERT_TRUE(policies.set_boundary(user("ada"), ""));
    EXPECT_EQ(decide(ada_, "logs:GetLogEvents"), Because::Allowed);
}

TEST_F(AccessControlTest, PoliciesSeeTheCaller) {
    ASSERT_TRUE(identity_->policies().put_inline(
        user("ada"), "p",
        R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}-${aws:PrincipalTag/team}/*",)"
        R"("Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::)" +
            account_ + R"(:user/ada"},"Null":{"aws:TokenIssueTime":"true"}}}})"));
    EXPECT_EQ(decide(ada_, "s3:GetObject", "arn:aws:s3:::ada-red/x"), Because::Allowed);
    EXPECT_EQ(decide(ada_, "s3:GetObject", "arn:aws:s3:::bob-red/x"), Because::NoIdentityPolicy);
    const auto keys = identity_->session_for(ada_, std::chrono::seconds(900));
    EXPECT_EQ(decide(caller_of(keys->access_key_id), "s3:GetObject", "arn:aws:s3:::ada-red/x"),
              Because::NoIdentityPolicy)
        << "temporary keys have a time of issue";
}

TEST_F(AccessControlTest, SessionsAreNarrowedByTheirPolicies) {
    const auto role = identity_->find_role(account_, kDefaultRoleName);
    const auto plain = caller_of(identity_->assume_role(*role, "s", std::chrono::seconds(900))->access_key_id);
    EXPECT_EQ(decide(plain, "s3:PutObject", "arn:aws:s3:::b/k"), Because::Allowed);
    EXPECT_EQ(decide(plain, "iam:CreateUser"), Because::NoIdentityPolicy);
    const SessionLimits limits{.policies = {{allow("s3:Get*")}}, .tags = {}};
    const auto narrow = caller_of(identity_->assume_role(*role, "s", std::chrono::seconds(900), limits)->access_key_id);
    EXPECT_EQ(decide(narrow, "s3:GetObject", "arn:aws:s3:::b/k"), Because::Allowed);
    EXPECT_EQ(decide(narrow, "s3:PutObject", "arn:aws:s3:::b/k"), Because::NoSessionPolicy);
    const auto root = caller_of(identity_->root().access_key_id);
    const auto federated =
        caller_of(identity_->federate(root, "eve", std::chrono::seconds(900), limits)->access_key_id);
    EXPECT_EQ(decide(federated, "s3:GetObject", "arn:aws:s3:::b/k"), Because::Allowed);
    EXPECT_EQ(decide(federated, "iam:GetUser"), Because::NoSessionPolicy);
}

TEST_F(AccessControlTest, ARoleMadeAnewIsAnother) {
    NewRole role;
    role.name = "Short";
    role.assume_role_policy = R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}})";
    role.inline_policies = {{"p", allow("s3:*")}};
    const auto made = identity_->roles().create(account_, role);
    const auto caller = caller_of(identity_->assume_role(*made, "s", std::chrono::seconds(900))->access_key_id);
    EXPECT_EQ(decide(caller, "s3:GetObject"), Because::Allowed);
    ASSERT_TRUE(identity_->policies().remove_inline({HolderKind::Role, account_, "Short"}, "p"));
    ASSERT_TRUE(identity_->roles().remove(account_, "Short"));
    EXPECT_EQ(decide(caller, "s3:GetObject"), Because::NoIdentityPolicy);
    ASSERT_TRUE(identity_->roles().create(account_, role));
    EXPECT_EQ(decide(caller, "s3:GetObject"), Because::NoIdentityPolicy);
}

TEST_F(AccessControlTest, AccountsAreApart) {
    const auto other = identity_->create_account("other");
    ASSERT_TRUE(other);
    EXPECT_EQ(identity_->create_account("other").error().kind, ErrorKind::AlreadyExists);
    const auto root = caller_of(other->access_key_id);
    EXPECT_EQ(root.arn, "arn:aws:iam::" + other->account + ":root");
    aws::Access access;
    access.action = "s3:GetObject";
    access.resource = "arn:aws:s3:::b/k";
    access.resource_account = account_;
    EXPECT_EQ(decide(root, access), Because::NoResourcePolicy);
    access.resource_policy = R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":")" +
                             other->account + R"("},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}})";
    EXPECT_EQ(decide(root, access), Because::Allowed);
    EXPECT_EQ(identity_->resolve_role(account_, "arn:aws:iam::" + other->account + ":role/SageMakerRole").error().kind,
              ErrorKind::NotFound)
        << "jobs do not run with roles of another account";
    EXPECT_TRUE(identity_->find_assumable_role(account_, "arn:aws:iam::" + other->account + ":role/SageMakerRole"));
    EXPECT_TRUE(identity_->resolve_role(account_, "arn:aws:iam::999999999999:role/X")) << "lenient";
}

TEST_F(AccessControlTest, ServicesAssumeRolesThatTrustThem) {
    NewRole role;
    role.name = "Careful";
    role.assume_role_policy =
        R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},)"
        R"("Action":"sts:AssumeRole","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sagemaker:*:*:training-job/team-*"}}}})";
    const auto made = identity_->roles().create(account_, role);
    const std::string jobs = "arn:aws:sagemaker:us-west-2:" + account_ + ":training-job/";
    EXPECT_TRUE(*identity_->service_may_assume(*made, "sagemaker.amazonaws.com", jobs + "team-1"));
    EXPECT_FALSE(*identity_->service_may_assume(*made, "sagemaker.amazonaws.com", jobs + "other"));
    EXPECT_FALSE(*identity_->service_may_assume(*made, "ec2.amazonaws.com", jobs + "team-1"));
}

TEST_F(AccessControlTest, APolicyThatIsNotUnderstoodDeniesEverything) {
    ASSERT_TRUE(identity_->policies().put_inline(user("ada"), "p", allow("*")));
    ASSERT_TRUE(identity_->policies().put_inline(user("ada"), "q", allow("*")));
    ASSERT_TRUE(database_->write([&](metadata_store::Transaction& tx) -> Result<void> {
        TRY(tx.run("UPDATE iam_inline_policy SET document='{\"Statement\":{\"Effect\":\"Deny\"}}' WHERE name='q'"));
        return {};
    }));
    identity_->access().forget();
    EXPECT_EQ(decide(ada_, "s3:GetObject"), Because::DeniedByIdentityPolicy);
}

TEST_F(AccessControlTest, AKnownCallerCostsMicroseconds) {
    ASSERT_TRUE(identity_->policies().attach(user("ada"), "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"));
    const auto measure = [&](const char* what, const aws::Caller& caller) {
        constexpr int kRounds = 20000;
        const auto begun = std::chrono::steady_clock::now();
        for (int i = 0; i < kRounds; ++i) ASSERT_EQ(decide(caller, "sagemaker:CreateTrainingJob"), Because::Allowed);
        const auto taken = std::chrono::steady_clock::now() - begun;
        std::printf(
            "%s: %lld ns a decision\n", what,
            static_cast<long long>(std::chrono::duration_cast<std::chrono::nanoseconds>(taken).count() / kRounds));
    };
    measure("root", caller_of(identity_->root().access_key_id));
    measure("a user with AmazonSageMakerFullAccess", ada_);
}

}  // namespace
}  // namespace millwright::resources
