#include "oci/image.h"

#include <gtest/gtest.h>

namespace millwright::oci {
namespace {

std::string digest_of(char c) { return "sha256:" + std::string(64, c); }

Json descriptor(const std::string& media_type, char c, int64_t size = 10) {
    return Json::object({{"mediaType", media_type}, {"digest", digest_of(c)}, {"size", size}});
}

Json manifest() {
    return Json::object(
        {{"schemaVersion", 2},
         {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
         {"config", descriptor("application/vnd.oci.image.config.v1+json", 'a')},
         {"layers", Json::array({descriptor("application/vnd.oci.image.layer.v1.tar+gzip", 'b', 5'000'000'000),
                                 descriptor("application/vnd.oci.image.layer.v1.tar+zstd", 'c')})}});
}

Json on(Json entry, const std::string& os, const std::string& architecture, const std::string& variant = "") {
    Json platform = Json::object({{"os", os}, {"architecture", architecture}});
    if (!variant.empty()) platform.set("variant", variant);
    entry.set("platform", platform);
    return entry;
}

std::string text_with(Json json, const std::string& member, Json value) {
    json.set(member, std::move(value));
    return json.dump();
}

Json index_of(Json::Array entries) {
    return Json::object({{"schemaVersion", 2},
                         {"mediaType", "application/vnd.oci.image.index.v1+json"},
                         {"manifests", std::move(entries)}});
}

const std::string kManifestType = "application/vnd.oci.image.manifest.v1+json";

TEST(ManifestTest, TellsItsLayersInOrder) {
    const auto parsed = parse_manifest(manifest().dump());
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->config.digest, digest_of('a'));
    ASSERT_EQ(parsed->layers.size(), 2u);
    EXPECT_EQ(parsed->layers[0].digest, digest_of('b'));
    EXPECT_EQ(parsed->layers[0].size, 5'000'000'000u);
    EXPECT_TRUE(is_layer(parsed->layers[1].media_type));
    EXPECT_FALSE(parsed->subject);
}

TEST(ManifestTest, ArtifactsHaveASubjectATypeAndAnnotations) {
    Json json = manifest();
    json.set("artifactType", "application/vnd.example+type");
    json.set("subject", descriptor(kManifestType, 'd'));
    json.set("annotations", Json::object({{"k", "v"}}));
    json.set("layers", Json::array());
    const auto parsed = parse_manifest(json.dump());
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->subject->digest, digest_of('d'));
    EXPECT_EQ(parsed->artifact_type, "application/vnd.example+type");
    EXPECT_EQ(parsed->annotations["k"], Json("v"));
}

TEST(ManifestTest, OfNoDeclaredTypeIsOci) {
    Json json = manifest();
    json.erase("mediaType");
    EXPECT_EQ(parse_manifest(json.dump())->media_type, kManifestType);
    json.set("mediaType", "application/vnd.docker.distribution.manifest.v2+json");
    EXPECT_TRUE(is_manifest(parse_manifest(json.dump())->media_type));
}

TEST(ManifestTest, RefusesWhatIsMissingOrWrong) {
    const auto refused = [](const Json& json, const std::string& word) {
        const auto parsed = parse_manifest(json.dump());
        ASSERT_FALSE(parsed) << json.dump();
        EXPECT_EQ(parsed.error().kind, ErrorKind::InvalidInput);
        EXPECT_NE(parsed.error().message.find(word), std::string::npos) << parsed.error().message;
    };
    for (const auto* member : {"schemaVersion", "config", "layers"}) {
        Json json = manifest();
        json.erase(member);
        refused(json, member);
    }
    const std::vector<std::pair<std::string, Json>> wrong = {
        {"schemaVersion", 1},
        {"schemaVersion", "2"},
        {"mediaType", "application/vnd.oci.image.index.v1+json"},
        {"mediaType", 7},
        {"config", Json::array()},
        {"config", Json::object({{"mediaType", "a/b"}, {"digest", "sha256:../../x"}, {"size", 1}})},
        {"config", Json::object({{"mediaType", "a/b"}, {"digest", digest_of('a')}, {"size", -1}})},
        {"config", Json::object({{"mediaType", "a/b"}, {"digest", digest_of('a')}, {"size", 1.5}})},
        {"config", Json::object({{"mediaType", ""}, {"digest", digest_of('a')}, {"size", 1}})},
        {"layers", Json::object()},
        {"layers", Json::array({Json("x")})},
        {"subject", "x"},
        {"annotations", Json::array()},
        {"annotations", Json::object({{"k", 1}})},
        {"artifactType", "none"},
        {"artifactType", "application/two words"}};
    for (const auto& [member, value] : wrong) {
        Json json = manifest();
        json.set(member, value);
        refused(json, member == "schemaVersion" && value == Json(1) ? "schema 1" : member);
    }
    EXPECT_FALSE(parse_manifest("")) << "nothing";
    EXPECT_FALSE(parse_manifest("[]")) << "an array";
    EXPECT_FALSE(parse_manifest(manifest().dump() + "x")) << "something behind it";
    EXPECT_EQ(parse_manifest(std::string(kMaxManifestBytes + 1, ' ')).error().kind, ErrorKind::LimitExceeded);
}

TEST(ManifestTest, OfTwoReadingsIsRefused) {
    EXPECT_FALSE(parse_manifest(text_with(manifest(), "manifests", Json::array()))) << "an index, too";
    EXPECT_FALSE(parse_index(text_with(index_of({}), "layers", Json::array()))) << "a manifest, too";
    std::string twice = manifest().dump();
    twice.insert(1, R"("layers":[],)");
    EXPECT_FALSE(parse_manifest(twice)) << "two lists of layers";
}

TEST(IndexTest, ChoosesThePlatform) {
    const Json plain = descriptor(kManifestType, 'a'), other = descriptor(kManifestType, 'b'),
               third = descriptor(kManifestType, 'c');
    const auto chosen = [](Json::Array entries, const Platform& wanted) {
        const auto index = parse_index(index_of(std::move(entries)).dump());
        return index ? choose_platform(*index, wanted) : Result<Descriptor>(index.error());
    };
    const Platform amd{"amd64", "linux", ""}, arm{"arm64", "linux", ""};
    EXPECT_EQ(chosen({on(plain, "linux", "arm64", "v8"), on(other, "linux", "amd64")}, amd)->digest, digest_of('b'));
    EXPECT_EQ(chosen({on(plain, "linux", "arm64", "v8"), on(other, "linux", "amd64")}, arm)->digest, digest_of('a'));
    EXPECT_EQ(chosen({on(plain, "linux", "amd64", "v3"), on(other, "linux", "amd64")}, amd)->digest, digest_of('b'))
        << "the plain one before one that needs a newer machine";
    EXPECT_EQ(chosen({on(plain, "linux", "amd64"), on(other, "linux", "amd64")}, amd)->digest, digest_of('a'))
        << "the first of two";
    EXPECT_EQ(chosen({on(other, "unknown", "unknown"), third}, amd)->digest, digest_of('c')) << "one that says nothing";
    const auto none = chosen({on(plain, "windows", "amd64"), on(other, "linux", "arm64", "v8")}, amd);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::NotFound);
    EXPECT_EQ(none.error().message, "the image has no variant for linux/amd64; it has windows/amd64, linux/arm64/v8");
    EXPECT_FALSE(chosen({}, amd));
}

TEST(IndexTest, ThisPlatformIsNamedAsGoDoes) {
    const Platform here = this_platform();
    EXPECT_EQ(here.os, "linux");
    EXPECT_FALSE(here.architecture.empty());
    EXPECT_NE(here.architecture, "x86_64");
}

TEST(MediaTypeTest, ForeignLayersAreLayers) {
    EXPECT_TRUE(is_layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
    EXPECT_TRUE(is_foreign_layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
    EXPECT_FALSE(is_foreign_layer("application/vnd.docker.image.rootfs.diff.tar.gzip"));
    EXPECT_FALSE(is_layer("application/vnd.oci.image.config.v1+json"));
}

}  // namespace
}  // namespace millwright::oci
