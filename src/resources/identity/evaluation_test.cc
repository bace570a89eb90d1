#include "resources/identity/evaluation.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <map>

namespace millwright::resources {
namespace {

using Because = aws::Decision::Because;

class Context final : public RequestContext {
  public:
    std::optional<std::vector<std::string>> find(std::string_view key) const override {
        const auto found = values.find(std::string(key));
        if (found == values.end()) return std::nullopt;
        return found->second;
    }
    std::map<std::string, std::vector<std::string>> values;
};

PolicyPtr policy(std::string_view statements, PolicyKind kind = PolicyKind::Permission) {
    auto parsed = parse_policy(R"({"Version":"2012-10-17","Statement":[)" + std::string(statements) + "]}", kind);
    EXPECT_TRUE(parsed) << statements << (parsed ? "" : parsed.error().message);
    return parsed ? *parsed : std::make_shared<const Policy>();
}

constexpr char kAccount[] = "123456789012";
constexpr char kUser[] = "arn:aws:iam::123456789012:user/ada";
constexpr char kRole[] = "arn:aws:iam::123456789012:role/team/Trainer";
constexpr char kSession[] = "arn:aws:sts::123456789012:assumed-role/Trainer/x";
constexpr char kObject[] = "arn:aws:s3:::bucket/data/a.csv";

class EvaluationTest : public testing::Test {
  protected:
    EvaluationTest() { caller_.asker = {kAccount, kUser, "", ""}; }

    Because decide(std::string_view action, std::string_view resource, const Policy* of_resource = nullptr,
                   std::string_view owner = "", bool must_allow = false) {
        return evaluate(caller_, {.action = action,
                                  .resources = {resource},
                                  .context = context_,
                                  .resource_policy = of_resource,
                                  .resource_account = owner,
                                  .resource_policy_must_allow = must_allow})
            .because;
    }
    void may(std::string_view statements) { caller_.identity = {policy(statements)}; }
    // Whether a condition block holds, by a policy that allows everything under it.
    bool holds(const std::string& condition) {
        may(R"({"Effect":"Allow","Action":"*","Resource":"*","Condition":)" + condition + "}");
        return decide("s3:GetObject", kObject) == Because::Allowed;
    }

    Authority caller_;
    Context context_;
};

TEST_F(EvaluationTest, NothingIsAllowedUntilAPolicySaysSo) {
    EXPECT_EQ(decide("s3:GetObject", kObject), Because::NoIdentityPolicy);
    may(R"({"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::bucket/data/*"})");
    EXPECT_EQ(decide("s3:GetObject", kObject), Because::Allowed);
    EXPECT_EQ(decide("S3:getobject", kObject), Because::Allowed);
    EXPECT_EQ(decide("s3:PutObject", kObject), Because::NoIdentityPolicy);
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/other"), Because::NoIdentityPolicy);
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::Bucket/data/a"), Because::NoIdentityPolicy);
}

TEST_F(EvaluationTest, AnExplicitDenyWins) {
    may(R"({"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*"})");
    EXPECT_EQ(decide("s3:GetObject", kObject), Because::DeniedByIdentityPolicy);
    EXPECT_EQ(decide("logs:GetLogEvents", "*"), Because::Allowed);
}

TEST_F(EvaluationTest, NotActionAndNotResourceAreTheRest) {
    may(R"({"Effect":"Allow","NotAction":["iam:*","s3:Put*"],"NotResource":["arn:aws:s3:::secret","arn:aws:s3:::secret/*"]})");
    EXPECT_EQ(decide("s3:GetObject", kObject), Because::Allowed);
    EXPECT_EQ(decide("s3:PutObject", kObject), Because::NoIdentityPolicy);
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::secret/a"), Because::NoIdentityPolicy);
}

TEST_F(EvaluationTest, WildcardsStayWithinTheirPartOfAnArn) {
    may(R"({"Effect":"Allow","Action":"sagemaker:*","Resource":"arn:aws:sagemaker:*:123456789012:training-job/*"})");
    EXPECT_EQ(decide("sagemaker:StopTrainingJob", "arn:aws:sagemaker:us-west-2:123456789012:training-job/a"),
              Because::Allowed);
    EXPECT_EQ(decide("sagemaker:StopTrainingJob", "arn:aws:sagemaker:us-west-2:9:123456789012:training-job/a"),
              Because::NoIdentityPolicy);
    EXPECT_EQ(decide("sagemaker:StopTrainingJob", "arn:aws:sagemaker:us-west-2:999999999999:training-job/a"),
              Because::NoIdentityPolicy);
}

TEST_F(EvaluationTest, VariablesStandForTheCallerAndAreNeverWildcards) {
    may(R"({"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/${aws:username}/*"})");
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/ada/x"), Because::NoIdentityPolicy) << "no value";
    context_.values["aws:username"] = {"ada"};
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/ada/x"), Because::Allowed);
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/bob/x"), Because::NoIdentityPolicy);
    context_.values["aws:username"] = {"*"};
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/bob/x"), Because::NoIdentityPolicy);
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/*/x"), Because::Allowed);
    may(R"({"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/${aws:PrincipalTag/team, 'none'}/${*}"})");
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/none/*"), Because::Allowed);
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/none/x"), Because::NoIdentityPolicy);
    context_.values["aws:principaltag/team"] = {"red"};
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::bucket/red/*"), Because::Allowed);
}

TEST_F(EvaluationTest, TheOldVersionHasNoVariables) {
    context_.values["aws:username"] = {"ada"};
    caller_.identity = {
        *parse_policy(R"({"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}})",
                      PolicyKind::Permission)};
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::b/ada"), Because::NoIdentityPolicy);
    EXPECT_EQ(decide("s3:GetObject", "arn:aws:s3:::b/${aws:username}"), Because::Allowed);
}

TEST_F(EvaluationTest, ConditionsCompareTheirKind) {
    context_.values = {{"s", {"Red"}},
                       {"n", {"10"}},
                       {"t", {"2026-11-22T10:00:00Z"}},
                       {"b", {"true"}},
                       {"ip", {"10.1.2.3"}},
                       {"ip6", {"2001:db8::1"}},
                       {"arn", {"arn:aws:sagemaker:us-west-2:123456789012:training-job/a"}},
                       {"bin", {"AAEC"}}};
    const std::pair<const char*, bool> cases[] = {
        {R"({"StringEquals":{"s":"Red"}})", true},
        {R"({"StringEquals":{"S":["Blue","Red"]}})", true},
        {R"({"StringEquals":{"s":"R*"}})", false},
        {R"({"StringNotEquals":{"s":"Red"}})", false},
        {R"({"StringNotEquals":{"s":["Blue","Red"]}})", false},
        {R"({"StringNotEquals":{"absent":"Red"}})", true},
        {R"({"StringEquals":{"absent":"Red"}})", false},
        {R"({"StringEqualsIfExists":{"absent":"Red"}})", true},
        {R"({"StringEqualsIfExists":{"s":"Blue"}})", false},
        {R"({"StringEqualsIgnoreCase":{"s":"rED"}})", true},
        {R"({"StringNotEqualsIgnoreCase":{"s":"rED"}})", false},
        {R"({"StringLike":{"s":"R?d*"}})", true},
        {R"({"StringNotLike":{"s":"R*"}})", false},
        {R"({"NumericEquals":{"n":"10.0"}})", true},
        {R"({"NumericNotEquals":{"n":10}})", false},
        {R"({"NumericLessThan":{"n":"10"}})", false},
        {R"({"NumericLessThanEquals":{"n":"10"}})", true},
        {R"({"NumericGreaterThan":{"n":"9.5"}})", true},
        {R"({"NumericGreaterThanEquals":{"n":"11"}})", false},
        {R"({"NumericLessThan":{"s":"10"}})", false},
        {R"({"DateGreaterThan":{"t":"2026-11-22"}})", true},
        {R"({"DateLessThan":{"t":"2026-11-22T10:00:00Z"}})", false},
        {R"({"DateLessThanEquals":{"t":"2026-11-22T10:00:00Z"}})", true},
        {R"({"DateEquals":{"t":"1795341600"}})", true},
        {R"({"DateNotEquals":{"t":"1795341600"}})", false},
        {R"({"Bool":{"b":"true"}})", true},
        {R"({"Bool":{"b":true}})", true},
        {R"({"Bool":{"b":"false"}})", false},
        {R"({"Bool":{"absent":"false"}})", false},
        {R"({"IpAddress":{"ip":["192.168.0.0/16","10.0.0.0/8"]}})", true},
        {R"({"IpAddress":{"ip":"10.1.2.4"}})", false},
        {R"({"NotIpAddress":{"ip":"10.0.0.0/8"}})", false},
        {R"({"IpAddress":{"ip6":"2001:db8::/32"}})", true},
        {R"({"IpAddress":{"ip6":"0.0.0.0/0"}})", false},
        {R"({"ArnLike":{"arn":"arn:aws:sagemaker:*:123456789012:training-job/*"}})", true},
        {R"({"ArnEquals":{"arn":"arn:aws:sagemaker:*:999999999999:*"}})", false},
        {R"({"ArnNotLike":{"arn":"arn:aws:sagemaker:*:*:model/*"}})", true},
        {R"({"BinaryEquals":{"bin":"AAEC"}})", true},
        {R"({"Null":{"absent":"true","s":"false"}})", true},
        {R"({"Null":{"s":"true"}})", false},
        {R"({"StringEquals":{"s":"Red"},"Bool":{"b":"false"}})", false},
    };
    for (const auto& [condition, expected] : cases) EXPECT_EQ(holds(condition), expected) << condition;
}

TEST_F(EvaluationTest, SetsAreComparedElementByElement) {
    context_.values = {{"tags", {"team", "cost"}}, {"empty", {}}};
    const std::pair<const char*, bool> cases[] = {
        {R"({"ForAllValues:StringEquals":{"tags":["team","cost","more"]}})", true},
        {R"({"ForAllValues:StringEquals":{"tags":["team"]}})", false},
        {R"({"ForAllValues:StringEquals":{"absent":["team"]}})", true},
        {R"({"ForAllValues:StringEquals":{"empty":["team"]}})", true},
        {R"({"ForAnyValue:StringEquals":{"tags":["team"]}})", true},
        {R"({"ForAnyValue:StringLike":{"tags":["x*"]}})", false},
        {R"({"ForAnyValue:StringEquals":{"absent":["team"]}})", false},
        {R"({"ForAllValues:StringNotEquals":{"tags":["secret"]}})", true},
        {R"({"ForAllValues:StringNotEquals":{"tags":["team"]}})", false},
        {R"({"StringNotEquals":{"tags":"team"}})", false},
    };
    for (const auto& [condition, expected] : cases) EXPECT_EQ(holds(condition), expected) << condition;
}

TEST_F(EvaluationTest, BoundariesAndSessionPoliciesLimitWhatIsAllowed) {
    may(R"({"Effect":"Allow","Action":["s3:*","logs:*"],"Resource":"*"})");
    caller_.boundary = policy(R"({"Effect":"Allow","Action":"s3:*","Resource":"*"})");
    EXPECT_EQ(decide("s3:GetObject", kObject), Because::Allowed);
    EXPECT_EQ(decide("logs:GetLogEvents", "*"), Because::NoPermissionsBoundary);
    caller_.sessions = {{policy(R"({"Effect":"Allow","Action":"s3:Get*","Resource":"*"})"),
                         policy(R"({"Effect":"Deny","Action":"s3:GetObjectVersion","Resource":"*"})")}};
    EXPECT_EQ(decide("s3:GetObject", kObject), Because::Allowed);
    EXPECT_EQ(decide("s3:PutObject", kObject), Because::NoSessionPolicy);
    EXPECT_EQ(decide("s3:GetObjectVersion", kObject), Because::DeniedBySessionPolicy);
    caller_.sessions->clear();
    EXPECT_EQ(decide("s3:GetObject", kObject), Because::NoSessionPolicy);
    caller_.sessions.reset();
    caller_.boundary = policy(R"({"Effect":"Deny","Action":"*","Resource":"*"})");
    EXPECT_EQ(decide("s3:GetObject", kObject), Because::DeniedByPermissionsBoundary);
}

PolicyPtr bucket_policy(std::string_view effect, std::string_view principal) {
    return policy(R"({"Effect":")" + std::string(effect) + R"(",)" + std::string(principal) +
                      R"(,"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"})",
                  PolicyKind::Bucket);
}

TEST_F(EvaluationTest, WithinAnAccountEitherPolicyIsEnough) {
    const auto by_name = bucket_policy("Allow", R"("Principal":{"AWS":"arn:aws:iam::123456789012:user/ada"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, by_name.get(), kAccount), Because::Allowed);
    const auto everybody = bucket_policy("Allow", R"("Principal":"*")");
    EXPECT_EQ(decide("s3:GetObject", kObject, everybody.get(), kAccount), Because::Allowed);
    const auto account = bucket_policy("Allow", R"("Principal":{"AWS":"123456789012"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, account.get(), kAccount), Because::NoIdentityPolicy)
        << "naming the account leaves it to the account";
    may(R"({"Effect":"Allow","Action":"s3:*","Resource":"*"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, account.get(), kAccount), Because::Allowed);
    const auto denied = bucket_policy("Deny", R"("Principal":"*")");
    EXPECT_EQ(decide("s3:GetObject", kObject, denied.get(), kAccount), Because::DeniedByResourcePolicy);
}

TEST_F(EvaluationTest, AcrossAccountsBothPoliciesAreNeeded) {
    const std::string_view owner = "999999999999";
    const auto open = bucket_policy("Allow", R"("Principal":{"AWS":"arn:aws:iam::123456789012:root"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, open.get(), owner), Because::NoIdentityPolicy);
    may(R"({"Effect":"Allow","Action":"s3:*","Resource":"*"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, open.get(), owner), Because::Allowed);
    EXPECT_EQ(decide("s3:GetObject", kObject, nullptr, owner), Because::NoResourcePolicy);
    const auto other = bucket_policy("Allow", R"("Principal":{"AWS":"arn:aws:iam::123456789012:user/bob"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, other.get(), owner), Because::NoResourcePolicy);
}

TEST_F(EvaluationTest, NobodyNeedsAPolicyForEverybody) {
    caller_ = Authority();
    EXPECT_EQ(decide("s3:GetObject", kObject, nullptr, kAccount), Because::NoResourcePolicy);
    const auto open = bucket_policy("Allow", R"("Principal":"*")");
    EXPECT_EQ(decide("s3:GetObject", kObject, open.get(), kAccount), Because::Allowed);
    const auto account = bucket_policy("Allow", R"("Principal":{"AWS":"123456789012"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, account.get(), kAccount), Because::NoResourcePolicy);
}

TEST_F(EvaluationTest, NotPrincipalIsEverybodyElse) {
    may(R"({"Effect":"Allow","Action":"s3:*","Resource":"*"})");
    const auto only_ada = bucket_policy("Deny", R"("NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/ada"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, only_ada.get(), kAccount), Because::Allowed);
    caller_.asker.arn = "arn:aws:iam::123456789012:user/bob";
    EXPECT_EQ(decide("s3:GetObject", kObject, only_ada.get(), kAccount), Because::DeniedByResourcePolicy);
}

TEST_F(EvaluationTest, TrustPoliciesDecideWhoBecomesARole) {
    const auto trusts = [](std::string_view principal, std::string_view more = "") {
        return policy(R"({"Effect":"Allow","Principal":)" + std::string(principal) + R"(,"Action":"sts:AssumeRole")" +
                          std::string(more) + "}",
                      PolicyKind::Trust);
    };
    const auto assume = [&](const PolicyPtr& trust) {
        return decide("sts:AssumeRole", kRole, trust.get(), kAccount, true);
    };
    may(R"({"Effect":"Allow","Action":"*","Resource":"*"})");
    EXPECT_EQ(assume(trusts(R"({"Service":"sagemaker.amazonaws.com"})")), Because::NoResourcePolicy);
    EXPECT_EQ(assume(trusts(R"({"AWS":"arn:aws:iam::999999999999:root"})")), Because::NoResourcePolicy);
    EXPECT_EQ(assume(trusts(R"({"AWS":["999999999999","123456789012"]})")), Because::Allowed);
    caller_.identity.clear();
    EXPECT_EQ(assume(trusts(R"({"AWS":"123456789012"})")), Because::NoIdentityPolicy);
    EXPECT_EQ(assume(trusts(R"({"AWS":"arn:aws:iam::123456789012:user/ada"})")), Because::Allowed);
    EXPECT_EQ(assume(trusts(R"("*")", R"(,"Condition":{"StringEquals":{"sts:ExternalId":"42"}})")),
              Because::NoResourcePolicy);
    context_.values["sts:externalid"] = {"42"};
    EXPECT_EQ(assume(trusts(R"("*")", R"(,"Condition":{"StringEquals":{"sts:ExternalId":"42"}})")), Because::Allowed);
    caller_.asker = {"", "", "", "sagemaker.amazonaws.com"};
    EXPECT_EQ(assume(trusts(R"({"Service":["lambda.amazonaws.com","sagemaker.amazonaws.com"]})")), Because::Allowed);
    EXPECT_EQ(assume(trusts(R"({"Service":"ec2.amazonaws.com"})")), Because::NoResourcePolicy);
}

TEST_F(EvaluationTest, SessionsAreTheirRoleToPoliciesOfResources) {
    caller_.asker = {kAccount, kSession, kRole, ""};
    const auto role = bucket_policy("Allow", R"("Principal":{"AWS":"arn:aws:iam::123456789012:role/team/Trainer"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, role.get(), kAccount), Because::Allowed);
    const auto other = bucket_policy("Allow", R"("Principal":{"AWS":"arn:aws:iam::123456789012:role/Trainer"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, other.get(), kAccount), Because::NoIdentityPolicy)
        << "a role of another path is another role";
    caller_.sessions.emplace();
    EXPECT_EQ(decide("s3:GetObject", kObject, role.get(), kAccount), Because::NoSessionPolicy);
    const auto exact =
        bucket_policy("Allow", R"("Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/Trainer/x"})");
    EXPECT_EQ(decide("s3:GetObject", kObject, exact.get(), kAccount), Because::Allowed);
}

TEST_F(EvaluationTest, ADecisionTakesMicroseconds) {
    std::string statements;
    for (int i = 0; i < 20; ++i)
        statements += R"({"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"arn:aws:s3:::team-)" +
                      std::to_string(i) + R"(-*/*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}},)";
    may(statements + R"({"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"})");
    constexpr int kRounds = 20000;
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; ++i) ASSERT_EQ(decide("s3:GetObject", kObject), Because::Allowed);
    const auto taken = std::chrono::steady_clock::now() - begun;
    const auto each = std::chrono::duration_cast<std::chrono::nanoseconds>(taken).count() / kRounds;
    std::printf("a decision over 21 statements: %lld ns\n", static_cast<long long>(each));
    EXPECT_LT(each, 500'000);
}

}  // namespace
}  // namespace millwright::resources
