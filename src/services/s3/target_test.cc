#include "services/s3/target.h"

#include <gtest/gtest.h>

namespace millwright::s3 {
namespace {

const std::vector<std::string> kDomains = {"localhost", "ml.example.org"};

TEST(BucketOfHost, KnowsVirtualHostStyle) {
    EXPECT_EQ(bucket_of_host("bkt.localhost:9770", kDomains), "bkt");
    EXPECT_EQ(bucket_of_host("my.dotted.bucket.localhost", kDomains), "my.dotted.bucket");
    EXPECT_EQ(bucket_of_host("Bkt.ML.example.org", kDomains), "bkt");
    EXPECT_EQ(bucket_of_host("bkt.s3.us-west-2.amazonaws.com", kDomains), "bkt");
    EXPECT_EQ(bucket_of_host("a.b.s3.amazonaws.com:443", kDomains), "a.b");
    EXPECT_EQ(bucket_of_host("bkt.s3-us-west-2.amazonaws.com", kDomains), "bkt");
    EXPECT_EQ(bucket_of_host("s3-logs.s3.us-west-2.amazonaws.com", kDomains), "s3-logs");
    EXPECT_EQ(bucket_of_host("a.s3.b.s3.us-west-2.amazonaws.com", kDomains), "a.s3.b");
    EXPECT_EQ(bucket_of_host("bkt.s3.cn-north-1.amazonaws.com.cn", kDomains), "bkt");
    EXPECT_EQ(bucket_of_host("bkt.s3.dualstack.us-west-2.amazonaws.com", kDomains), "bkt");
}

TEST(BucketOfHost, MeansPathStyleOtherwise) {
    for (const auto* host :
         {"localhost", "localhost:9770", "127.0.0.1:9770", "[::1]:9770", "ml.example.org", "example.org", "",
          "s3.us-west-2.amazonaws.com", "s3.amazonaws.com", "other.example.com", "x_y.localhost", ".localhost"})
        EXPECT_EQ(bucket_of_host(host, kDomains), "") << host;
}

TEST(FindTarget, SplitsPathsWithoutTidyingThem) {
    const auto find = [](std::string_view path) { return *find_target("127.0.0.1", path, kDomains); };
    EXPECT_EQ(find("/").bucket, "");
    EXPECT_EQ(find("/bucket").bucket, "bucket");
    EXPECT_EQ(find("/bucket/").key, "");
    EXPECT_EQ(find("/bucket/a/b").key, "a/b");
    EXPECT_EQ(find("/bucket//a//../b").key, "/a//../b");
    EXPECT_EQ(find("/bucket/%2E%2E%2Fx").key, "../x");
    EXPECT_EQ(find("/bucket/a+b%20c%2B").key, "a+b c+");
    EXPECT_EQ(find_target("bkt.localhost", "/a/b", kDomains)->key, "a/b");
    EXPECT_EQ(find_target("bkt.localhost", "//a", kDomains)->key, "/a");
}

TEST(FindTarget, RefusesBrokenEscapes) {
    for (const auto* path : {"/b/%", "/b/%4", "/b/%zz", "/b/%4g/x", "b/k", ""})
        EXPECT_EQ(find_target("127.0.0.1", path, kDomains).error().code, "InvalidURI") << path;
}

}  // namespace
}  // namespace millwright::s3
