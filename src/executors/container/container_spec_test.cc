#include "executors/container/container_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millwright::executors {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RunSpec gpu_spec() {
    RunSpec spec;
    spec.id = "abc";
    spec.image = RunImage{};
    spec.image->engine_image = "sha256:0";
    spec.image->config.entrypoint = {"/train"};
    spec.image->config.command = {"of-the-image"};
    spec.log_files = {"/log"};
    spec.limits.memory_bytes = uint64_t{4} << 30;
    spec.limits.cpus = 2;
    spec.limits.gpus = 2;
    return spec;
}

Json host_config_of(const RunSpec& spec, EngineKind kind, EngineTraits::Gpus gpus) {
    EngineTraits traits;
    traits.kind = kind;
    traits.gpus = gpus;
    HostContainer container;
    container.gate = "gate";
    return container_body(spec, 0, traits, container).value()["HostConfig"];
}

TEST(ContainerSpec, AsksDockersNvidiaRuntimeForTheDevicesOfTheInstanceType) {
    const auto host = host_config_of(gpu_spec(), EngineKind::Docker, EngineTraits::Gpus::Runtime);
    ASSERT_EQ(host["DeviceRequests"].size(), 1u);
    EXPECT_EQ(host["DeviceRequests"][0]["Driver"].string_or(""), "nvidia");
    EXPECT_EQ(host["DeviceRequests"][0]["Count"].int_or(0), 2);
    EXPECT_EQ(host["DeviceRequests"][0]["Capabilities"].dump(), R"([["gpu"]])");
    EXPECT_FALSE(host.has("Devices"));
}

TEST(ContainerSpec, NamesDevicesByTheContainerDeviceInterface) {
    const auto docker = host_config_of(gpu_spec(), EngineKind::Docker, EngineTraits::Gpus::Cdi);
    EXPECT_EQ(docker["DeviceRequests"][0]["Driver"].string_or(""), "cdi");
    EXPECT_EQ(docker["DeviceRequests"][0]["DeviceIDs"].dump(), R"(["nvidia.com/gpu=0","nvidia.com/gpu=1"])");
    const auto podman = host_config_of(gpu_spec(), EngineKind::Podman, EngineTraits::Gpus::Cdi);
    ASSERT_EQ(podman["Devices"].size(), 2u);
    EXPECT_EQ(podman["Devices"][1]["PathOnHost"].string_or(""), "nvidia.com/gpu=1");
    EXPECT_FALSE(podman.has("DeviceRequests"));
}

TEST(ContainerSpec, AsksForNoDevicesWithoutGpus) {
    auto spec = gpu_spec();
    EXPECT_FALSE(host_config_of(spec, EngineKind::Docker, EngineTraits::Gpus::None).has("DeviceRequests"));
    spec.limits.gpus = 0;
    EXPECT_FALSE(host_config_of(spec, EngineKind::Docker, EngineTraits::Gpus::Runtime).has("DeviceRequests"));
}

TEST(ContainerSpec, LimitsComeFromTheInstanceType) {
    auto spec = gpu_spec();
    auto host = host_config_of(spec, EngineKind::Docker, EngineTraits::Gpus::None);
    EXPECT_EQ(host["Memory"].int_or(0), int64_t{4} << 30);
    EXPECT_EQ(host["MemorySwap"].int_or(0), int64_t{4} << 30);
    EXPECT_EQ(host["ShmSize"].int_or(0), int64_t{2} << 30);
    EXPECT_EQ(host["NanoCpus"].int_or(0), 2'000'000'000);
    EXPECT_EQ(host["CpuShares"].int_or(0), 2048);
    spec.limits.shared_memory_bytes = uint64_t{1} << 20;
    host = host_config_of(spec, EngineKind::Docker, EngineTraits::Gpus::None);
    EXPECT_EQ(host["ShmSize"].int_or(0), 1 << 20);
}

TEST(ContainerSpec, PodmanGetsItsFilterAndMasksAsOptions) {
    EngineTraits traits;
    traits.kind = EngineKind::Podman;
    traits.seccomp_profile = "/state/seccomp.json";
    const auto host = container_body(gpu_spec(), 0, traits, HostContainer{}).value()["HostConfig"];
    EXPECT_THAT(host["SecurityOpt"].dump(), HasSubstr("seccomp=/state/seccomp.json"));
    EXPECT_THAT(host["SecurityOpt"].dump(), HasSubstr("mask=/proc/kpagecount"));
    EXPECT_FALSE(host.has("MaskedPaths"));
    const auto docker = host_config_of(gpu_spec(), EngineKind::Docker, EngineTraits::Gpus::None);
    EXPECT_THAT(docker["MaskedPaths"].dump(), HasSubstr("/proc/kpagecount"));
    EXPECT_THAT(docker["SecurityOpt"].dump(), Not(HasSubstr("seccomp")));
}

TEST(ContainerSpec, AnEntryPointOfTheRequestDropsTheImagesCommand) {
    auto spec = gpu_spec();
    const HostContainer container;
    auto body = container_body(spec, 0, EngineTraits{}, container).value();
    EXPECT_EQ(body["Entrypoint"].dump(), R"(["/train"])");
    EXPECT_EQ(body["Cmd"].dump(), R"(["of-the-image"])");
    spec.image->entrypoint = std::vector<std::string>{"/mine"};
    body = container_body(spec, 0, EngineTraits{}, container).value();
    EXPECT_EQ(body["Entrypoint"].dump(), R"(["/mine"])");
    EXPECT_EQ(body["Cmd"].dump(), "[]");
}

}  // namespace
}  // namespace millwright::executors
