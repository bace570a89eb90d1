#include "executors/images/image_layout.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "executors/images/image_fixture.h"

namespace millwright::executors {
namespace {

class ImageLayoutTest : public testing::Test {
  protected:
    void SetUp() override {
        base_ = testing::TempDir() + "/layout-" + system_random().hex(8);
        ASSERT_TRUE(make_directories(base_).has_value());
        auto opened = ImageLayout::open(base_ + "/images");
        ASSERT_TRUE(opened.has_value());
        layout_ = std::move(*opened);
        layer_ = make_tar({{"a", 'f', "content"}}, Packing::Gzip);
        tar_ = make_tar({{"a", 'f', "content"}});
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(base_).has_value()); }

    // The entries of an archive of an OCI layout with everything that `source_` has.
    std::vector<TarEntry> layout_entries(const std::vector<std::pair<std::string, std::string>>& names) {
        Json manifests = Json::array();
        for (const auto& [name, digest] : names) {
            const std::string& text = source_.blobs[digest];
            const auto document = Json::parse(text);
            Json entry = MemorySource::descriptor((*document)["mediaType"].string_or(""), text);
            if (!name.empty()) entry.set("annotations", Json::object({{"org.opencontainers.image.ref.name", name}}));
            manifests.push_back(std::move(entry));
        }
        std::vector<TarEntry> entries = {
            {"oci-layout", 'f', R"({"imageLayoutVersion":"1.0.0"})"},
            {"index.json", 'f', Json::object({{"schemaVersion", 2}, {"manifests", std::move(manifests)}}).dump()}};
        for (const auto& [digest, bytes] : source_.blobs)
            entries.push_back({"blobs/sha256/" + digest.substr(7), 'f', bytes});
        return entries;
    }
    // As `docker save` of Docker 20 writes it: layers in folders, a link for one that occurs twice.
    std::vector<TarEntry> saved_entries() const {
        const std::string config = R"({"architecture":")" + oci::this_platform().architecture +
                                   R"(","os":"linux","rootfs":{"type":"layers","diff_ids":[")" + digest_of(tar_) +
                                   R"(",")" + digest_of(tar_) + R"("]}})";
        const std::string config_name = sha256_hex(config) + ".json";
        return {
            {"aaa/layer.tar", 'f', tar_},
            {"bbb/layer.tar", 'l', "../aaa/layer.tar"},
            {config_name, 'f', config},
            {"manifest.json", 'f',
             R"([{"Config":")" + config_name +
                 R"(","RepoTags":["busy:1","registry.example:5000/busy:2"],"Layers":["aaa/layer.tar","bbb/layer.tar"]}])"}};
    }
    std::string file(const std::vector<TarEntry>& entries, Packing packing = Packing::None) {
        const std::string path = base_ + "/file-" + system_random().hex(8);
        EXPECT_TRUE(write_file(path, make_tar(entries, packing)).has_value());
        return path;
    }
    std::string refusal(const std::vector<TarEntry>& entries, const std::string& name = "n:1") {
        const auto imported = layout_->import(file(entries), name, {});
        return imported ? "it was imported" : imported.error().message;
    }
    Result<oci::FoundManifest> find(const std::string& name) {
        return layout_->find_manifest(oci::parse_reference(name).value());
    }
    static std::string text_of(Result<std::unique_ptr<oci::BlobReader>> blob) {
        if (!blob) return "<missing>";
        std::string text((*blob)->size(), '\0');
        size_t at = 0;
        while (at < text.size()) {
            const auto got = (*blob)->read(text.data() + at, text.size() - at);
            if (!got || *got == 0) return "<short>";
            at += *got;
        }
        return text;
    }

    std::string base_, layer_, tar_;
    MemorySource source_;
    std::unique_ptr<ImageLayout> layout_;
};

TEST_F(ImageLayoutTest, AnArchiveOfALayoutIsImported) {
    const std::string digest = source_.add_image("", {tar_}, {layer_});
    for (const Packing packing : {Packing::None, Packing::Gzip}) {
        const auto imported = layout_->import(file(layout_entries({{"localhost/app:2", digest}}), packing), "", {});
        ASSERT_TRUE(imported.has_value()) << imported.error().message;
        ASSERT_EQ(imported->size(), 1u);
        EXPECT_EQ(imported->at(0).reference, "localhost/app:2");
    }
    for (const char* name : {"app:2", "localhost/app:2", "docker.io/library/app:2"}) {
        const auto found = find(name);
        ASSERT_TRUE(found.has_value()) << name;
        EXPECT_EQ(found->digest, digest);
        EXPECT_EQ(found->text, source_.blobs[digest]);
    }
    EXPECT_EQ(find("app:3").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(find("quay.io/app:2").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(find("app@" + digest)->media_type, "application/vnd.oci.image.manifest.v1+json");
    EXPECT_EQ(text_of(layout_->open_blob({}, digest_of(layer_))), layer_);
    EXPECT_EQ(layout_->list()->size(), 1u);
    EXPECT_GT(layout_->list()->at(0).bytes, layer_.size());
}

TEST_F(ImageLayoutTest, WhatDockerSavesIsImported) {
    const auto imported = layout_->import(file(saved_entries()), "", {});
    ASSERT_TRUE(imported.has_value()) << imported.error().message;
    ASSERT_EQ(imported->size(), 2u);
    EXPECT_EQ(imported->at(1).reference, "registry.example:5000/busy:2");
    const auto found = find("busy:1");
    ASSERT_TRUE(found.has_value());
    const auto manifest = oci::parse_manifest(found->text);
    ASSERT_TRUE(manifest.has_value()) << manifest.error().message;
    ASSERT_EQ(manifest->layers.size(), 2u);
    EXPECT_EQ(manifest->layers[0].digest, digest_of(tar_));
    EXPECT_EQ(text_of(layout_->open_blob({}, manifest->layers[1].digest)), tar_);
    const auto config = oci::parse_image_config(text_of(layout_->open_blob({}, manifest->config.digest)));
    ASSERT_TRUE(config.has_value());
    EXPECT_EQ(config->diff_ids.at(0), digest_of(tar_));
}

TEST_F(ImageLayoutTest, AFolderIsCopied) {
    const std::string digest = source_.add_image("", {tar_}, {layer_});
    const std::string folder = base_ + "/given";
    ASSERT_TRUE(make_directories(folder + "/blobs/sha256").has_value());
    for (const TarEntry& entry : layout_entries({{"latest", digest}}))
        ASSERT_TRUE(write_file(folder + "/" + entry.name, entry.content).has_value());
    EXPECT_NE(layout_->import(folder, "", {}).error().message.find("give it a name"), std::string::npos);
    const auto imported = layout_->import(folder, "my/app", {});
    ASSERT_TRUE(imported.has_value()) << imported.error().message;
    EXPECT_EQ(imported->at(0).reference, "my/app:latest");
    EXPECT_TRUE(file_exists(folder + "/blobs/sha256/" + digest.substr(7)));
}

TEST_F(ImageLayoutTest, AnImageOfTheSameNameIsReplacedAndItsBlobsGo) {
    const std::string first = source_.add_image("", {tar_}, {layer_});
    ASSERT_TRUE(layout_->import(file(layout_entries({{"app:1", first}})), "", {}).has_value());
    ASSERT_TRUE(layout_->import(file(layout_entries({{"kept:1", first}})), "", {}).has_value());
    const std::string other = make_tar({{"b"}});
    source_.blobs.clear();
    const std::string second = source_.add_image("", {other}, {other});
    ASSERT_TRUE(layout_->import(file(layout_entries({{"docker.io/library/app:1", second}})), "", {}).has_value());
    EXPECT_EQ(find("app:1")->digest, second);
    EXPECT_EQ(find("kept:1")->digest, first);
    EXPECT_TRUE(layout_->remove(oci::parse_reference("kept:1").value()).has_value());
    EXPECT_EQ(text_of(layout_->open_blob({}, digest_of(layer_))), "<missing>");
    EXPECT_EQ(text_of(layout_->open_blob({}, digest_of(other))), other);
    EXPECT_EQ(layout_->remove(oci::parse_reference("kept:1").value()).error().kind, ErrorKind::NotFound);
}

TEST_F(ImageLayoutTest, DamagedAndHostileFilesAreRefused) {
    const std::string digest = source_.add_image("", {tar_}, {layer_});
    const std::vector<TarEntry> good = layout_entries({{"app:1", digest}});
    std::vector<TarEntry> changed = good;
    for (TarEntry& entry : changed)
        if (entry.content == layer_) entry.content.back() ^= 1;
    EXPECT_NE(refusal(changed).find("damaged"), std::string::npos);
    std::vector<TarEntry> lacking = good;
    std::erase_if(lacking, [&](const TarEntry& entry) { return entry.content == layer_; });
    EXPECT_NE(refusal(lacking).find("lacks blobs/"), std::string::npos);
    EXPECT_NE(refusal({{"some", 'f', "file"}}).find("neither an OCI image layout"), std::string::npos);
    EXPECT_NE(refusal(layout_entries({})).find("no image"), std::string::npos);
    EXPECT_NE(refusal(layout_entries({{"a:1", digest}, {"b:1", digest}})).find("cannot all have one name"),
              std::string::npos);
    EXPECT_NE(refusal(good, "Not A Name"), "it was imported");
    const auto saved = [](const std::string& layer) {
        return std::vector<TarEntry>{
            {"c.json", 'f', "{}"},
            {"manifest.json", 'f', R"([{"Config":"c.json","RepoTags":["a:1"],"Layers":[")" + layer + R"("]}])"}};
    };
    for (const char* layer : {"/etc/passwd", "../../outside", "", "absent", "."})
        EXPECT_NE(refusal(saved(layer), ""), "it was imported") << layer;
    ASSERT_TRUE(write_file(base_ + "/outside", "x").has_value());
    // Only a folder given by the user may hold links that lead out.
    const std::string folder = base_ + "/linked";
    ASSERT_TRUE(make_directories(folder).has_value());
    for (const TarEntry& entry : saved("link"))
        ASSERT_TRUE(write_file(folder + "/" + entry.name, entry.content).has_value());
    ASSERT_EQ(symlink((base_ + "/outside").c_str(), (folder + "/link").c_str()), 0);
    EXPECT_NE(layout_->import(folder, "", {}).error().message.find("outside of it"), std::string::npos);
    EXPECT_TRUE(layout_->list()->empty());
}

}  // namespace
}  // namespace millwright::executors
