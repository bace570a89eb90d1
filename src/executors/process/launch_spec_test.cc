#include "executors/process/launch_spec.h"

#include <gtest/gtest.h>

namespace millwright::executors {
namespace {

LaunchSpec full_spec() {
    LaunchSpec spec;
    spec.id = "0a1b";
    spec.folder = "/data/jobs/0a1b";
    spec.hosts = 2;
    spec.user_namespace = spec.overlay = spec.isolated = true;
    spec.forward_to = "127.0.0.1:9770";
    spec.command = {"/bin/sh", "-c", "echo two\nlines", ""};
    spec.environment = {"A=1", "B=line\nline=2"};
    spec.image_layers = {"/images/layers/a b/root", "/images/layers/b/root"};
    spec.user = "1000:shared";
    spec.served_port = 8080;
    spec.mounts = {{'r', "/a b", "/opt/ml/input", false, {1}}, {'o', "/c:d,e", "/opt/ml/model"}};
    spec.log_files = {"/l/1", "/l/2"};
    spec.hidden = {"/data"};
    spec.control_groups.parents = {{"/sys/fs/cgroup/cpu,cpuacct/millwright", "cpu,cpuacct", 1},
                                   {"/sys/fs/cgroup/x/millwright", "memory pids", 1}};
    spec.limits = {{1.5, uint64_t{5} << 30, 77, 12345}, {0.25, uint64_t{1} << 30, 0, 1}};
    spec.egress_socket = "/data/egress";
    spec.working_folder = "/opt/ml/code";
    spec.companions = {{"/bin/feeder", "a b"}, {"/bin/other"}};
    spec.max_disk_bytes = uint64_t{30} << 30;
    spec.disk_reserve_bytes = 7;
    spec.max_log_bytes = 8;
    spec.max_runtime_s = 60;
    spec.stop_grace_s = 30;
    return spec;
}

TEST(LaunchSpec, ReadsBackWhatWasWritten) {
    const LaunchSpec spec = full_spec();
    const auto back = decode_launch_spec(encode_launch_spec(spec));
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_EQ(encode_launch_spec(*back), encode_launch_spec(spec));
    EXPECT_EQ(back->command, spec.command);
    EXPECT_EQ(back->environment, spec.environment);
    EXPECT_EQ(back->mounts[1].source, "/c:d,e");
    EXPECT_FALSE(back->mounts[0].through_links);
    EXPECT_FALSE(back->mounts[0].is_on(0));
    EXPECT_TRUE(back->mounts[0].is_on(1));
    EXPECT_TRUE(back->mounts[1].is_on(0) && back->mounts[1].through_links);
    EXPECT_EQ(back->control_groups.parents[1].controllers, "memory pids");
    EXPECT_DOUBLE_EQ(back->limits_of(0).cpus, 1.5);
    EXPECT_EQ(back->limits_of(1).memory_bytes, uint64_t{1} << 30);
    EXPECT_EQ(back->companions, spec.companions);
    EXPECT_EQ(back->image_layers, spec.image_layers);
    EXPECT_EQ(back->user, spec.user);
    EXPECT_EQ(back->served_port, 8080);
    EXPECT_EQ(back->working_folder, "/opt/ml/code");
    EXPECT_EQ(back->max_log_bytes, 8u);
    EXPECT_TRUE(back->isolated);
}

TEST(LaunchSpec, RefusesEveryTruncation) {
    const std::string text = encode_launch_spec(full_spec());
    for (size_t size = 0; size < text.size(); ++size)
        EXPECT_FALSE(decode_launch_spec(text.substr(0, size)).has_value()) << size;
}

TEST(LaunchSpec, RefusesUnknownKeysAndVersions) {
    std::string text = encode_launch_spec(full_spec());
    text.insert(text.find("folder"), std::string("colour\0red\0", 11));
    EXPECT_FALSE(decode_launch_spec(text).has_value());
    text = encode_launch_spec(full_spec());
    text[18] = '3';
    EXPECT_FALSE(decode_launch_spec(text).has_value());
}

TEST(LaunchSpec, ReadsTheVersionBeforeForWhoCleansUp) {
    std::string text("millwright-launch 1");
    for (const char* field : {"id",
                              "a",
                              "folder",
                              "/f",
                              "hosts",
                              "2",
                              "argument",
                              "x",
                              "mount",
                              "r/a\n/b",
                              "log_file",
                              "1",
                              "log_file",
                              "2",
                              "milli_cpus",
                              "1000",
                              "memory_bytes",
                              "1",
                              "max_processes",
                              "1",
                              "shared_memory_bytes",
                              "1",
                              "max_runtime_s",
                              "-1",
                              "stop_grace_s",
                              "5",
                              "end"})
        text += std::string(1, '\0') + field;
    text += '\0';
    const auto old = decode_launch_spec(text);
    ASSERT_TRUE(old.has_value()) << old.error().message;
    EXPECT_EQ(old->version, 1);
    EXPECT_EQ(old->hosts, 2);
    EXPECT_EQ(old->mounts.size(), 1u);
}

TEST(ControlGroups, FindsControllersByWholeWords) {
    ControlGroups groups;
    groups.parents = {{"/a", "cpu,cpuacct", 1}, {"/b", "cpuset", 1}};
    EXPECT_TRUE(groups.has("cpu"));
    EXPECT_TRUE(groups.has("cpuset"));
    EXPECT_FALSE(groups.has("set"));
    EXPECT_FALSE(groups.has("memory"));
}

}  // namespace
}  // namespace millwright::executors
