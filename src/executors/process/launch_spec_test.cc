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
    spec.mounts = {{'r', "/a b", "/opt/ml/input"}, {'o', "/c:d,e", "/opt/ml/model"}};
    spec.log_files = {"/l/1", "/l/2"};
    spec.hidden = {"/data"};
    spec.control_groups.parents = {{"/sys/fs/cgroup/cpu,cpuacct/millwright", "cpu,cpuacct", 1},
                                   {"/sys/fs/cgroup/x/millwright", "memory pids", 1}};
    spec.cpus = 1.5;
    spec.memory_bytes = uint64_t{5} << 30;
    spec.max_processes = 77;
    spec.shared_memory_bytes = 12345;
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
    EXPECT_EQ(back->control_groups.parents[1].controllers, "memory pids");
    EXPECT_DOUBLE_EQ(back->cpus, 1.5);
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
    text[18] = '2';
    EXPECT_FALSE(decode_launch_spec(text).has_value());
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
