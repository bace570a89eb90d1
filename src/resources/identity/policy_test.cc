#include "resources/identity/policy.h"

#include <gtest/gtest.h>

namespace millwright::resources {
namespace {

constexpr std::string_view kAccount = "123456789012";
constexpr std::string_view kUser = "arn:aws:iam::123456789012:user/ada";

std::string trust(std::string_view principal, std::string_view more = "") {
    return R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":)" + std::string(principal) +
           R"(,"Action":"sts:AssumeRole")" + std::string(more) + "}]}";
}

bool allows(const std::string& document, std::string_view caller = kUser) {
    return trust_allows(parse_policy(document, PolicyKind::Trust).value(), caller, kAccount);
}

TEST(Policy, TrustNamesAccountsUsersRolesOrEveryone) {
    EXPECT_TRUE(allows(trust(R"("*")")));
    EXPECT_TRUE(allows(trust(R"({"AWS":"*"})")));
    EXPECT_TRUE(allows(trust(R"({"AWS":"123456789012"})")));
    EXPECT_TRUE(allows(trust(R"({"AWS":["arn:aws:iam::999999999999:root","arn:aws:iam::123456789012:root"]})")));
    EXPECT_TRUE(allows(trust(R"({"AWS":"arn:aws:iam::123456789012:user/ada"})")));
    EXPECT_FALSE(allows(trust(R"({"AWS":"arn:aws:iam::123456789012:user/bob"})")));
    EXPECT_FALSE(allows(trust(R"({"AWS":"arn:aws:iam::999999999999:root"})")));
    EXPECT_FALSE(allows(trust(R"({"Service":"sagemaker.amazonaws.com"})")));
    const std::string role = trust(R"({"AWS":"arn:aws:iam::123456789012:role/team/Deployer"})");
    EXPECT_TRUE(allows(role, "arn:aws:sts::123456789012:assumed-role/Deployer/x"));
    EXPECT_FALSE(allows(role, "arn:aws:sts::123456789012:assumed-role/Other/x"));
    EXPECT_FALSE(allows(role, "arn:aws:sts::999999999999:assumed-role/Deployer/x"));
}

TEST(Policy, ConditionsTakeTheSafeSide) {
    EXPECT_FALSE(allows(trust(R"("*")", R"(,"Condition":{"StringEquals":{"sts:ExternalId":"x"}})")));
    EXPECT_FALSE(
        allows(R"({"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"},)"
               R"({"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole","Condition":{"Bool":{"a":"b"}}}]})"));
}

TEST(Policy, DenyWinsAndOtherActionsDoNotCount) {
    EXPECT_FALSE(allows(R"({"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"},)"
                        R"({"Effect":"Deny","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]})"));
    EXPECT_FALSE(allows(R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:TagSession"}})"));
    EXPECT_FALSE(allows(R"({"Statement":{"Effect":"Allow","Principal":"*","NotAction":"sts:AssumeRole"}})"));
    EXPECT_TRUE(allows(R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"STS:Assume*"}})"));
}

TEST(Policy, ServicesAreToldApart) {
    const auto parsed =
        parse_policy(trust(R"({"Service":["lambda.amazonaws.com","sagemaker.amazonaws.com"]})"), PolicyKind::Trust);
    EXPECT_TRUE(trust_allows_service(*parsed, "sagemaker.amazonaws.com"));
    EXPECT_FALSE(trust_allows_service(*parsed, "ec2.amazonaws.com"));
}

TEST(Policy, MalformedDocumentsAreRefusedWithReason) {
    const struct {
        std::string document;
        PolicyKind kind;
        std::string text;
    } cases[] = {
        {"{", PolicyKind::Trust, "This policy contains invalid Json"},
        {"[]", PolicyKind::Trust, "Syntax errors in policy."},
        {R"({"Version":"2012-10-17"})", PolicyKind::Trust, "Syntax errors in policy."},
        {R"({"Version":"2020-01-01","Statement":[]})", PolicyKind::Trust,
         "The policy must contain a valid version string"},
        {R"({"Statement":[],"Extra":1})", PolicyKind::Trust, "Syntax errors in policy."},
        {trust(R"("*")", R"(,"Resource":"*")"), PolicyKind::Trust, "Has prohibited field Resource"},
        {trust(R"("*")", R"(,"Extra":"*")"), PolicyKind::Trust, "Syntax errors in policy."},
        {R"({"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}})", PolicyKind::Trust,
         "Missing required field Principal"},
        {R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}})", PolicyKind::Trust,
         "AssumeRole policy may only specify STS AssumeRole actions."},
        {R"({"Statement":{"Effect":"Maybe","Principal":"*","Action":"sts:AssumeRole"}})", PolicyKind::Trust,
         "Invalid effect: Maybe"},
        {trust(R"({"AWS":"ada"})"), PolicyKind::Trust, "Invalid principal in policy: \"AWS\":\"ada\""},
        {trust("[]"), PolicyKind::Trust, "Syntax errors in policy."},
        {R"({"Statement":{"Effect":"Allow","Action":"s3:*"}})", PolicyKind::Permission,
         "Policy statement must contain resources."},
        {R"({"Statement":{"Effect":"Allow","Resource":"*"}})", PolicyKind::Permission,
         "Policy statement must contain actions."},
        {R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}})", PolicyKind::Permission,
         "Policy document should not specify a principal."},
        {R"({"Statement":{"Effect":"Allow","Action":"read","Resource":"*"}})", PolicyKind::Permission,
         "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
    };
    for (const auto& c : cases) {
        const auto parsed = parse_policy(c.document, c.kind);
        ASSERT_FALSE(parsed) << c.document;
        EXPECT_EQ(parsed.error().kind, ErrorKind::InvalidInput);
        EXPECT_EQ(parsed.error().message, c.text) << c.document;
    }
}

TEST(Policy, WildcardsMatchAsInIam) {
    EXPECT_TRUE(wildcard_match("*", "", false));
    EXPECT_TRUE(wildcard_match("s3:Get*", "s3:GetObject", false));
    EXPECT_TRUE(wildcard_match("s3:*Ob?ect", "s3:GetObject", false));
    EXPECT_FALSE(wildcard_match("s3:get*", "s3:GetObject", false));
    EXPECT_TRUE(wildcard_match("s3:get*", "s3:GetObject", true));
    EXPECT_FALSE(wildcard_match("s3:Get", "s3:GetObject", false));
    EXPECT_TRUE(wildcard_match("a*b*c", "aXXbYYbZc", false));
}

}  // namespace
}  // namespace millwright::resources
