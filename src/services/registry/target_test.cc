#include "services/registry/target.h"

#include <gtest/gtest.h>

#include "registry/registry.h"

namespace millwright::services {
namespace {

using Kind = RegistryTarget::Kind;
namespace reason = registry::reason;

const std::string kDigest = "sha256:" + std::string(64, 'a');

void expect_target(const std::string& path, Kind kind, const std::string& repository, const std::string& item) {
    const auto target = find_registry_target(path);
    ASSERT_TRUE(target) << path << ": " << target.error().message;
    EXPECT_EQ(static_cast<int>(target->kind), static_cast<int>(kind)) << path;
    EXPECT_EQ(target->repository, repository) << path;
    EXPECT_EQ(target->item, item) << path;
}

TEST(RegistryTargetTest, ReadsPathsFromTheirEnd) {
    expect_target("/v2", Kind::Base, "", "");
    expect_target("/v2/", Kind::Base, "", "");
    expect_target("/v2/_catalog", Kind::Catalog, "", "");
    expect_target("/v2/a/b/tags/list", Kind::Tags, "a/b", "list");
    expect_target("/v2/a/manifests/latest", Kind::Manifest, "a", "latest");
    expect_target("/v2/a/manifests/" + kDigest, Kind::Manifest, "a", kDigest);
    expect_target("/v2/a/blobs/sha256%3A" + std::string(64, 'a'), Kind::Blob, "a", kDigest);
    expect_target("/v2/a/blobs/uploads/", Kind::Uploads, "a", "");
    expect_target("/v2/a/blobs/uploads", Kind::Uploads, "a", "uploads");
    expect_target("/v2/a/blobs/uploads/0123", Kind::Upload, "a", "0123");
    expect_target("/v2/a/referrers/" + kDigest, Kind::Referrers, "a", kDigest);
    expect_target("/v2/a/blobs/uploads/blobs/uploads/", Kind::Uploads, "a/blobs/uploads", "");
    expect_target("/v2/manifests/manifests/manifests", Kind::Manifest, "manifests", "manifests");
    expect_target("/v2/credentials/tags/list", Kind::Tags, "credentials", "list");
}

TEST(RegistryTargetTest, RefusesNamesThatNobodyMayHave) {
    for (const std::string path : {"/v2/A/tags/list", "/v2//tags/list", "/v2/../tags/list", "/v2/a/../b/manifests/x",
                                   "/v2/%2e%2e/blobs/uploads/", "/v2/a%00b/manifests/x", "/v2/a//b/manifests/x",
                                   "/v2/tags/list", "/v2/manifests/latest", "/v2/a%2F/manifests/x"}) {
        const auto target = find_registry_target(path);
        ASSERT_FALSE(target) << path;
        EXPECT_EQ(target.error().detail, reason::kRepositoryName) << path;
    }
    EXPECT_EQ(find_registry_target("/v2/" + std::string(257, 'a') + "/tags/list").error().detail,
              reason::kRepositoryName);
    EXPECT_EQ(find_registry_target("/v2/a/manifests/.x").error().detail, reason::kTag);
    EXPECT_EQ(find_registry_target("/v2/a/manifests/sha256:aa").error().detail, reason::kDigest);
    EXPECT_EQ(find_registry_target("/v2/a/blobs/latest").error().detail, reason::kDigest);
    EXPECT_EQ(find_registry_target("/v2/a/referrers/latest").error().detail, reason::kDigest);
    for (const std::string path : {"/v1/", "/v2x", "/v2/a", "/v2/a/b", "/v2/a/tags/other", "/v2/a/blobs/uploads/x/y"})
        EXPECT_EQ(find_registry_target(path).error().kind, ErrorKind::NotFound) << path;
}

}  // namespace
}  // namespace millwright::services
