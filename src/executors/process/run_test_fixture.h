// Test helper: real runs of /bin/sh. Where namespaces are not permitted the tests say so and are skipped.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/strings.h"
#include "executors/process/launch_spec.h"
#include "executors/process/process_executor.h"

namespace millwright::executors {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A socket of loopback that is bound and does not listen yet: nobody else gets its port, and connections are refused.
struct LoopbackSocket {
    LoopbackSocket() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in place{};
        place.sin_family = AF_INET;
        place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof place;
        EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&place), size), 0);
        EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&place), &size), 0);
        address = "127.0.0.1:" + std::to_string(ntohs(place.sin_port));
    }

    Fd fd;
    std::string address;
};

class RunRecorder : public RunListener {
  public:
    void run_started(const std::string&, Timestamp) override {
        MutexLock lock(mutex_);
        started_ = true;
        changed_.notify_all();
    }
    void run_ended(const std::string&, const RunOutcome& outcome) override {
        MutexLock lock(mutex_);
        ++ends_;
        outcome_ = outcome;
        changed_.notify_all();
    }
    bool await_start() {
        return await([&] { return started_; });
    }
    // A run without an end is reported as a launch that failed by the test.
    RunOutcome await_end() {
        if (await([&] { return ends_ > 0; })) return outcome_;
        RunOutcome none;
        none.cause = RunOutcome::Cause::LaunchFailed;
        none.message = "the test waited in vain";
        return none;
    }
    int ends() {
        MutexLock lock(mutex_);
        return ends_;
    }

  private:
    bool await(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + seconds(60);
        MutexLock lock(mutex_);
        while (!done())
            if (!changed_.wait_until(mutex_, deadline)) return done();
        return true;
    }

    Mutex mutex_;
    Condition changed_;
    bool started_ = false;
    int ends_ = 0;
    RunOutcome outcome_;
};

inline const Probe& machine() {
    static const Probe probe = [] {
        const auto result = probe_machine({MILLWRIGHT_LAUNCHER, testing::TempDir()});
        if (result) return *result;
        Probe none;
        none.missing = result.error().message;
        return none;
    }();
    return probe;
}

class RunTest : public testing::Test {
  protected:
    void SetUp() override {
        if (machine().tier == Tier::None) GTEST_SKIP() << "namespaces are not permitted here: " << machine().missing;
        base_ = testing::TempDir() + "/runs-" + system_random().hex(8);
        ASSERT_TRUE(make_directories(base_).has_value());
        executor_ = make();
    }
    void TearDown() override {
        for (const RunSpec& spec : specs_) executor_->clean_up(spec.id, spec.folder);
        executor_.reset();
        if (!base_.empty()) {
            EXPECT_TRUE(remove_tree(base_).has_value());
        }
    }
    static std::unique_ptr<Executor> make() {
        return make_process_executor({MILLWRIGHT_LAUNCHER, machine(), {"/work"}});
    }

    RunSpec script(const std::string& text, int hosts = 1) {
        RunSpec spec;
        spec.id = system_random().hex(16);
        spec.folder = base_ + "/" + spec.id;
        spec.hosts = hosts;
        spec.command = {"/bin/sh", "-c", text};
        spec.stop_grace = seconds(5);
        spec.limits.memory_bytes = uint64_t{256} << 20;
        EXPECT_TRUE(make_directories(spec.folder).has_value());
        for (int host = 0; host < hosts; ++host) {
            spec.log_files.push_back(spec.folder + "/" + host_name(host) + ".log");
            EXPECT_TRUE(make_directories(ml(spec, host)).has_value());
        }
        specs_.push_back(spec);
        return spec;
    }
    static std::string ml(const RunSpec& spec, int host = 0) { return spec.folder + "/" + host_name(host) + "/ml"; }
    RunOutcome run(const RunSpec& spec) {
        RunRecorder recorder;
        const auto started = executor_->start(spec, recorder);
        EXPECT_TRUE(started.has_value()) << started.error().message << started.error().detail;
        return started ? recorder.await_end() : RunOutcome{};
    }
    // The messages of a log file, one per line, as they are stored.
    static std::string log_of(const RunSpec& spec, int host = 0) {
        std::string out;
        const auto text = read_file(spec.log_files[static_cast<size_t>(host)]);
        if (!text) return out;
        for (const std::string_view line : split(*text, '\n'))
            if (line.find(' ') != std::string_view::npos) out += std::string(line.substr(line.find(' ') + 1)) + "\n";
        return out;
    }
    static bool await(const std::function<bool()>& done) {
        for (int i = 0; i < 3000 && !done(); ++i) std::this_thread::sleep_for(milliseconds(10));
        return done();
    }
    static std::string content(const std::string& path) { return read_file(path).value_or("<missing>"); }

    std::string base_;
    std::vector<RunSpec> specs_;
    std::unique_ptr<Executor> executor_;
};

}  // namespace millwright::executors
