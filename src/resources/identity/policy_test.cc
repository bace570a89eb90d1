#include "resources/identity/policy.h"

#include <gtest/gtest.h>

namespace millwright::resources {
namespace {

std::string trust(std::string_view principal, std::string_view more = "") {
    return R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":)" + std::string(principal) +
           R"(,"Action":"sts:AssumeRole")" + std::string(more) + "}]}";
}

std::string permission(std::string_view members) {
    return R"({"Version":"2012-10-17","Statement":{"Effect":"Allow",)" + std::string(members) + "}}";
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
        {R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}})", PolicyKind::Repository,
         "The policy of a repository may only specify actions of ecr."},
        {R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*","Resource":"*"}})", PolicyKind::Repository,
         "Has prohibited field Resource"},
        {R"({"Statement":{"Effect":"Allow","Action":"ecr:*"}})", PolicyKind::Repository,
         "Missing required field Principal"},
        {trust(R"({"AWS":"ada"})"), PolicyKind::Trust, "Invalid principal in policy: \"AWS\":\"ada\""},
        {trust(R"({"AWS":"arn:aws:iam::123456789012:user/*"})"), PolicyKind::Trust,
         "Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:user/*\""},
        {trust("[]"), PolicyKind::Trust, "Syntax errors in policy."},
        {R"({"Statement":{"Effect":"Allow","Action":"s3:*"}})", PolicyKind::Permission,
         "Policy statement must contain resources."},
        {R"({"Statement":{"Effect":"Allow","Resource":"*"}})", PolicyKind::Permission,
         "Policy statement must contain actions."},
        {R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}})", PolicyKind::Permission,
         "Policy document should not specify a principal."},
        {R"({"Statement":{"Effect":"Allow","Action":"read","Resource":"*"}})", PolicyKind::Permission,
         "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
        {permission(R"("Action":"s3:a:b","Resource":"*")"), PolicyKind::Permission,
         "Actions/Condition can contain only one colon."},
        {permission(R"("Action":"s*:Get","Resource":"*")"), PolicyKind::Permission, "Vendor s* is not valid"},
        {permission(R"("Action":"s3:Get","Resource":"bucket")"), PolicyKind::Permission,
         "Resource bucket must be in ARN format or \"*\"."},
        {permission(R"("Action":"s3:Get","Resource":"arn:fun:s3:::b")"), PolicyKind::Permission,
         "Partition \"fun\" is not valid for resource \"arn:fun:s3:::b\"."},
        {permission(R"("Action":"s3:Get","Resource":"*","Condition":{"StringEqual":{"aws:userid":"x"}})"),
         PolicyKind::Permission, "Invalid Condition type : StringEqual."},
        {permission(R"("Action":"s3:Get","Resource":"*","Condition":{"NullIfExists":{"aws:userid":"true"}})"),
         PolicyKind::Permission, "Invalid Condition type : NullIfExists."},
        {permission(R"("Action":"s3:Get","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/40"}})"),
         PolicyKind::Permission, "The value 10.0.0.0/40 of the condition IpAddress on aws:SourceIp is invalid."},
        {permission(R"("Action":"s3:Get","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}})"),
         PolicyKind::Permission, "The value soon of the condition DateLessThan on aws:CurrentTime is invalid."},
        {permission(R"("Action":"s3:Get","Resource":"arn:aws:s3:::${aws:username")"), PolicyKind::Permission,
         "Syntax errors in policy."},
        {permission(R"("Action":"s3:Get","Resource":"*","Sid":"a b")"), PolicyKind::Permission,
         "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
         "[0-9A-Za-z]*"},
        {R"({"Statement":[{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"},)"
         R"({"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}]})",
         PolicyKind::Permission, "Statement IDs (SID) in a single policy must be unique."},
        {permission(R"("Action":"s3:Get","Resource":"arn:aws:s3:::a\u0001b")"), PolicyKind::Permission,
         "Syntax errors in policy."},
    };
    for (const auto& c : cases) {
        const auto parsed = parse_policy(c.document, c.kind);
        ASSERT_FALSE(parsed) << c.document;
        EXPECT_EQ(parsed.error().kind, ErrorKind::InvalidInput);
        EXPECT_EQ(parsed.error().message, c.text) << c.document;
    }
}

TEST(Policy, BucketPoliciesNameTheirBucketAndS3) {
    const auto document = [](std::string_view action, std::string_view resource) {
        return R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":")" +
               std::string(action) + R"(","Resource":")" + std::string(resource) + R"("}})";
    };
    EXPECT_TRUE(parse_bucket_policy(document("s3:GetObject", "arn:aws:s3:::mine/*"), "mine"));
    EXPECT_TRUE(parse_bucket_policy(document("s3:*", "arn:aws:s3:::m*"), "mine"));
    EXPECT_EQ(parse_bucket_policy(document("s3:GetObject", "arn:aws:s3:::other/*"), "mine").error().message,
              "Policy has invalid resource");
    EXPECT_EQ(parse_bucket_policy(document("iam:GetRole", "arn:aws:s3:::mine"), "mine").error().message,
              "Policy has invalid action");
    EXPECT_EQ(parse_bucket_policy("nothing", "mine").error().message,
              "Policies must be valid JSON and the first byte must be '{'");
}

TEST(Policy, PublicMeansEverybodyWithoutATie) {
    const auto is_open = [](std::string_view principal, std::string_view more) {
        return is_public(**parse_policy(
            R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":)" + std::string(principal) +
                R"(,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*")" + std::string(more) + "}}",
            PolicyKind::Bucket));
    };
    EXPECT_TRUE(is_open(R"("*")", ""));
    EXPECT_TRUE(is_open(R"({"AWS":"*"})", R"(,"Condition":{"StringLike":{"aws:Referer":"x*"}})"));
    EXPECT_FALSE(is_open(R"({"AWS":"123456789012"})", ""));
    EXPECT_FALSE(is_open(R"("*")", R"(,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}})"));
    EXPECT_TRUE(is_open(R"("*")", R"(,"Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}})"));
}

TEST(Policy, WildcardsMatchAsInIam) {
    EXPECT_TRUE(wildcard_match("*", "", LetterCase::Exact));
    EXPECT_TRUE(wildcard_match("s3:Get*", "s3:GetObject", LetterCase::Exact));
    EXPECT_TRUE(wildcard_match("s3:*Ob?ect", "s3:GetObject", LetterCase::Exact));
    EXPECT_FALSE(wildcard_match("s3:get*", "s3:GetObject", LetterCase::Exact));
    EXPECT_TRUE(wildcard_match("s3:get*", "s3:GetObject", LetterCase::Ignored));
    EXPECT_FALSE(wildcard_match("s3:Get", "s3:GetObject", LetterCase::Exact));
    EXPECT_TRUE(wildcard_match("a*b*c", "aXXbYYbZc", LetterCase::Exact));
}

TEST(Policy, SizesCountNoWhiteSpace) { EXPECT_EQ(policy_size("{ \"a\" :\n\t1 }"), 7u); }

TEST(Policy, CompiledDocumentsAreShared) {
    PolicyCache cache;
    const std::string document = permission(R"("Action":"s3:*","Resource":"*")");
    EXPECT_EQ(cache.get(document, PolicyKind::Permission)->get(), cache.get(document, PolicyKind::Permission)->get());
    EXPECT_FALSE(cache.get(document, PolicyKind::Trust));
}

}  // namespace
}  // namespace millwright::resources
