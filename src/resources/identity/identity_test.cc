#include "resources/identity/identity.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "resources/identity/policy_store.h"
#include "resources/identity/role_store.h"
#include "resources/identity/user_store.h"

namespace millwright::resources {
namespace {

class TestClock final : public Clock {
  public:
    Timestamp now() const override { return time; }
    Monotonic monotonic() const override { return {}; }
    Timestamp time = from_epoch_milliseconds(1'800'000'000'123);
};

constexpr std::string_view kTrust =
    R"({"Statement":{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}})";

class IdentityTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_identity_XXXXXX";
        folder_ = mkdtemp(name);
        reopen();
    }
    void TearDown() override {
        identity_.reset();
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    void reopen(bool lenient = true) {
        identity_.reset();
        database_.reset();
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        identity_ = open(lenient).value();
    }
    Result<std::unique_ptr<Identity>> open(bool lenient = true) {
        IdentitySettings settings;
        settings.lenient_roles = lenient;
        return Identity::open(folder_, *database_, clock_, system_random(), settings);
    }
    std::string account() { return identity_->root().account; }
    RoleStore& roles() { return identity_->roles(); }
    PolicyStore& policies() { return identity_->policies(); }

    std::string folder_;
    TestClock clock_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Identity> identity_;
};

TEST_F(IdentityTest, FirstStartMakesAnAccountThatLaterStartsKeep) {
    const RootCredentials first = identity_->root();
    EXPECT_EQ(first.account.size(), 12u);
    EXPECT_EQ(first.account.find_first_not_of("0123456789"), std::string::npos);
    EXPECT_TRUE(first.access_key_id.starts_with("AKIA"));
    EXPECT_EQ(first.secret_access_key.size(), 40u);
    struct stat status {};
    ASSERT_EQ(stat((folder_ + "/credentials.json").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    reopen();
    EXPECT_EQ(identity_->root().account, first.account);
    EXPECT_EQ(identity_->root().secret_access_key, first.secret_access_key);
    EXPECT_EQ(identity_->find_credential(first.access_key_id)->caller.arn, "arn:aws:iam::" + first.account + ":root");
}

TEST_F(IdentityTest, ADamagedCredentialsFileIsAnErrorAndIsLeftAlone) {
    for (const std::string text :
         {"{", "{}", R"({"AccountId":"12","Region":"r","AccessKeyId":"a","SecretAccessKey":"b"})",
          R"({"AccountId":"123456789012","Region":"r","AccessKeyId":"","SecretAccessKey":"b"})"}) {
        ASSERT_TRUE(write_file(folder_ + "/credentials.json", text));
        EXPECT_EQ(open().error().kind, ErrorKind::InvalidInput) << text;
        EXPECT_EQ(*read_file(folder_ + "/credentials.json"), text);
    }
}

TEST_F(IdentityTest, TheDefaultRoleIsThereAndStays) {
    EXPECT_EQ(roles().find(account(), "SageMakerRole")->arn, "arn:aws:iam::" + account() + ":role/SageMakerRole");
    EXPECT_EQ(roles().remove(account(), "SageMakerRole").error().kind, ErrorKind::Denied);
}

TEST_F(IdentityTest, UnknownRolesResolveOnlyWhenLenient) {
    EXPECT_EQ(identity_->find_role(account(), "Nobody")->name, "SageMakerRole");
    EXPECT_EQ(identity_->resolve_role(account(), "arn:aws:iam::999999999999:role/service-role/X")->name,
              "SageMakerRole");
    EXPECT_EQ(identity_->resolve_role(account(), "arn:aws:iam::1:user/X").error().kind, ErrorKind::InvalidInput);
    reopen(false);
    EXPECT_EQ(identity_->find_role(account(), "Nobody").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(identity_->resolve_role(account(), "arn:aws:iam::999999999999:role/SageMakerRole").error().kind,
              ErrorKind::NotFound);
    EXPECT_EQ(
        identity_->resolve_role(account(), "arn:aws:iam::" + account() + ":role/wrong/path/SageMakerRole").error().kind,
        ErrorKind::NotFound);
    EXPECT_TRUE(identity_->resolve_role(account(), "arn:aws:iam::" + account() + ":role/SageMakerRole"));
    EXPECT_TRUE(identity_->resolve_role(account(), "SageMakerRole"));
}

TEST_F(IdentityTest, RolesAreListedByNameInPages) {
    for (const char* name : {"b", "a", "c"}) {
        NewRole role;
        role.name = name;
        role.path = *name == 'c' ? "/team/" : "/";
        role.assume_role_policy = kTrust;
        role.tags = {{"k", "v"}};
        ASSERT_TRUE(roles().create(account(), role));
        EXPECT_EQ(roles().create(account(), role).error().kind, ErrorKind::AlreadyExists);
    }
    const auto first = *roles().list(account(), "/", "", 2);
    ASSERT_EQ(first.items.size(), 2u);
    EXPECT_EQ(first.last, "a");  // "SageMakerRole" < "a"
    const auto second = *roles().list(account(), "/", first.last, 2);
    ASSERT_EQ(second.items.size(), 2u);
    EXPECT_EQ(second.items[1].arn, "arn:aws:iam::" + account() + ":role/team/c");
    EXPECT_EQ(second.items[1].tags[0].first, "k");
    EXPECT_EQ(second.last, "");
    EXPECT_EQ(roles().list(account(), "/team/", "", 9)->items.size(), 1u);
}

TEST_F(IdentityTest, ARoleWithPoliciesIsNotDeleted) {
    NewRole role;
    role.name = "r";
    role.assume_role_policy = kTrust;
    ASSERT_TRUE(roles().create(account(), role));
    const std::string policy =
        R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]})";
    const std::string full = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess";
    const std::string id = account();
    const Holder holder{HolderKind::Role, id, "r"};
    ASSERT_TRUE(policies().put_inline(holder, "inline", policy));
    ASSERT_TRUE(policies().attach(holder, full));
    ASSERT_TRUE(policies().attach(holder, full));
    EXPECT_EQ(policies().attach(holder, "arn:aws:iam::1:policy/Mine").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(policies().attach(holder, "arn:aws:iam::aws:policy/Unknown").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(policies().attached(holder, "", 10)->items, std::vector<std::string>{full});
    EXPECT_EQ(roles().remove(account(), "r").error().message, "Cannot delete entity, must detach all policies first.");
    ASSERT_TRUE(policies().detach(holder, full));
    EXPECT_EQ(policies().detach(holder, full).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(roles().remove(account(), "r").error().message, "Cannot delete entity, must delete policies first.");
    EXPECT_EQ(*policies().get_inline(holder, "inline"), policy);
    ASSERT_TRUE(policies().remove_inline(holder, "inline"));
    EXPECT_EQ(policies().get_inline(holder, "inline").error().kind, ErrorKind::NotFound);
    ASSERT_TRUE(roles().remove(account(), "r"));
    EXPECT_EQ(roles().remove(account(), "r").error().kind, ErrorKind::NotFound);
}

TEST_F(IdentityTest, AUserSignsWithItsKeyUntilTheKeyIsDeleted) {
    UserStore& users = identity_->users();
    ASSERT_TRUE(users.create(account(), {"ada", "/", "", "", {}, {}}));
    EXPECT_EQ(users.create(account(), {"ada", "/", "", "", {}, {}}).error().kind, ErrorKind::AlreadyExists);
    const AccessKey key = *users.create_key(account(), "ada");
    ASSERT_TRUE(users.create_key(account(), "ada"));
    EXPECT_EQ(users.create_key(account(), "ada").error().kind, ErrorKind::LimitExceeded);
    EXPECT_EQ(users.create_key(account(), "bob").error().kind, ErrorKind::NotFound);
    const auto credential = identity_->find_credential(key.id);
    ASSERT_TRUE(credential);
    EXPECT_EQ(credential->secret_access_key, key.secret);
    EXPECT_EQ(credential->caller.arn, "arn:aws:iam::" + account() + ":user/ada");
    EXPECT_FALSE(credential->expires);
    EXPECT_EQ(users.remove(account(), "ada").error().kind, ErrorKind::Conflict);
    EXPECT_EQ(users.list_keys(account(), "ada", "", 1)->items.size(), 1u);
    ASSERT_TRUE(users.remove_key(account(), "ada", key.id));
    EXPECT_FALSE(identity_->find_credential(key.id)) << "a deleted key must not live on in the cache";
    EXPECT_EQ(users.remove_key(account(), "ada", key.id).error().kind, ErrorKind::NotFound);
}

TEST_F(IdentityTest, TemporaryCredentialsOutliveARestart) {
    const Role role = *roles().find(account(), "SageMakerRole");
    const auto keys = *identity_->assume_role(role, "me", std::chrono::seconds(900));
    EXPECT_TRUE(keys.access_key_id.starts_with("ASIA"));
    EXPECT_EQ(keys.assumed_role_arn, "arn:aws:sts::" + account() + ":assumed-role/SageMakerRole/me");
    EXPECT_EQ(keys.assumed_role_id, role.id + ":me");
    EXPECT_EQ(to_epoch_milliseconds(keys.expires), 1'800'000'900'000);
    reopen();
    const auto credential = identity_->find_credential(keys.access_key_id);
    ASSERT_TRUE(credential);
    EXPECT_EQ(credential->secret_access_key, keys.secret_access_key);
    EXPECT_EQ(credential->session_token, keys.session_token);
    EXPECT_EQ(credential->expires, keys.expires);
    EXPECT_EQ(credential->caller.arn, keys.assumed_role_arn);
}

TEST_F(IdentityTest, ExpiredSessionsAreForgottenAfterADay) {
    const Role role = *roles().find(account(), "SageMakerRole");
    const auto old_keys = *identity_->assume_role(role, "me", std::chrono::seconds(900));
    clock_.time += std::chrono::hours(2);
    ASSERT_TRUE(identity_->assume_role(role, "me", std::chrono::seconds(900)));
    reopen();
    EXPECT_TRUE(identity_->find_credential(old_keys.access_key_id));
    clock_.time += std::chrono::hours(24);
    ASSERT_TRUE(identity_->assume_role(role, "me", std::chrono::seconds(900)));
    reopen();
    EXPECT_FALSE(identity_->find_credential(old_keys.access_key_id));
}

TEST_F(IdentityTest, AJobFetchesKeysUntilItsGrantIsWithdrawn) {
    const Role role = *roles().find(account(), "SageMakerRole");
    const std::string path = *identity_->grant_job_credentials("run1", role);
    EXPECT_TRUE(path.starts_with("/v2/credentials/"));
    EXPECT_EQ(*identity_->grant_job_credentials("run1", role), path);
    const auto first = *identity_->job_credentials(path);
    EXPECT_EQ(identity_->job_credentials(path)->access_key_id, first.access_key_id);
    clock_.time += std::chrono::hours(4);
    const auto second = *identity_->job_credentials(path);
    EXPECT_NE(second.access_key_id, first.access_key_id);
    reopen();
    ASSERT_TRUE(identity_->job_credentials(path));
    ASSERT_TRUE(identity_->find_credential(second.access_key_id));
    ASSERT_TRUE(identity_->withdraw_job_credentials("run1"));
    EXPECT_EQ(identity_->job_credentials(path).error().kind, ErrorKind::NotFound);
    EXPECT_FALSE(identity_->find_credential(first.access_key_id));
    EXPECT_FALSE(identity_->find_credential(second.access_key_id));
    EXPECT_EQ(identity_->job_credentials("/v2/credentials/").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(identity_->job_credentials("/elsewhere").error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace millwright::resources
