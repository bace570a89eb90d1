#include "oci/reference.h"

#include <gtest/gtest.h>

namespace millwright::oci {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ReferenceTest, SplitsHostRepositoryTagAndDigest) {
    const auto full = parse_reference("123456789012.dkr.ecr.us-west-2.amazonaws.com/team/image:v1@" + kDigest);
    ASSERT_TRUE(full);
    EXPECT_EQ(full->host, "123456789012.dkr.ecr.us-west-2.amazonaws.com");
    EXPECT_EQ(full->repository, "team/image");
    EXPECT_EQ(full->tag, "v1");
    EXPECT_EQ(full->digest, kDigest);
    EXPECT_EQ(to_string(*full), "123456789012.dkr.ecr.us-west-2.amazonaws.com/team/image:v1@" + kDigest);
}

TEST(ReferenceTest, FirstPartIsAHostOnlyWhenItLooksLikeOne) {
    EXPECT_EQ(parse_reference("localhost/a")->host, "localhost");
    EXPECT_EQ(parse_reference("localhost:5000/a")->host, "localhost:5000");
    EXPECT_EQ(parse_reference("[::1]:5000/a")->host, "[::1]:5000");
    EXPECT_EQ(parse_reference("registry.lan/a/b")->repository, "a/b");
    EXPECT_EQ(parse_reference("library/busybox")->host, "");
    EXPECT_EQ(parse_reference("library/busybox")->repository, "library/busybox");
    const auto bare = parse_reference("localhost:5000");
    ASSERT_TRUE(bare);
    EXPECT_EQ(bare->repository + " " + bare->tag, "localhost 5000") << "without '/' there is no host, as with docker";
}

TEST(ReferenceTest, TagIsLatestOnlyWhenNothingSaysWhich) {
    EXPECT_EQ(parse_reference("busybox")->tag, "latest");
    EXPECT_EQ(parse_reference("busybox@" + kDigest)->tag, "");
    EXPECT_EQ(to_string(*parse_reference("busybox@" + kDigest)), "busybox@" + kDigest);
}

TEST(ReferenceTest, RefusesWhatIsNoName) {
    for (const std::string bad : {"",
                                  "/",
                                  "a/",
                                  "/a",
                                  "A",
                                  "a//b",
                                  "a/../b",
                                  "..",
                                  "a:",
                                  "a:.tag",
                                  "a:-tag",
                                  "a@",
                                  "a@sha256:abc",
                                  "a b",
                                  "a:b:c",
                                  "host.lan/",
                                  "ho st.lan/a",
                                  "-host.lan/a",
                                  "host.lan:/a",
                                  "host.lan:99999/a",
                                  "host..lan/a",
                                  "[::1/a",
                                  "[]:1/a",
                                  "a\n",
                                  "a:t\n",
                                  "a@md5:aaaa",
                                  "http://host.lan/a",
                                  "host.lan/a?x"})
        EXPECT_EQ(parse_reference(bad).error().kind, ErrorKind::InvalidInput) << bad;
    EXPECT_FALSE(parse_reference(std::string("a\0b", 3)));
    EXPECT_FALSE(parse_reference("a@" + kDigest + "0"));
}

TEST(ReferenceTest, RepositoryNamesFollowTheSpecification) {
    for (const auto* good : {"a", "a/b/c", "a.b", "a_b", "a__b", "a---b", "0/1", "my-image.v2/part_1"})
        EXPECT_TRUE(is_repository_name(good)) << good;
    for (const auto* bad :
         {"", "A", ".a", "a.", "a..b", "a___b", "a._b", "-a", "a-", "a/", "/a", "a//b", "_a", "a\xC3"})
        EXPECT_FALSE(is_repository_name(bad)) << bad;
    EXPECT_TRUE(is_repository_name(std::string(256, 'a')));
    EXPECT_FALSE(is_repository_name(std::string(257, 'a')));
}

TEST(ReferenceTest, TagsAndDigestsFollowTheSpecification) {
    for (const auto* good : {"a", "_", "1.0-rc_1", "Latest"}) EXPECT_TRUE(is_tag(good)) << good;
    for (const auto* bad : {"", ".a", "-a", "a b", "a/b", "a:b", "a\xC3"}) EXPECT_FALSE(is_tag(bad)) << bad;
    EXPECT_TRUE(is_tag(std::string(128, 'a')));
    EXPECT_FALSE(is_tag(std::string(129, 'a')));
    EXPECT_TRUE(is_digest(kDigest));
    EXPECT_TRUE(is_digest("sha512:" + std::string(128, '0')));
    for (const std::string& bad :
         {std::string("sha256:"), "sha256:" + std::string(63, 'a'), "sha256:" + std::string(64, 'A'),
          "sha256:" + std::string(128, 'a'), "sha384:" + std::string(96, 'a'), std::string(64, 'a')})
        EXPECT_FALSE(is_digest(bad)) << bad;
}

TEST(ReferenceTest, EcrHostsNameAccountAndRegion) {
    for (const auto* good :
         {"123456789012.dkr.ecr.us-west-2.amazonaws.com", "123456789012.dkr.ecr.us-west-2.amazonaws.com:443",
          "123456789012.DKR.ecr.us-west-2.amazonaws.com"}) {
        const auto host = parse_ecr_host(good);
        ASSERT_TRUE(host) << good;
        EXPECT_EQ(host->account + " " + host->region, "123456789012 us-west-2");
        EXPECT_EQ(to_string(*host), "123456789012.dkr.ecr.us-west-2.amazonaws.com");
    }
    EXPECT_EQ(parse_ecr_host("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn")->region, "cn-north-1");
    EXPECT_EQ(parse_ecr_host("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com")->region, "us-east-1");
    for (const auto* bad :
         {"", "dkr.ecr.us-west-2.amazonaws.com", "12345678901.dkr.ecr.us-west-2.amazonaws.com",
          "123456789012.dkr.ecr..amazonaws.com", "123456789012.dkr.ecr.us-west-2.amazonaws.com.evil",
          "123456789012.dkr.ecr.us-west-2.amazonaws.com.cn.evil", "123456789012.dkr.ecr.us-west-2.amazonaws.com:x",
          "123456789012.dkr.ecr.us-west-2.example.com", "123456789012.api.ecr.us-west-2.amazonaws.com", "localhost"})
        EXPECT_FALSE(parse_ecr_host(bad)) << bad;
}

}  // namespace
}  // namespace millwright::oci
