#include "programs/server/config.h"

#include <gtest/gtest.h>

#include "base/files.h"

namespace millwright::programs {
namespace {

class ConfigTest : public testing::Test {
  protected:
    const std::string folder_ = testing::TempDir() + "config_test";
    void SetUp() override { ASSERT_TRUE(make_directories(folder_)); }
    void TearDown() override { ASSERT_TRUE(remove_tree(folder_)); }
    Result<Config> load(const std::string& text) {
        EXPECT_TRUE(write_file(folder_ + "/config.toml", text));
        return load_config(folder_);
    }
};

TEST_F(ConfigTest, WithoutAFileEverythingHasItsDefault) {
    const auto config = load_config(folder_);
    EXPECT_EQ(config->address, "127.0.0.1");
    EXPECT_EQ(config->port, 9770);
    EXPECT_EQ(config->data_dir, folder_);
}
TEST_F(ConfigTest, ReadsEverySetting) {
    const auto config = load(
        "[server]\nlisten = \"0.0.0.0:80\"\nlog_level = \"debug\"\n[s3]\ndomains = [\"s3.local\"]\n[identity]\nregion "
        "= \"eu-west-1\"\n"
        "lenient_roles = false\n[jobs]\nstrict_capacity = true\nstop_grace_seconds = 5\n[waiting]\nhold_seconds = "
        "0\n[network]\negress = \"all\"\nallow = [\"a.example\"]\n"
        "[environments]\nfolder = \"/e\"\n[file_systems]\nfs-01 = \"/data/x\"\n");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->address, "0.0.0.0");
    EXPECT_EQ(config->port, 80);
    EXPECT_EQ(config->log_level, "debug");
    EXPECT_EQ(config->s3_domains, std::vector<std::string>{"s3.local"});
    EXPECT_EQ(config->region, "eu-west-1");
    EXPECT_FALSE(config->lenient_roles);
    EXPECT_TRUE(config->strict_capacity);
    EXPECT_EQ(config->stop_grace.count(), 5);
    EXPECT_EQ(config->hold.count(), 0);
    EXPECT_EQ(config->egress, Egress::All);
    EXPECT_EQ(config->egress_allow, std::vector<std::string>{"a.example"});
    EXPECT_EQ(config->environments, "/e");
    EXPECT_EQ(config->file_systems.at("fs-01"), "/data/x");
}
TEST_F(ConfigTest, ReadsQuotas) {
    const auto config = load(
        "[quotas]\n\"ml.p3.2xlarge for training job usage\" = 2\n\"ml.m5.large for spot training job usage\" = 0\n"
        "jobs_per_user = 3\njobs_per_account = 9\nmax_runtime_seconds = 600\n");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->quotas.instances.at("ml.p3.2xlarge for training job usage"), 2);
    EXPECT_EQ(config->quotas.instances.at("ml.m5.large for spot training job usage"), 0);
    EXPECT_EQ(config->quotas.jobs_per_user, 3);
    EXPECT_EQ(config->quotas.jobs_per_account, 9);
    EXPECT_EQ(config->quotas.max_runtime.count(), 600);
    EXPECT_EQ(load("[quotas]\n\"ml.p3.3xlarge for training job usage\" = 2\n").error().message,
              "config.toml: quotas.ml.p3.3xlarge for training job usage: expected jobs_per_user, jobs_per_account, "
              "max_runtime_seconds or \"<instance type> for training job usage\"");
    EXPECT_EQ(load("[quotas]\njobs_per_user = -1\n").error().message,
              "config.toml: quotas.jobs_per_user: expected a number from 0");
}
TEST_F(ConfigTest, NamesWhatIsWrong) {
    EXPECT_EQ(load("[jobs]\nfast = true\n").error().message, "config.toml: unknown setting 'jobs.fast'");
    EXPECT_EQ(load("[jobs]\nstrict_capacity = 1\n").error().message,
              "config.toml: jobs.strict_capacity: expected true or false");
    EXPECT_EQ(load("[waiting]\nhold_seconds = 3600\n").error().message,
              "config.toml: waiting.hold_seconds: expected seconds from 0 to 50");
    EXPECT_EQ(load("[server]\nlisten = \"here:99999\"\n").error().message,
              "config.toml: server.listen: 'here:99999' is not HOST:PORT");
    EXPECT_EQ(load("[server]\nlisten = \":80\"\n").error().message,
              "config.toml: server.listen: ':80' is not HOST:PORT");
    EXPECT_EQ(load_config("").error().message, "the data directory has an empty name");
    EXPECT_EQ(load("[server]\nlog_level = \"loud\"\n").error().message,
              "config.toml: server.log_level: expected \"debug\", \"info\", \"warning\" or \"error\"");
    EXPECT_EQ(load("[network]\negress = \"some\"\n").error().message,
              "config.toml: network.egress: expected \"packages\", \"all\" or \"none\"");
    EXPECT_EQ(load("[file_systems]\nfs-01 = \"data\"\n").error().message,
              "config.toml: file_systems.fs-01: expected an absolute path");
    EXPECT_TRUE(load("[server\n").error().message.starts_with("config.toml, line 1: "));
}

TEST_F(ConfigTest, SpotAndKeptFiles) {
    const auto config = load(
        "[jobs]\nvcpus = 8\nkeep_failed = 2\nkeep_failed_gib = 3\n[spot]\nmean_seconds_between_interruptions = "
        "60\nseed = \"a\"\n"
        "billed_share = 0.25\n");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->vcpus, 8);
    EXPECT_EQ(config->keep_failed, 2u);
    EXPECT_EQ(config->keep_failed_bytes, uint64_t{3} << 30);
    EXPECT_EQ(config->spot.mean_between_interruptions.count(), 60);
    EXPECT_EQ(config->spot.seed, "a");
    EXPECT_EQ(config->spot.billed_share, 0.25);
    EXPECT_EQ(load("[spot]\nbilled_share = 0\n").error().message,
              "config.toml: spot.billed_share: expected a share above 0 and up to 1");
}

TEST_F(ConfigTest, TlsAndProxy) {
    const auto config = load(
        "[tls]\ncertificate = \"/c.pem\"\nkey = \"/k.pem\"\nnames = [\"models.example\"]\n"
        "[proxy]\nenabled = false\nallow = [\".example.org\"]\n");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->tls_certificate, "/c.pem");
    EXPECT_EQ(config->tls_key, "/k.pem");
    EXPECT_EQ(config->tls_names, std::vector<std::string>{"models.example"});
    EXPECT_FALSE(config->proxy_enabled);
    EXPECT_EQ(config->proxy_allow, std::vector<std::string>{".example.org"});
    EXPECT_TRUE(load("[tls]\ncertificate = \"own\"\n"));
    EXPECT_EQ(load("[tls]\ncertificate = \"cert.pem\"\n").error().message,
              "config.toml: tls.certificate: expected \"own\" or an absolute path");
    for (const char* half : {"[tls]\ncertificate = \"/c.pem\"\n", "[tls]\nkey = \"/k.pem\"\n",
                             "[tls]\ncertificate = \"own\"\nkey = \"/k.pem\"\n"})
        EXPECT_NE(load(half).error().message.find("tls.key"), std::string::npos) << half;
}

TEST_F(ConfigTest, ContainerEngineAndRegistries) {
    EXPECT_EQ(load("")->container_engine, ContainerEngineWish::Auto);
    const auto config = load(
        "[containers]\nengine = \"podman\"\nsocket = \"unix:///run/podman.sock\"\n"
        "[registries]\n\"registry.example:5000\" = { user = \"ann\", password_file = \"/p\" }\n");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->container_engine, ContainerEngineWish::Podman);
    EXPECT_EQ(config->container_socket, "/run/podman.sock");
    EXPECT_EQ(config->registries.at("registry.example:5000").user, "ann");
    EXPECT_EQ(config->registries.at("registry.example:5000").password_file, "/p");
    EXPECT_EQ(load("[containers]\nsocket = \"/a.sock\"\n")->container_socket, "/a.sock");
    EXPECT_EQ(load("[containers]\nengine = \"lxc\"\n").error().message,
              "config.toml: containers.engine: expected \"auto\", \"docker\", \"podman\" or \"none\"");
    EXPECT_EQ(load("[containers]\nsocket = \"tcp://1.2.3.4\"\n").error().message,
              "config.toml: containers.socket: expected an absolute path, or unix:// and one");
    for (const char* wrong : {"\"ann\"", "{ user = \"ann\" }", "{ user = \"ann\", password_file = \"p\" }",
                              "{ user = \"ann\", password_file = \"/p\", more = 1 }"})
        EXPECT_EQ(load(std::string("[registries]\n\"r.example\" = ") + wrong + "\n").error().message,
                  "config.toml: registries.r.example: expected { user = \"NAME\", password_file = \"/PATH\" }");
}

}  // namespace
}  // namespace millwright::programs
