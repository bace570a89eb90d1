#include <gtest/gtest.h>

#include "oci/image.h"

namespace millwright::oci {
namespace {

TEST(ImageConfigTest, TellsHowAContainerIsStarted) {
    const auto config = parse_image_config(R"({
        "architecture": "amd64", "os": "linux", "created": "2026-11-22T10:00:00Z",
        "config": {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["train"], "Env": ["PATH=/bin", "A=b=c"],
                   "WorkingDir": "/opt", "User": "1000:100", "StopSignal": "SIGINT",
                   "Labels": {"a": "b"}, "ExposedPorts": {"8080/tcp": {}}, "Healthcheck": {"Test": ["NONE"]}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}
    })");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->platform.architecture, "amd64");
    EXPECT_EQ(config->entrypoint, (std::vector<std::string>{"/bin/sh", "-c"}));
    EXPECT_EQ(config->command, (std::vector<std::string>{"train"}));
    EXPECT_EQ(config->environment, (std::vector<std::string>{"PATH=/bin", "A=b=c"}));
    EXPECT_EQ(config->working_folder, "/opt");
    EXPECT_EQ(config->user, "1000:100");
    EXPECT_EQ(config->stop_signal, "SIGINT");
    EXPECT_EQ(config->labels.at("a"), "b");
    EXPECT_EQ(config->exposed_ports, (std::vector<std::string>{"8080/tcp"}));
    EXPECT_EQ(config->diff_ids.size(), 1u);
    EXPECT_EQ(config->created, "2026-11-22T10:00:00Z");
}

TEST(ImageConfigTest, WhatIsNotSaidIsEmpty) {
    for (const auto* text : {"{}", R"({"config": null, "rootfs": null})",
                             R"({"config": {"Entrypoint": null, "Cmd": null, "Env": null, "Labels": null}})"}) {
        const auto config = parse_image_config(text);
        ASSERT_TRUE(config) << text;
        EXPECT_TRUE(config->entrypoint.empty() && config->command.empty() && config->environment.empty()) << text;
    }
    EXPECT_EQ(parse_image_config(R"({"config": {"Cmd": "one word"}})")->command,
              (std::vector<std::string>{"one word"}));
}

TEST(ImageConfigTest, RefusesOtherTypesAndNul) {
    for (const auto* bad : {"", "[]", R"({"config": []})", R"({"config": {"Cmd": {}}})", R"({"config": {"Env": [1]}})",
                            R"({"config": {"User": 0}})", R"({"config": {"Entrypoint": ["a\u0000b"]}})",
                            R"({"config": {"Labels": {"a": 1}}})", R"({"rootfs": {"diff_ids": ["../../etc"]}})",
                            R"({"architecture": 1})"}) {
        const auto config = parse_image_config(bad);
        ASSERT_FALSE(config) << bad;
        EXPECT_EQ(config.error().kind, ErrorKind::InvalidInput) << bad;
    }
    EXPECT_FALSE(parse_image_config(std::string(kMaxManifestBytes + 1, ' ')));
}

}  // namespace
}  // namespace millwright::oci
