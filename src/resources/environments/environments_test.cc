// Real builds in real runs, from tiny wheels made here; no network. Skipped where namespaces are not permitted.
#include "resources/environments/environments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/event_file.h"
#include "base/files.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/strings.h"
#include "executors/process/process_executor.h"
#include "resources/environments/environment_build.h"
#include "resources/environments/package_index.h"
#include "resources/environments/recipes.h"

namespace millwright::resources {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::HasSubstr;

// argv: folder, then name==version…; each becomes a wheel with one module and one script.
constexpr const char* kMakeWheels = R"(import sys, zipfile
for pin in sys.argv[2:]:
    name, version = pin.split("==")
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    with zipfile.ZipFile(f"{sys.argv[1]}/{module}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{module}.py", f"VERSION = '{version}'\ndef main(): print('{name}', VERSION)\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\nsay-{module} = {module}:main\n")
        wheel.writestr(f"{info}/RECORD", "")
)";

const EnvironmentWish kPython{{.framework = "python"}, ""};
const EnvironmentWish kTiny{{.framework = "python"}, "tiny==1.0  # small\n"};

const executors::Probe& machine() {
    static const executors::Probe probe = [] {
        const auto result = executors::probe_machine({MILLWRIGHT_LAUNCHER, testing::TempDir()});
        if (result) return *result;
        executors::Probe none;
        none.missing = result.error().message;
        return none;
    }();
    return probe;
}

std::string_view pins_of_python() {
    for (const Recipe& recipe : recipes())
        if (recipe.framework == "python") return recipe.pins;
    return "";
}

class Ends : public executors::RunListener {
  public:
    void run_started(const std::string&, Timestamp) override { notify(started_); }
    void run_ended(const std::string&, const executors::RunOutcome& outcome) override {
        exit_code = outcome.hosts.empty() ? -1 : outcome.hosts[0].exit_code;
        notify(ended_);
    }
    bool wait_started() { return wait(started_); }
    bool wait_ended() { return wait(ended_); }
    int exit_code = -1;

  private:
    void notify(bool& what) {
        const MutexLock lock(mutex_);
        what = true;
        changed_.notify_all();
    }
    bool wait(const bool& what) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        const MutexLock lock(mutex_);
        while (!what)
            if (!changed_.wait_until(mutex_, deadline)) break;
        return what;
    }
    Mutex mutex_;
    Condition changed_;
    bool started_ = false, ended_ = false;
};

// The folder with the environment of plain Python in it, made once for all tests.
class EnvironmentsTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (const char* folder = std::getenv("MILLWRIGHT_TEST_BUILD_IN"); folder != nullptr) {
            root_ = folder;
            return;
        }
        root_ = testing::TempDir() + "/environments-" + system_random().hex(8);
        ASSERT_TRUE(make_directories(root_ + "/wheels").has_value());
        std::vector<std::string> arguments = {kSystemPython, "-c",        kMakeWheels, root_ + "/wheels",
                                              "tiny==1.0",   "tiny==2.0", "other==1.0"};
        for (const std::string_view pin : split(pins_of_python(), ' ')) arguments.emplace_back(pin);
        const auto made = output_of(arguments);
        ASSERT_TRUE(made.has_value()) << made.error().detail;
        setenv("PIP_CONFIG_FILE", "/dev/null", 1);
        setenv("PIP_NO_INDEX", "1", 1);
        setenv("PIP_FIND_LINKS", (root_ + "/wheels").c_str(), 1);
    }
    static void TearDownTestSuite() {
        if (std::getenv("MILLWRIGHT_TEST_BUILD_IN") != nullptr) return;
        EXPECT_TRUE(remove_tree(root_).has_value());
    }

    void SetUp() override {
        if (machine().tier == executors::Tier::None) GTEST_SKIP() << machine().missing;
        executor_ = executors::make_process_executor({MILLWRIGHT_LAUNCHER, machine(), {}});
        auto opened = Environments::open(
            {.folder = root_ + "/environments", .egress_socket = "", .run_folders = {root_ + "/runs"}}, *executor_);
        ASSERT_TRUE(opened.has_value()) << opened.error().message;
        environments_ = std::move(*opened);
    }

    Result<Environment> provide(const EnvironmentWish& wish) {
        return environments_->provide(wish, stop_, [this](const std::string& line) {
            const MutexLock lock(mutex_);
            lines_.push_back(line);
        });
    }
    std::vector<std::string> lines() {
        const MutexLock lock(mutex_);
        return lines_;
    }

    executors::RunSpec run_with(const Environment& environment, const std::string& code) {
        executors::RunSpec spec;
        spec.id = system_random().hex(32);
        spec.folder = root_ + "/runs/" + spec.id;
        EXPECT_TRUE(make_directories(spec.folder + "/algo-1/ml").has_value());
        spec.command = {"/bin/sh", "-c", code};
        spec.environment = environment.variables;
        spec.environment["PATH"] = environment.prefix + "/bin:/usr/bin:/bin";
        spec.mounts = environment.mounts;
        spec.log_files = {spec.folder + "/log"};
        return spec;
    }

    // What `code`, a shell command, says in a run with the environment.
    std::string said(const Environment& environment, const std::string& code) {
        const auto spec = run_with(environment, code);
        Ends ends;
        const auto started = executor_->start(spec, ends);
        if (!started) return started.error().message;
        EXPECT_TRUE(ends.wait_ended());
        std::string text;
        const auto events = read_events(spec.log_files[0], 0, 1000, 1 << 20);
        if (events)
            for (const LogEvent& event : *events) text += event.message + "\n";
        executor_->clean_up(spec.id, spec.folder);
        EXPECT_TRUE(remove_tree(spec.folder).has_value());
        return text;
    }

    std::vector<std::string> names_in_folder() {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(root_ + "/environments"))
            names.push_back(entry.path().filename().string());
        return names;
    }

    static inline std::string root_;
    std::unique_ptr<executors::Executor> executor_;
    std::unique_ptr<Environments> environments_;
    std::atomic<bool> stop_{false};
    Mutex mutex_;
    std::vector<std::string> lines_ GUARDED_BY(mutex_);
};

TEST_F(EnvironmentsTest, IsBuiltOnceFoundAfterwardsAndRunsWithItsPackages) {
    EXPECT_EQ(environments_->find(kPython).error().kind, ErrorKind::NotFound);
    const auto first = provide(kPython);
    ASSERT_TRUE(first.has_value()) << first.error().message << first.error().detail;
    EXPECT_THAT(lines(), Contains(HasSubstr("Building the environment Python 3.")));
    EXPECT_THAT(lines(), Contains(HasSubstr("Installing")));
    EXPECT_EQ(said(*first, "python -c 'import numpy, sys; print(numpy.VERSION, sys.prefix)'"),
              std::string("2.4.6 ") + first->prefix + "\n");
    EXPECT_EQ(said(*first, "say-numpy; test -w $(command -v say-numpy) || echo read-only"), "numpy 2.4.6\n");

    lines_.clear();
    EXPECT_TRUE(provide(kPython).has_value());
    EXPECT_TRUE(lines().empty());
    EXPECT_TRUE(environments_->find(kPython).has_value());

    struct stat status {};
    ASSERT_EQ(stat((first->mounts[0].source + "/bin/say-numpy").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0222, 0u);
    bool listed = false;
    for (const EnvironmentInfo& info : environments_->list())
        if (info.choice.id == first->choice.id) {
            listed = true;
            EXPECT_EQ(info.state, "ready");
            EXPECT_GT(info.bytes, 1'000'000u);
            EXPECT_THAT(info.packages, Contains("numpy==2.4.6"));
        }
    EXPECT_TRUE(listed);
}

TEST_F(EnvironmentsTest, RequirementsComeOnTopAndAreInstalledOnce) {
    const auto derived = provide(kTiny);
    ASSERT_TRUE(derived.has_value()) << derived.error().message << derived.error().detail;
    EXPECT_EQ(derived->mounts.size(), 2u);
    EXPECT_EQ(said(*derived, "python -c 'import tiny, numpy; print(tiny.VERSION, numpy.VERSION)'"), "1.0 2.4.6\n");
    // Scripts of the base see what lies on top, and pip sees what lies below.
    EXPECT_EQ(said(*derived, "say-tiny; head -1 $(command -v say-numpy); say-numpy"),
              "tiny 1.0\n#!" + derived->prefix + "/bin/python3\nnumpy 2.4.6\n");
    EXPECT_THAT(said(*derived, "python -m pip install -q --no-index numpy tiny && echo satisfied"), "satisfied\n");

    lines_.clear();
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_TRUE(provide({{.framework = "python"}, "# the same\ntiny==1.0"}).has_value());
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
    EXPECT_TRUE(lines().empty());
}

TEST_F(EnvironmentsTest, AJobMayInstallAndNothingOfItStays) {
    const auto environment = provide(kPython);
    ASSERT_TRUE(environment.has_value()) << environment.error().message;
    if (!machine().overlay) GTEST_SKIP() << "no overlayfs here";
    auto spec = run_with(*environment, "");
    EXPECT_EQ(
        said(*environment, "touch $VIRTUAL_ENV/x && rm -r $VIRTUAL_ENV/lib/python3*/site-packages/numpy* && echo done"),
        "done\n");
    EXPECT_EQ(said(*environment, "ls $VIRTUAL_ENV/x 2>/dev/null; say-numpy"), "numpy 2.4.6\n");
}

TEST_F(EnvironmentsTest, PipsOwnWordsSayWhatCannotBeInstalled) {
    const auto missing = provide({{.framework = "python"}, "no-such-package-here>=1"});
    ASSERT_FALSE(missing.has_value());
    EXPECT_EQ(missing.error().kind, ErrorKind::InvalidInput);
    EXPECT_THAT(missing.error().message, HasSubstr("No matching distribution found for no-such-package-here>=1"));
    EXPECT_THAT(missing.error().message, HasSubstr("requirements.txt"));
    EXPECT_THAT(missing.error().message, HasSubstr("network.egress"));  // there is none in this test
    const auto wrong = provide({{.framework = "python"}, "not a requirement"});
    ASSERT_FALSE(wrong.has_value());
    EXPECT_THAT(wrong.error().message, HasSubstr("Invalid requirement: 'not a requirement'"));
    EXPECT_THAT(provide({{.framework = "python"}, "-e ."}).error().message, HasSubstr("-e ."));
    for (const std::string& name : names_in_folder()) EXPECT_THAT(name, testing::Not(HasSubstr("partial")));
}

TEST_F(EnvironmentsTest, TwoWhoWantTheSameShareOneBuild) {
    const EnvironmentWish wish{{.framework = "python"}, "other==1.0"};
    ASSERT_TRUE(provide(kPython).has_value());
    lines_.clear();
    {
        const std::jthread second([&] { EXPECT_TRUE(provide(wish).has_value()); });
        EXPECT_TRUE(provide(wish).has_value());
    }
    const auto said_lines = lines();
    EXPECT_EQ(std::count_if(said_lines.begin(), said_lines.end(),
                            [](const std::string& line) { return line.starts_with("Building the environment"); }),
              1);
}

TEST_F(EnvironmentsTest, ABuildCanBeStopped) {
    const EnvironmentWish wish{{.framework = "python"}, "tiny==2.0\nother"};
    ASSERT_TRUE(provide(kPython).has_value());
    const auto stopped = environments_->provide(wish, stop_, [this](const std::string& line) {
        if (line.starts_with("Making")) stop_ = true;
    });
    ASSERT_FALSE(stopped.has_value());
    EXPECT_EQ(stopped.error().kind, ErrorKind::Conflict);
    for (const std::string& name : names_in_folder()) EXPECT_THAT(name, testing::Not(HasSubstr("partial")));
    stop_ = false;
    EXPECT_TRUE(provide(wish).has_value());
}

// What the next test runs in a process of its own.
TEST_F(EnvironmentsTest, ChildBuilds) {
    if (std::getenv("MILLWRIGHT_TEST_BUILD_IN") == nullptr) GTEST_SKIP() << "a part of the next test";
    EXPECT_TRUE(provide({{.framework = "python"}, "tiny==2.0"}).has_value());
}

TEST_F(EnvironmentsTest, ABuildWhoseProcessWasKilledIsTakenOver) {
    const EnvironmentWish wish{{.framework = "python"}, "tiny==2.0"};
    ASSERT_TRUE(provide(kPython).has_value());
    setenv("MILLWRIGHT_TEST_BUILD_IN", root_.c_str(), 1);
    const char* argv[] = {"/proc/self/exe", "--gtest_filter=EnvironmentsTest.ChildBuilds", nullptr};
    pid_t pid = 0;
    const int spawned = posix_spawn(&pid, argv[0], nullptr, nullptr, const_cast<char**>(argv), environ);
    unsetenv("MILLWRIGHT_TEST_BUILD_IN");
    ASSERT_EQ(spawned, 0);
    const std::string partial = root_ + "/environments/" + environments_->choose(wish)->id + ".partial";
    for (int i = 0; i < 6000 && !file_exists(partial + "/log"); ++i) std::this_thread::sleep_for(milliseconds(10));
    ::kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it was too quick to be killed";
    EXPECT_EQ(environments_->find(wish).error().kind, ErrorKind::NotFound);
    const std::string run = *read_file(partial + "/run-id");

    lines_.clear();
    const auto taken = provide(wish);
    ASSERT_TRUE(taken.has_value()) << taken.error().message;
    EXPECT_EQ(said(*taken, "say-tiny"), "tiny 2.0\n");
    EXPECT_THAT(lines(), Contains("Making a virtual environment"));
    EXPECT_FALSE(file_exists(partial));
    EXPECT_FALSE(run.empty());
}

TEST_F(EnvironmentsTest, IsNotRemovedUnderARunAndTakesDerivedOnesAlong) {
    const auto derived = provide(kTiny);
    ASSERT_TRUE(derived.has_value());
    const auto spec = run_with(*derived, "sleep 60");
    Ends ends;
    ASSERT_TRUE(executor_->start(spec, ends).has_value());
    ASSERT_TRUE(ends.wait_started());
    EXPECT_EQ(environments_->remove(derived->choice.id).error().kind, ErrorKind::Conflict);
    EXPECT_EQ(environments_->remove("python").error().kind, ErrorKind::Conflict);
    ASSERT_TRUE(executor_->kill(spec.id).has_value());
    ASSERT_TRUE(ends.wait_ended());
    executor_->clean_up(spec.id, spec.folder);

    const auto removed = environments_->remove("python");
    EXPECT_TRUE(removed.has_value()) << removed.error().message;
    EXPECT_EQ(environments_->find(kPython).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(environments_->find(kTiny).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(environments_->remove("python").error().kind, ErrorKind::NotFound);
}

TEST_F(EnvironmentsTest, WhatWasCutShortLongAgoIsClearedAway) {
    const std::string folder = root_ + "/leftovers";
    for (const char* name : {"/trash-01/tree", "/aa.partial/tree", "/bb.partial/tree"})
        ASSERT_TRUE(make_directories(folder + name).has_value());
    std::filesystem::last_write_time(folder + "/aa.partial",
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(25));
    EXPECT_TRUE(Environments::open({.folder = folder, .egress_socket = ""}, *executor_).has_value());
    EXPECT_FALSE(file_exists(folder + "/trash-01"));
    EXPECT_FALSE(file_exists(folder + "/aa.partial"));
    EXPECT_TRUE(file_exists(folder + "/bb.partial"));
}

TEST(EnvironmentNames, AreFrameworksVersionsAndImages) {
    EXPECT_EQ(image_of_environment_name("pytorch")->framework, "pytorch");
    EXPECT_EQ(image_of_environment_name("tensorflow-2.15")->version, "2.15");
    EXPECT_EQ(image_of_environment_name("scikit-learn-1.2")->framework, "scikit-learn");
    EXPECT_EQ(image_of_environment_name("x/pytorch-training:2.0.0-gpu-py310")->version, "2.0.0");
    EXPECT_THAT(image_of_environment_name("caffe").error().message, HasSubstr("mxnet-1.9.1"));
}

TEST(PackageIndexes, SettingsOfPipBecomeVariablesMountsAndHosts) {
    const auto index = read_package_index(*Json::parse(R"({"python": "3.11", "machine": "x86_64",
        "index": "https://index.example/simple", "files": "files.example",
        "configuration": [["global.extra-index-url", "file:///usr/share/x https://me:secret@More.example:8443/simple"],
                          ["global.find-links", "/opt/wheels\n/proc/self"], ["install.pre", "true"],
                          ["global.timeout", "10"], [":env:.timeout", "20"], ["global.proxy", "http://proxy:1"],
                          ["global.cert", "/etc/hostname"], ["list.format", "json"], ["global.target", "/x"]]})"));
    EXPECT_THAT(index.hosts, testing::ElementsAre("files.example", "index.example", "more.example:8443"));
    EXPECT_EQ(index.variables.at("PIP_TIMEOUT"), "20");
    EXPECT_EQ(index.variables.at("PIP_PRE"), "true");
    EXPECT_EQ(index.variables.at("PIP_CERT"), kCertificateInside);
    EXPECT_EQ(index.certificate, "/etc/hostname");
    EXPECT_FALSE(index.variables.contains("PIP_PROXY"));
    EXPECT_FALSE(index.variables.contains("PIP_TARGET"));
    EXPECT_FALSE(index.variables.contains("PIP_FORMAT"));
    ASSERT_EQ(index.mounts.size(), 1u);  // what lies below /opt and /usr is seen anyway
    EXPECT_EQ(index.mounts[0].source, "/proc/self");
}

TEST(PackageIndexes, AMirrorTakesThePlaceOfTheCommonIndex) {
    const auto index = read_package_index(*Json::parse(R"({"index": "https://index.example/simple",
        "files": "files.example", "configuration": [["global.index-url", "http://mirror.example:3141/root"]]})"));
    EXPECT_THAT(index.hosts, testing::ElementsAre("mirror.example:3141"));
}

}  // namespace
}  // namespace millwright::resources
