#include <gtest/gtest.h>

#include "object_store/object_store.h"

namespace millwright::object_store {
namespace {

TEST(BucketName, FollowsAwsRules) {
    for (const auto* good :
         {"abc", "sagemaker-us-west-2-123456789012", "my.bucket.name", "1a2", "a-b.c-d", "1.2.3.4.5"})
        EXPECT_TRUE(is_valid_bucket_name(good)) << good;
    for (const auto* bad : {"", "ab", "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "192.168.0.1", "xn--abc",
                            "sthree-a", "abc-s3alias", "abc--ol-s3", "a/b", "a b", "..", "../"})
        EXPECT_FALSE(is_valid_bucket_name(bad)) << bad;
    EXPECT_TRUE(is_valid_bucket_name(std::string(63, 'a')));
    EXPECT_FALSE(is_valid_bucket_name(std::string(64, 'a')));
}

TEST(Key, IsAnyUtf8WithoutNulUpTo1024Bytes) {
    for (const auto* good : {"a", "../../etc/passwd", "/", "//", "a//b", "./", "with space", "\xC3\xA9", "\x01\n"})
        EXPECT_TRUE(check_key(good)) << good;
    EXPECT_TRUE(check_key(std::string(1024, 'k')));
    EXPECT_EQ(check_key(std::string(1025, 'k')).error().detail, reason::kKeyTooLong);
    EXPECT_EQ(check_key("").error().detail, reason::kKey);
    EXPECT_EQ(check_key(std::string_view("a\0b", 3)).error().detail, reason::kKey);
    EXPECT_EQ(check_key("\xFF").error().detail, reason::kKey);
    EXPECT_EQ(check_key("\xC0\xAF").error().detail, reason::kKey) << "over-long slash";
}

TEST(S3Uri, SplitsBucketAndKey) {
    const auto full = parse_s3_uri("s3://bucket/a/b.csv");
    ASSERT_TRUE(full);
    EXPECT_EQ(full->bucket, "bucket");
    EXPECT_EQ(full->key, "a/b.csv");
    EXPECT_EQ(parse_s3_uri("s3://bucket")->key, "");
    EXPECT_EQ(parse_s3_uri("s3://bucket/")->key, "");
    EXPECT_EQ(parse_s3_uri("s3://bucket//x")->key, "/x");
    for (const auto* bad :
         {"", "s3:/bucket/k", "http://bucket/k", "s3://", "s3:///k", "s3://Bucket/k", "S3://bucket/k"})
        EXPECT_FALSE(parse_s3_uri(bad)) << bad;
}

}  // namespace
}  // namespace millwright::object_store
