#include "registry/testing.h"

namespace millwright::registry {
namespace {

class ImagesTest : public RegistryTest {
  protected:
    Result<PutOutcome> put(const Json& document, const PutOptions& options = {}) {
        return registry_->put_image(repository_, document.dump(), options);
    }
    Json index_of(const std::vector<Json>& manifests) {
        Json list = Json::array();
        for (const auto& manifest : manifests)
            list.push_back(descriptor("application/vnd.oci.image.manifest.v1+json", manifest.dump()));
        return Json::object({{"schemaVersion", 2},
                             {"mediaType", "application/vnd.oci.image.index.v1+json"},
                             {"manifests", std::move(list)}});
    }
};

TEST_F(ImagesTest, AreFoundByTagAndByDigest) {
    const auto digest = push({"layer"}, "v1");
    for (const ImageName& name : {ImageName{"v1", ""}, ImageName{"", digest}, ImageName{"v1", digest}}) {
        const auto found = registry_->find_image(repository_, name);
        ASSERT_TRUE(found) << found.error().message;
        EXPECT_EQ(found->text, manifest_of({"layer"}).dump());
        EXPECT_EQ(found->image.digest, digest);
        EXPECT_EQ(found->image.tags, (std::vector<std::string>{"v1"}));
        EXPECT_EQ(found->image.image_bytes, 5u);
        EXPECT_EQ(found->image.artifact_type, "application/vnd.oci.image.config.v1+json");
    }
    EXPECT_EQ(why(registry_->find_image(repository_, {"v2", ""})), "NotFound tag");
    EXPECT_EQ(why(registry_->find_image(repository_, {"", sha256_of("x")})), "NotFound manifest");
    EXPECT_EQ(why(registry_->find_image(repository_, {"v1", sha256_of("x")})), "NotFound tag");
    EXPECT_EQ(why(registry_->find_image({"123456789012", "us-east-1", "team/image"}, {"v1", ""})),
              "NotFound repository");
    EXPECT_EQ(why(registry_->find_image({"210987654321", "us-west-2", "team/image"}, {"v1", ""})),
              "NotFound repository");
}

TEST_F(ImagesTest, OutliveARestart) {
    const auto digest = push({"layer"}, "v1");
    reopen();
    EXPECT_EQ(registry_->find_image(repository_, {"v1", ""})->image.digest, digest);
    EXPECT_EQ(content(sha256_of("layer")), "layer");
}

TEST_F(ImagesTest, AreRefusedWithoutTheirLayers) {
    EXPECT_EQ(why(put(manifest_of({}))), "InvalidInput missing blob") << "not even a configuration";
    push_blob("{}");
    EXPECT_EQ(why(put(manifest_of({"layer"}))), "InvalidInput missing blob");
    push_blob("layer");
    Json wrong = manifest_of({"layer"});
    wrong.set("config", Json::object({{"mediaType", "application/vnd.oci.image.config.v1+json"},
                                      {"digest", sha256_of("{}")},
                                      {"size", 3}}));
    EXPECT_EQ(why(put(wrong)), "InvalidInput manifest") << "of another size";
    EXPECT_TRUE(put(manifest_of({"layer"})));
    EXPECT_EQ(why(put(index_of({manifest_of({"other"})}))), "InvalidInput missing child");
    EXPECT_TRUE(put(index_of({manifest_of({"layer"})})));
}

TEST_F(ImagesTest, NeedNoLayersThatAreElsewhere) {
    push_blob("{}");
    Json document = manifest_of({});
    document.set(
        "layers",
        Json::array({descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "elsewhere")}));
    EXPECT_TRUE(put(document));
}

TEST_F(ImagesTest, MustBeWhatTheClientSaysTheyAre) {
    push_blob("{}");
    const Json document = manifest_of({});
    EXPECT_EQ(why(put(document, {.media_type = "application/vnd.oci.image.index.v1+json"})), "InvalidInput manifest");
    EXPECT_EQ(why(put(document, {.media_type = "text/plain"})), "InvalidInput manifest");
    EXPECT_EQ(why(put(document, {.digest = sha256_of("x")})), "InvalidInput digest");
    EXPECT_EQ(why(put(document, {.tag = "a/b"})), "InvalidInput tag");
    EXPECT_EQ(why(registry_->put_image(repository_, "{}", {})), "InvalidInput manifest");
    EXPECT_EQ(why(registry_->put_image(repository_, std::string(oci::kMaxManifestBytes + 1, ' '), {})),
              "LimitExceeded manifest size");
    EXPECT_EQ(why(registry_->put_image({"123456789012", "us-west-2", "none"}, document.dump(), {})),
              "NotFound repository");
    EXPECT_TRUE(put(document, {.digest = sha256_of(document.dump())}));
}

TEST_F(ImagesTest, TagsMove) {
    const auto first = push({"one"}, "latest"), second = push({"two"}, "latest");
    EXPECT_EQ(registry_->find_image(repository_, {"latest", ""})->image.digest, second);
    EXPECT_TRUE(registry_->find_image(repository_, {"", first})->image.tags.empty());
    push({"two"}, "b");
    EXPECT_EQ(*registry_->list_tags(repository_, {}), (std::vector<std::string>{"b", "latest"}));
    EXPECT_EQ(*registry_->list_tags(repository_, {"b", 10}), (std::vector<std::string>{"latest"}));
    EXPECT_EQ(registry_->list_tags(repository_, {"", 1})->size(), 1u);
}

TEST_F(ImagesTest, ImmutableTagsStay) {
    const auto first = push({"one"}, "v1");
    ASSERT_TRUE(registry_->set_immutable_tags(repository_, true));
    push_blob("two");
    EXPECT_EQ(why(put(manifest_of({"two"}), {.tag = "v1"})), "Conflict immutable");
    EXPECT_EQ(why(registry_->find_image(repository_, {"", sha256_of(manifest_of({"two"}).dump())})),
              "NotFound manifest")
        << "nothing of it stays";
    EXPECT_TRUE(put(manifest_of({"one"}), {.tag = "v1"})) << "the same image again";
    EXPECT_TRUE(put(manifest_of({"two"}), {.tag = "v2"}));
    EXPECT_EQ(registry_->find_image(repository_, {"v1", ""})->image.digest, first);
}

TEST_F(ImagesTest, CanBeRefusedTheSecondTime) {
    push({"one"}, "v1");
    const PutOptions once{.tag = "v1", .refuse_same = true};
    EXPECT_EQ(why(put(manifest_of({"one"}), once)), "AlreadyExists same image");
    EXPECT_EQ(why(put(manifest_of({"one"}), {.refuse_same = true})), "AlreadyExists same image");
    const auto again = put(manifest_of({"one"}), {.tag = "v2", .refuse_same = true});
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->created);
    EXPECT_EQ(again->image.tags, (std::vector<std::string>{"v1", "v2"}));
}

TEST_F(ImagesTest, AreRemovedWithTheirTags) {
    const auto digest = push({"one"}, "v1");
    ASSERT_TRUE(put(index_of({manifest_of({"one"})}), {.tag = "all"}));
    EXPECT_EQ(why(registry_->remove_image(repository_, digest, Registry::Referenced::Refuse)), "Conflict referenced");
    ASSERT_TRUE(registry_->remove_image(repository_, digest, Registry::Referenced::Allow));
    EXPECT_EQ(why(registry_->find_image(repository_, {"v1", ""})), "NotFound tag");
    EXPECT_EQ(why(registry_->remove_image(repository_, digest, Registry::Referenced::Allow)), "NotFound manifest");
}

TEST_F(ImagesTest, MayGoWithTheirLastTag) {
    const auto digest = push({"one"}, "v1");
    push({"one"}, "v2");
    EXPECT_EQ(*registry_->remove_tag(repository_, "v1", Registry::LastTag::RemovesImage), digest);
    EXPECT_TRUE(registry_->find_image(repository_, {"", digest})) << "v2 is left";
    EXPECT_EQ(*registry_->remove_tag(repository_, "v2", Registry::LastTag::RemovesImage), digest);
    EXPECT_EQ(why(registry_->find_image(repository_, {"", digest})), "NotFound manifest");
    const auto other = push({"two"}, "v1");
    EXPECT_TRUE(registry_->remove_tag(repository_, "v1", Registry::LastTag::KeepsImage));
    EXPECT_TRUE(registry_->find_image(repository_, {"", other}));
    EXPECT_EQ(why(registry_->remove_tag(repository_, "v1", Registry::LastTag::KeepsImage)), "NotFound tag");
}

TEST_F(ImagesTest, ReferToTheirSubject) {
    const auto subject = push({"one"}, "v1");
    for (const auto* type : {"application/vnd.example.signature", "application/vnd.example.sbom"}) {
        Json artifact = manifest_of({});
        artifact.set("artifactType", type);
        artifact.set("subject", descriptor("application/vnd.oci.image.manifest.v1+json", manifest_of({"one"}).dump()));
        artifact.set("annotations", Json::object({{"of", type}}));
        const auto made = put(artifact);
        ASSERT_TRUE(made) << made.error().message;
        EXPECT_EQ(made->image.subject, subject);
    }
    EXPECT_EQ(registry_->referrers(repository_, subject, "", {})->size(), 2u);
    const auto signatures = registry_->referrers(repository_, subject, "application/vnd.example.signature", {});
    ASSERT_EQ(signatures->size(), 1u);
    EXPECT_EQ(signatures->front().annotations["of"], Json("application/vnd.example.signature"));
    const auto first = registry_->referrers(repository_, subject, "", {"", 1});
    ASSERT_EQ(first->size(), 1u);
    EXPECT_EQ(registry_->referrers(repository_, subject, "", {first->front().digest, 10})->size(), 1u);
    EXPECT_TRUE(registry_->referrers(repository_, sha256_of("x"), "", {})->empty());
}

TEST_F(ImagesTest, RememberWhenTheyWerePulled) {
    push({"one"}, "v1");
    const auto pull = [&] {
        const auto found = registry_->find_image(repository_, {"v1", ""});
        registry_->note_pull(repository_, found->image);
        return registry_->find_image(repository_, {"v1", ""})->image.pulled;
    };
    EXPECT_FALSE(registry_->find_image(repository_, {"v1", ""})->image.pulled);
    const Timestamp first = clock_.now();
    EXPECT_EQ(pull(), first);
    pass(std::chrono::minutes(10));
    EXPECT_EQ(pull(), first) << "to the hour";
    pass(std::chrono::minutes(51));
    EXPECT_EQ(pull(), clock_.now());
}

TEST_F(ImagesTest, AreASourceForThoseWhoRunThem) {
    const auto digest = push({"layer"}, "v1");
    oci::ImageSource& source = *registry_;
    const auto reference = *oci::parse_reference(uri_of(repository_) + ":v1");
    const auto found = source.find_manifest(reference);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->digest, digest);
    const auto blob = source.open_blob(reference, sha256_of("layer"));
    ASSERT_TRUE(blob);
    char buffer[16];
    EXPECT_EQ((*blob)->size(), 5u);
    EXPECT_EQ(*(*blob)->read(buffer, sizeof buffer), 5u);
    EXPECT_EQ(*(*blob)->read(buffer, sizeof buffer), 0u);
    EXPECT_EQ(why(source.find_manifest(*oci::parse_reference("docker.io/team/image:v1"))), "NotFound repository");
}

TEST_F(ImagesTest, AreListedWithTheirRepositories) {
    for (const auto* name : {"b", "a"})
        ASSERT_TRUE(registry_->create_repository({"123456789012", "us-west-2", name}, true));
    ASSERT_TRUE(registry_->create_repository({"210987654321", "us-west-2", "c"}, false));
    const auto listed = registry_->list_repositories("123456789012", "us-west-2", {"a", 10});
    ASSERT_EQ(listed->size(), 2u);
    EXPECT_EQ(listed->at(0).name.name, "b");
    EXPECT_EQ(listed->at(1).name.name, "team/image");
    EXPECT_TRUE(listed->at(0).immutable_tags);
    EXPECT_EQ(registry_->all_repositories(0, 100)->size(), 4u);
    EXPECT_EQ(why(registry_->create_repository(repository_, false)), "AlreadyExists repository");
    EXPECT_EQ(why(registry_->create_repository({"123456789012", "us-west-2", "A/.."}, false)), "InvalidInput name");
    push({"one"}, "v1");
    push({"one", "two"}, "v2");
    const auto images = registry_->list_images(repository_, {"", 1});
    ASSERT_EQ(images->size(), 1u);
    EXPECT_EQ(registry_->list_images(repository_, {images->front().digest, 10})->size(), 1u);
}

TEST_F(ImagesTest, KeepTheirRepository) {
    push({"one"}, "v1");
    registry_->begin_upload(repository_).value();
    EXPECT_EQ(why(registry_->remove_repository(repository_, Registry::Contents::MustBeGone)), "Conflict repository");
    bool also = false;
    ASSERT_TRUE(registry_->remove_repository(repository_, Registry::Contents::Remove,
                                             [&](metadata_store::Transaction&) -> Result<void> {
                                                 also = true;
                                                 return {};
                                             }));
    EXPECT_TRUE(also);
    EXPECT_EQ(why(registry_->find_repository(repository_)), "NotFound repository");
    ASSERT_TRUE(registry_->collect_garbage());
    EXPECT_EQ(files(), 0u);
    ASSERT_TRUE(registry_->create_repository(repository_, false));
    EXPECT_TRUE(registry_->list_images(repository_, {})->empty()) << "a new one of that name is empty";
}

TEST_F(ImagesTest, RepositoriesKeepDocuments) {
    EXPECT_EQ(*registry_->document(repository_, "policy"), std::nullopt);
    ASSERT_TRUE(registry_->set_document(repository_, "policy", "{}"));
    ASSERT_TRUE(registry_->set_document(repository_, "policy", "{1}"));
    EXPECT_EQ(*registry_->document(repository_, "policy"), "{1}");
    ASSERT_TRUE(registry_->set_document(repository_, "policy", std::nullopt));
    EXPECT_EQ(*registry_->document(repository_, "policy"), std::nullopt);
    EXPECT_EQ(why(registry_->set_document({"1", "2", "3"}, "policy", "{}")), "NotFound repository");
}

}  // namespace
}  // namespace millwright::registry
