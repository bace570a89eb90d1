#include "executors/images/unpacked_images.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "executors/images/image_fixture.h"

namespace millwright::executors {
namespace {

class UnpackedImagesTest : public testing::Test {
  protected:
    void SetUp() override { base_ = testing::TempDir() + "/images-" + system_random().hex(8); }
    void TearDown() override {
        images_.reset();
        EXPECT_TRUE(remove_tree(base_).has_value());
    }
    void open(std::chrono::seconds sweep_every = UnpackSettings{}.sweep_every) {
        images_.reset();
        UnpackSettings settings;
        settings.sweep_every = sweep_every;
        settings.folder = base_;
        settings.sources = {&source_};
        settings.grace = std::chrono::seconds(0);
        settings.disk_reserve_bytes = 0;
        auto made = make_unpacked_images(settings);
        ASSERT_TRUE(made.has_value()) << made.error().message;
        images_ = std::move(*made);
    }
    static ImageRequest named(const std::string& text) {
        return {oci::parse_reference(text).value(), "123456789012", "us-west-2"};
    }
    Result<RunImage> prepare(const std::string& name) {
        return images_->prepare(named(name), {}, [] { return false; });
    }
    void add_two_layers(const std::string& name) {
        first_ = make_tar({{"a", 'f', "first"}});
        second_ = make_tar({{"b", 'f', "second"}});
        const std::string packed = make_tar({{"b", 'f', "second"}}, Packing::Zstd);
        const auto config = Json::parse(
            R"({"config":{"Entrypoint":["/train"],"Cmd":["now"],"Env":["A=1"],"WorkingDir":"/w","User":"7:8"}})");
        source_.add_image(name, {first_, second_}, {first_, packed}, *config);
    }

    // As if nobody had used them for years.
    void age_layers() {
        const timespec old[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
        for (const UnpackedLayer& layer : images_->layers())
            ASSERT_EQ(utimensat(AT_FDCWD, (layer.folder + "/lock").c_str(), old, 0), 0);
    }

    std::string base_, first_, second_;
    MemorySource source_;
    std::unique_ptr<UnpackedImages> images_;
};

constexpr const char* kOurs = "123456789012.dkr.ecr.us-west-2.amazonaws.com/team/app:1";

TEST_F(UnpackedImagesTest, LayersAreUnpackedOnceAndFoundAgain) {
    add_two_layers(kOurs);
    open();
    EXPECT_TRUE(images_->look(named(kOurs)).has_value());
    std::vector<std::string> said;
    const auto image = images_->prepare(named(kOurs), [&](const std::string& text) { said.push_back(text); }, {});
    ASSERT_TRUE(image.has_value()) << image.error().message;
    EXPECT_EQ(said.at(0), "Unpacking 1 of 2 layers, 0 of 0 MiB");
    ASSERT_EQ(image->layers.size(), 2u);
    EXPECT_EQ(read_file(image->layers[0] + "/a").value_or(""), "first");
    EXPECT_EQ(read_file(image->layers[1] + "/b").value_or(""), "second");
    EXPECT_EQ(image->config.entrypoint, std::vector<std::string>{"/train"});
    EXPECT_EQ(image->config.working_folder, "/w");
    EXPECT_EQ(image->reference, kOurs);
    EXPECT_EQ(image->digest, source_.names[kOurs]);
    const auto opened = source_.opened;
    EXPECT_EQ(prepare(kOurs)->layers, image->layers);
    EXPECT_EQ(source_.opened, opened);  // not even the configuration was read
    open();
    EXPECT_EQ(prepare(kOurs)->layers, image->layers);
    EXPECT_EQ(source_.opened[digest_of(first_)], 1);
    EXPECT_EQ(images_->layers().size(), 2u);
}

TEST_F(UnpackedImagesTest, ANameWithoutAHostIsTheCallersRepository) {
    add_two_layers(kOurs);
    open();
    EXPECT_TRUE(prepare("team/app:1").has_value());
    EXPECT_EQ(images_->look(named("team/app:2")).error().message,
              "there is no image team/app:2: nothing was pushed or imported under this name");
    EXPECT_NE(images_->look(named("quay.io/team/app:1")).error().message.find("millwright images import"),
              std::string::npos);
}

TEST_F(UnpackedImagesTest, TheIndexGivesTheImageOfThisMachine) {
    const std::string layer = make_tar({{"a", 'f', "mine"}});
    const std::string mine = source_.add_image("", {layer}, {layer});
    const std::string other =
        source_.add_image("", {layer}, {layer}, Json::object({{"architecture", "s390x"}, {"os", "linux"}}));
    const auto entry = [&](const std::string& digest, const std::string& architecture) {
        Json descriptor = MemorySource::descriptor("application/vnd.oci.image.manifest.v1+json", source_.blobs[digest]);
        descriptor.set("platform", Json::object({{"architecture", architecture}, {"os", "linux"}}));
        return descriptor;
    };
    const Json index = Json::object(
        {{"schemaVersion", 2},
         {"mediaType", "application/vnd.oci.image.index.v1+json"},
         {"manifests", Json::array({entry(other, "s390x"), entry(mine, oci::this_platform().architecture)})}});
    source_.names[kOurs] = source_.add(index.dump());
    source_.names["x.example/other:1"] = other;
    open();
    EXPECT_EQ(prepare(kOurs)->digest, mine);
    EXPECT_NE(images_->look(named("x.example/other:1")).error().message.find("s390x"), std::string::npos);
}

TEST_F(UnpackedImagesTest, WhatIsNoImageIsRefused) {
    const std::string layer = make_tar({{"a"}});
    source_.add_image("x.example/none:1", {}, {});
    source_.add_image("x.example/mixed:1", {layer, layer}, {layer});
    source_.add_image("x.example/false:1", {make_tar({{"b"}})}, {layer});
    source_.add_image("x.example/lost:1", {layer}, {layer});
    const std::string config = Json::object({{"architecture", "amd64"}}).dump();
    source_.names["x.example/artifact:1"] = source_.add(
        Json::object({{"schemaVersion", 2},
                      {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                      {"config", MemorySource::descriptor("application/vnd.cncf.helm.config.v1+json", config)},
                      {"layers", Json::array()}})
            .dump());
    open();
    EXPECT_EQ(images_->look(named("x.example/none:1")).error().message, "the image has no layers");
    EXPECT_NE(images_->look(named("x.example/mixed:1")).error().message.find("not that of its layers"),
              std::string::npos);
    EXPECT_NE(images_->look(named("x.example/artifact:1")).error().message.find("an artifact"), std::string::npos);
    EXPECT_NE(prepare("x.example/false:1").error().message.find("configuration names"), std::string::npos);
    source_.blobs.erase(digest_of(layer));
    EXPECT_EQ(prepare("x.example/lost:1").error().kind, ErrorKind::NotFound);
    EXPECT_TRUE(images_->layers().empty());
}

// A configuration may claim any layer; the files of another account's image are not given for it.
TEST_F(UnpackedImagesTest, AClaimedLayerIsNotGivenAway) {
    const std::string secret = make_tar({{"secret", 'f', "of another account"}}), own = make_tar({{"own"}});
    source_.add_image("x.example/secret:1", {secret}, {secret});
    source_.add_image("x.example/thief:1", {secret}, {own});
    open();
    ASSERT_TRUE(prepare("x.example/secret:1").has_value());
    EXPECT_FALSE(prepare("x.example/thief:1").has_value());
}

TEST_F(UnpackedImagesTest, TwoCallsShareTheWork) {
    const std::string layer = make_tar({{"a", 'f', std::string(4 << 20, 'x')}});
    source_.add_image(kOurs, {layer}, {layer});
    open();
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> callers;
        for (int i = 0; i < 4; ++i) callers.emplace_back([&] { good += prepare(kOurs).has_value() ? 1 : 0; });
    }
    EXPECT_EQ(good, 4);
    EXPECT_EQ(source_.opened[digest_of(layer)], 1);
}

TEST_F(UnpackedImagesTest, AStopLeavesNothing) {
    const std::string layer = make_tar({{"a", 'f', std::string(4 << 20, 'x')}});
    source_.add_image(kOurs, {layer}, {layer});
    open();
    int asked = 0;
    const auto stopped = images_->prepare(named(kOurs), {}, [&] { return ++asked > 3; });
    EXPECT_EQ(stopped.error().kind, ErrorKind::Conflict);
    EXPECT_TRUE(images_->layers().empty());
    EXPECT_NE(rmdir((base_ + "/unpacking").c_str()), -1);  // empty
}

TEST_F(UnpackedImagesTest, LayersThatNobodyUsesGo) {
    add_two_layers(kOurs);
    ASSERT_TRUE(make_directories(base_ + "/unpacking/abandoned/root").has_value());
    open();
    EXPECT_FALSE(file_exists(base_ + "/unpacking/abandoned"));
    const auto image = prepare(kOurs);
    ASSERT_TRUE(image.has_value());
    // A launcher holds the first.
    const std::string place = image->layers[0].substr(0, image->layers[0].rfind('/'));
    Fd held(::open((place + "/lock").c_str(), O_RDONLY | O_CLOEXEC));
    struct flock lock {};
    lock.l_type = F_RDLCK;
    ASSERT_EQ(fcntl(held.get(), F_OFD_SETLK, &lock), 0);
    EXPECT_EQ(images_->remove_unused(std::chrono::hours(1)), 0u);
    age_layers();
    for (const UnpackedLayer& layer : images_->layers()) EXPECT_EQ(layer.in_use, layer.digest == digest_of(first_));
    EXPECT_GT(images_->remove_unused(std::chrono::hours(1)), 0u);
    ASSERT_EQ(images_->layers().size(), 1u);
    EXPECT_EQ(images_->layers()[0].digest, digest_of(first_));
    held.reset();
    EXPECT_GT(images_->remove_unused(std::chrono::hours(1)), 0u);
    EXPECT_TRUE(images_->layers().empty());
    EXPECT_TRUE(prepare(kOurs).has_value());  // once more
    EXPECT_EQ(source_.opened[digest_of(first_)], 2);
}

TEST_F(UnpackedImagesTest, LayersGoWithTheLastImageThatHasThem) {
    add_two_layers(kOurs);
    source_.add_image("x.example/base:1", {first_}, {first_});
    open();
    ASSERT_TRUE(prepare(kOurs).has_value());
    source_.names.erase(kOurs);
    source_.blobs.erase(digest_of(make_tar({{"b", 'f', "second"}}, Packing::Zstd)));
    open(std::chrono::seconds(1));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (images_->layers().size() > 1 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ASSERT_EQ(images_->layers().size(), 1u);
    EXPECT_EQ(images_->layers()[0].digest, digest_of(first_));
    EXPECT_TRUE(prepare("x.example/base:1").has_value());
    EXPECT_EQ(source_.opened[digest_of(first_)], 1);
}

}  // namespace
}  // namespace millwright::executors
