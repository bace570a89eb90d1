#include "services/s3/acl.h"

#include <gtest/gtest.h>

#include "resources/identity/policy.h"
#include "services/s3/exchange.h"
#include "services/s3/public_access.h"

namespace millwright::s3 {
namespace {

const std::string kMe = "111111111111", kOther = "222222222222";
const AclContext kContext{kMe, kMe, [] { return std::vector<std::string>{kMe, kOther}; }};

object_store::BucketInfo bucket_with(const object_store::BucketDocuments& documents) {
    object_store::BucketInfo bucket;
    bucket.name = "b";
    bucket.account = kMe;
    bucket.documents = std::make_shared<const object_store::BucketDocuments>(documents);
    return bucket;
}
object_store::BucketInfo open_bucket_with(object_store::BucketDocuments more) {
    more.merge(open_documents());
    return bucket_with(more);
}
std::string code_of(const net::Headers& headers) {
    const auto acl = acl_of_headers(headers, kContext);
    return acl ? "fine" : acl.error().code;
}

TEST(Acl, ComesFromCannedNamesAndFromGrants) {
    const auto canned = acl_of_headers({{"x-amz-acl", "public-read-write"}}, kContext);
    ASSERT_TRUE(canned && *canned);
    EXPECT_EQ((*canned)->grants,
              (std::vector<Grant>{{"AllUsers", "READ"}, {"AllUsers", "WRITE"}, {kMe, "FULL_CONTROL"}}));
    const auto granted =
        acl_of_headers({{"x-amz-grant-read", "id=\"" + owner_id(kOther) +
                                                 "\", "
                                                 "uri=\"http://acs.amazonaws.com/groups/global/AuthenticatedUsers\""}},
                       kContext);
    ASSERT_TRUE(granted && *granted);
    EXPECT_EQ((*granted)->grants, (std::vector<Grant>{{kOther, "READ"}, {"AuthenticatedUsers", "READ"}}));
    EXPECT_FALSE(*acl_of_headers({}, kContext));
    EXPECT_EQ(code_of({{"x-amz-acl", "mine"}}), "InvalidArgument");
    EXPECT_EQ(code_of({{"x-amz-acl", "aws-exec-read"}}), "NotImplemented");
    EXPECT_EQ(code_of({{"x-amz-grant-read", "id=nobody"}}), "InvalidArgument");
    EXPECT_EQ(code_of({{"x-amz-grant-read", "emailAddress=a@b"}}), "UnresolvableGrantByEmailAddress");
    EXPECT_EQ(code_of({{"x-amz-acl", "private"}, {"x-amz-grant-read", "id=" + owner_id(kOther)}}), "InvalidRequest");
}

TEST(Acl, ReadsTheDocumentsAndTheTextItWrites) {
    const Acl acl{kMe, {{"AllUsers", "READ"}, {kMe, "FULL_CONTROL"}, {kOther, "READ_ACP"}}};
    XmlWriter xml;
    write_acl(xml, acl);
    const auto parsed = parse_acl(xml.finish(), kContext);
    ASSERT_TRUE(parsed) << parsed.error().code;
    EXPECT_EQ(parsed->grants, acl.grants);
    const std::string text = format_acl(acl);
    EXPECT_EQ(stored_acl(&text, kOther).grants, acl.grants);
    EXPECT_EQ(stored_acl(&text, kOther).owner, kMe);
    EXPECT_TRUE(stored_acl(nullptr, kOther).only_owner());
    EXPECT_EQ(parse_acl("<AccessControlPolicy/>", kContext).error().code, "MalformedACLError");
    XmlWriter foreign;
    write_acl(foreign, private_acl(kOther));
    EXPECT_EQ(parse_acl(foreign.finish(), kContext).error().code, "AccessDenied");
}

TEST(Acl, IsRefusedWhereListsAreDisabledOrPublicOnesBlocked) {
    const auto closed = bucket_with({});
    EXPECT_FALSE(*acl_of_new_object(closed, {{"x-amz-acl", "private"}}, kContext)) << "of the owner's own object";
    EXPECT_EQ(acl_of_new_object(closed, {{"x-amz-acl", "public-read"}}, kContext).error().code,
              "AccessControlListNotSupported");
    EXPECT_FALSE(*acl_of_new_object(closed, {{"x-amz-acl", "bucket-owner-full-control"}}, kContext));
    const auto blocked = bucket_with({{std::string(kOwnershipDocument), "ObjectWriter"}});
    EXPECT_EQ(acl_of_new_object(blocked, {{"x-amz-acl", "public-read"}}, kContext).error().code, "AccessDenied");
    const auto open = open_bucket_with({});
    EXPECT_TRUE(*acl_of_new_object(open, {{"x-amz-acl", "public-read"}}, kContext));
    EXPECT_FALSE(*acl_of_new_object(open, {}, kContext)) << "the owner's own object needs no list";
    const AclContext writer{kOther, kMe, {}};
    EXPECT_TRUE(*acl_of_new_object(open, {}, writer)) << "that it is another's is kept";
}

TEST(Acl, BecomesStatementsOfAPolicyThatCanBeRead) {
    const std::string list = format_acl({kMe, {{kMe, "FULL_CONTROL"}, {"AllUsers", "READ"}, {"LogDelivery", "WRITE"}}});
    const auto bucket = open_bucket_with({{std::string(kAclDocument), list}});
    const std::string text = effective_policy(bucket, "arn:aws:s3:::b/k", &list, "");
    const auto policy = resources::parse_policy(text, resources::PolicyKind::Bucket);
    ASSERT_TRUE(policy) << policy.error().message << text;
    EXPECT_TRUE(resources::is_public(**policy));
    EXPECT_NE(text.find("s3:ListBucket"), std::string::npos);
    EXPECT_NE(text.find("s3:GetObject"), std::string::npos);
    EXPECT_EQ(effective_policy(bucket_with({{std::string(kAclDocument), list}}), "arn:aws:s3:::b", nullptr, ""), "")
        << "lists are disabled";
    auto ignored = open_bucket_with({{std::string(kAclDocument), list}, {std::string(kBlockDocument), "0100"}});
    EXPECT_EQ(effective_policy(ignored, "arn:aws:s3:::b", nullptr, ""), "");
}

TEST(PublicAccess, IsBlockedUntilSomebodySaysOtherwise) {
    EXPECT_TRUE(public_access_of(bucket_with({})).restrict_public_buckets);
    EXPECT_FALSE(public_access_of(open_bucket_with({})).block_public_acls);
    const std::string everybody =
        R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",)"
        R"("Resource":"arn:aws:s3:::b/*"}]})";
    const auto bucket = bucket_with({{std::string(kPolicyDocument), everybody}});
    EXPECT_EQ(effective_policy(bucket, "arn:aws:s3:::b/k", nullptr, kOther), "");
    EXPECT_EQ(effective_policy(bucket, "arn:aws:s3:::b/k", nullptr, kMe), everybody);
    const auto open = open_bucket_with({{std::string(kPolicyDocument), everybody}});
    EXPECT_EQ(effective_policy(open, "arn:aws:s3:::b/k", nullptr, ""), everybody);
}

}  // namespace
}  // namespace millwright::s3
