// Test helper: runs with an image. The image is a skeleton; programs come from the machine's /usr, which is mounted
// into it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "executors/process/run_test_fixture.h"

namespace millwright::executors {

enum class Way { AsProbed, Copies, UserNamespace, NoImage };

class ImageRunTest : public RunTest, public testing::WithParamInterface<Way> {
  protected:
    void SetUp() override {
        RunTest::SetUp();
        if (IsSkipped()) return;
        Probe probe = machine();
        if (GetParam() == Way::Copies) probe.overlay = false;
        if (GetParam() == Way::AsProbed && !probe.overlay) GTEST_SKIP() << "overlayfs is refused here";
        if (GetParam() == Way::UserNamespace) {
            if (probe.tier == Tier::T1) GTEST_SKIP() << "that is how it is probed";
            probe.tier = Tier::T1;
        }
        executor_ = make_process_executor({MILLWRIGHT_LAUNCHER, probe, {"/work"}});
    }

    // An empty layer; `place()` fills it.
    std::string layer(const std::string& name) {
        const std::string root = base_ + "/layers/" + name + "/root";
        EXPECT_TRUE(make_directories(root).has_value());
        EXPECT_TRUE(write_file(base_ + "/layers/" + name + "/lock", "").has_value());
        return root;
    }
    static void place(const std::string& root, const std::string& path, const std::string& content) {
        const size_t slash = path.rfind('/');
        if (slash != std::string::npos) {
            EXPECT_TRUE(make_directories(root + "/" + path.substr(0, slash)).has_value());
        }
        EXPECT_TRUE(write_file(root + "/" + path, content).has_value());
    }
    static void link(const std::string& root, const std::string& path, const std::string& target) {
        EXPECT_EQ(symlink(target.c_str(), (root + "/" + path).c_str()), 0);
    }
    static void white_out(const std::string& root, const std::string& path) {
        EXPECT_EQ(mknod((root + "/" + path).c_str(), S_IFCHR, makedev(0, 0)), 0);
    }
    static void hide_below(const std::string& root, const std::string& path) {
        EXPECT_EQ(setxattr((root + "/" + path).c_str(), "user.overlay.opaque", "y", 1, 0), 0);
    }
    std::string skeleton() {
        const std::string root = layer("skeleton");
        for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
            char target[256];
            const ssize_t size = readlink((std::string("/") + name).c_str(), target, sizeof target);
            if (size > 0) link(root, name, std::string(target, static_cast<size_t>(size)));
        }
        place(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        place(root, "opt/ml/code/baked", "in the image\n");
        place(root, "marker", "skeleton\n");
        return root;
    }
    RunSpec image_script(const std::string& text, const std::vector<std::string>& more_layers = {}, int hosts = 1) {
        RunSpec spec = script(text, hosts);
        spec.image.emplace();
        spec.image->reference = "test/image:1";
        if (skeleton_.empty()) skeleton_ = skeleton();
        spec.image->layers = {skeleton_};
        spec.image->layers.insert(spec.image->layers.end(), more_layers.begin(), more_layers.end());
        spec.mounts.push_back({"/usr", "/usr", Mount::Mode::ReadOnly});
        for (int host = 0; host < hosts; ++host)
            for (const char* name : {"input", "model", "output"})
                EXPECT_TRUE(make_directories(ml(spec, host) + "/" + name).has_value());
        return spec;
    }
    std::string output_of(const RunSpec& spec) {
        const RunOutcome outcome = run(spec);
        EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited) << outcome.message;
        if (outcome.hosts.size() == 1) {
            EXPECT_EQ(outcome.hosts[0].exit_code, 0) << log_of(spec);
        }
        return log_of(spec);
    }

    std::string skeleton_;
};

inline std::string name_of_way(const testing::TestParamInfo<Way>& way) {
    const char* names[] = {"AsProbed", "Copies", "UserNamespace", "NoImage"};
    return names[static_cast<size_t>(way.param)];
}

}  // namespace millwright::executors
