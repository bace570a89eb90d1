#include "resources/identity/registry_login.h"

#include <gtest/gtest.h>

#include <map>

#include "base/encoding.h"

namespace millwright::resources {
namespace {

using namespace std::chrono_literals;

class TestClock final : public Clock {
  public:
    Timestamp now() const override { return time; }
    Monotonic monotonic() const override { return {}; }
    Timestamp time = from_epoch_milliseconds(1'800'000'000'123);
};

class Keys final : public aws::CredentialSource {
  public:
    std::optional<aws::Credential> find_credential(std::string_view id) const override {
        const auto found = keys.find(std::string(id));
        return found == keys.end() ? std::nullopt : std::optional(found->second);
    }
    aws::Caller add(const std::string& id, const std::string& secret, std::optional<Timestamp> expires = {}) {
        aws::Credential& key = keys[id];
        key.secret_access_key = secret;
        key.caller = {"123456789012", "", "arn:aws:iam::123456789012:user/u", "AIDAU", id};
        key.expires = expires;
        if (expires) key.session_token = "session";
        aws::Caller caller = key.caller;
        caller.region = "eu-west-1";
        return caller;
    }
    std::map<std::string, aws::Credential> keys;
};

class RegistryLoginTest : public testing::Test {
  protected:
    RegistryLogin login(const std::string& key = "key") const { return {keys_, clock_, key, "us-west-2"}; }
    std::string issue(const aws::Caller& caller) const { return login().issue(caller).value().password; }
    std::string refusal(std::string_view user, std::string_view password) const {
        const auto caller = login().caller_of(user, password);
        EXPECT_FALSE(caller.has_value());
        EXPECT_EQ(caller.error().kind, ErrorKind::Denied);
        return caller.error().message;
    }

    TestClock clock_;
    Keys keys_;
    static constexpr const char* kUnknown = "The user name or the password is not valid.";
    static constexpr const char* kExpired = "Your authorization token has expired. Reauthenticate and try again.";
};

TEST_F(RegistryLoginTest, ATokenStandsForItsCallerInItsRegionAfterARestartToo) {
    const std::string token = issue(keys_.add("AKIA1", "secret"));
    const auto caller = login().caller_of("AWS", token);
    ASSERT_TRUE(caller);
    EXPECT_EQ(caller->arn, "arn:aws:iam::123456789012:user/u");
    EXPECT_EQ(caller->access_key_id, "AKIA1");
    EXPECT_EQ(caller->region, "eu-west-1");
}

TEST_F(RegistryLoginTest, ATokenLivesForTwelveHours) {
    const aws::Caller caller = keys_.add("AKIA1", "secret");
    const auto token = login().issue(caller).value();
    EXPECT_EQ(token.expires, from_epoch_milliseconds(1'800'000'000'000) + 12h);
    clock_.time = token.expires - 1ms;
    EXPECT_TRUE(login().caller_of("AWS", token.password));
    clock_.time = token.expires;
    EXPECT_EQ(refusal("AWS", token.password), kExpired);
    clock_.time -= 48h;
    EXPECT_EQ(refusal("AWS", token.password), kExpired);
}

TEST_F(RegistryLoginTest, ATokenDiesWithItsKey) {
    const std::string token = issue(keys_.add("AKIA1", "secret"));
    keys_.add("AKIA1", "another secret");
    EXPECT_EQ(refusal("AWS", token), kUnknown);
    keys_.keys.clear();
    EXPECT_EQ(refusal("AWS", token), kUnknown);
}

TEST_F(RegistryLoginTest, ATokenOfTemporaryKeysLivesNoLongerThanThey) {
    const auto token = login().issue(keys_.add("ASIA1", "secret", clock_.time + 1h)).value();
    EXPECT_EQ(token.expires, clock_.time + 1h);
    EXPECT_TRUE(login().caller_of("AWS", token.password));
    keys_.add("ASIA1", "secret", clock_.time);
    EXPECT_EQ(refusal("AWS", token.password), kExpired);
}

TEST_F(RegistryLoginTest, AChangedTokenIsRefusedWhereverItIsChanged) {
    const std::string token = issue(keys_.add("AKIA1", "secret"));
    size_t tried = 0;
    for (size_t i = 0; i < token.size(); ++i)
        for (const char other : {'A', 'b', '_', '-', '=', '\n', '/'}) {
            if (token[i] == other) continue;
            std::string changed = token;
            changed[i] = other;
            EXPECT_EQ(refusal("AWS", changed), kUnknown) << changed;
            ++tried;
        }
    EXPECT_GT(tried, 500U);
    EXPECT_EQ(refusal("AWS", token + "A"), kUnknown);
    EXPECT_EQ(refusal("AWS", token.substr(0, token.size() - 1)), kUnknown);
    EXPECT_EQ(refusal("AWS", token + "="), kUnknown);
    EXPECT_EQ(refusal("AWS", std::string(100'000, 'A')), kUnknown);
    EXPECT_EQ(refusal("AWS", ""), kUnknown);
    EXPECT_FALSE(login("another data directory").caller_of("AWS", token));
}

TEST_F(RegistryLoginTest, ALongTermKeyIsAUserNameAndItsSecretThePassword) {
    keys_.add("AKIA1", "secret");
    const auto caller = login().caller_of("AKIA1", "secret");
    ASSERT_TRUE(caller);
    EXPECT_EQ(caller->region, "us-west-2");
    EXPECT_EQ(refusal("AKIA1", "Secret"), kUnknown);
    EXPECT_EQ(refusal("AKIA1", ""), kUnknown);
    EXPECT_EQ(refusal("AKIA2", "secret"), kUnknown);
    keys_.add("ASIA1", "secret", clock_.time + 1h);
    EXPECT_TRUE(refusal("ASIA1", "secret").starts_with("Temporary keys cannot"));
}

}  // namespace
}  // namespace millwright::resources
