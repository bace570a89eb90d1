// Spares: real runs that stand ready before they have work, with /bin/sh in the place of the interpreter.
#include <gtest/gtest.h>
#include <signal.h>

#include <functional>
#include <thread>

#include "base/event_file.h"
#include "base/files.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/strings.h"
#include "executors/process/launch_spec.h"
#include "executors/process/process_executor.h"
#include "executors/process/run_folder.h"

namespace millwright::executors {
namespace {

using std::chrono::milliseconds;
using Cause = RunOutcome::Cause;

class Recorder : public RunListener {
  public:
    void run_started(const std::string&, Timestamp) override {}
    void run_ended(const std::string&, const RunOutcome& outcome) override {
        MutexLock lock(mutex_);
        outcome_ = outcome;
        changed_.notify_all();
    }
    RunOutcome await_end() {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        MutexLock lock(mutex_);
        while (!outcome_ && changed_.wait_until(mutex_, deadline)) continue;
        if (outcome_) return *outcome_;
        ADD_FAILURE() << "the run did not end";
        return {};
    }
    bool has_ended() {
        MutexLock lock(mutex_);
        return outcome_.has_value();
    }

  private:
    Mutex mutex_;
    Condition changed_;
    std::optional<RunOutcome> outcome_ GUARDED_BY(mutex_);
};

const Probe& machine() {
    static const Probe probe = [] {
        const auto result = probe_machine({MILLWRIGHT_LAUNCHER, testing::TempDir()});
        return result ? *result : Probe{};
    }();
    return probe;
}

class SpareTest : public testing::Test {
  protected:
    void SetUp() override {
        if (machine().tier == Tier::None) GTEST_SKIP() << "namespaces are not permitted here: " << machine().missing;
        folder_ = testing::TempDir() + "/spare-" + system_random().hex(8);
        ASSERT_TRUE(make_directories(folder_).has_value());
        executor_ = make();
    }
    void TearDown() override {
        if (folder_.empty()) return;
        EXPECT_TRUE(executor_->end_leftover(folder_).has_value());
        executor_->clean_up("spare", folder_);
        executor_.reset();  // its thread calls the listener
        EXPECT_TRUE(remove_tree(folder_).has_value());
    }
    static std::unique_ptr<Executor> make() {
        return make_process_executor({.launcher = MILLWRIGHT_LAUNCHER, .probe = machine(), .hidden_paths = {}});
    }
    RunSpec spec(const std::string& script) const {
        RunSpec spec;
        spec.id = "spare";
        spec.folder = folder_;
        spec.command = {"/bin/sh", "-c", script};
        spec.limits.memory_bytes = uint64_t{256} << 20;
        spec.stop_grace = std::chrono::seconds(2);
        spec.log_files = {folder_ + "/log"};
        return spec;
    }
    RunSpec work(const std::string& script) const {
        RunSpec work = spec(script);
        work.on_spare = true;
        return work;
    }
    void stand_ready(const std::string& script = "exec sleep 1000") {
        const auto started = executor_->start_spare(spec(script), pool_);
        ASSERT_TRUE(started.has_value()) << started.error().message;
    }
    std::string log() const {
        std::string out;
        const auto text = read_file(folder_ + "/log");
        if (!text) return out;
        for (const std::string_view line : split(*text, '\n'))
            if (line.find(' ') != std::string_view::npos) out += std::string(line.substr(line.find(' ') + 1)) + "\n";
        return out;
    }
    // What the spare's own command wrote to its /tmp.
    std::string scratch(const std::string& name) const {
        const std::string path = folder_ + "/algo-1/scratch/tmp/" + name;
        for (int i = 0; i < 3000 && !file_exists(path); ++i) std::this_thread::sleep_for(milliseconds(10));
        return read_file(path).value_or("<missing>");
    }

    std::string folder_;
    std::unique_ptr<Executor> executor_;
    Recorder pool_, job_;
};

TEST_F(SpareTest, GetsItsWorkWithItsMountsEnvironmentAndLog) {
    stand_ready();
    ASSERT_TRUE(make_directories(folder_ + "/shared/data").has_value());
    ASSERT_TRUE(write_file(folder_ + "/shared/data/x", "from the channel\n").has_value());
    ASSERT_TRUE(make_directories(folder_ + "/algo-1/ml/input").has_value());
    ASSERT_TRUE(write_file(folder_ + "/algo-1/ml/input/y", "from the contract\n").has_value());
    RunSpec work = this->work(
        "cat /opt/ml/input/data/x /opt/ml/input/y; echo changed > /opt/ml/input/data/x; echo $WHO; pwd; mkdir "
        "/opt/ml/model; echo m > /opt/ml/model/m; exit 3");
    work.environment["WHO"] = "second";
    work.mounts = {{folder_ + "/shared/data", "/opt/ml/input/data", Mount::Mode::Overlay}};
    ASSERT_TRUE(executor_->start(work, job_).has_value());
    const RunOutcome outcome = job_.await_end();
    EXPECT_EQ(outcome.cause, Cause::Exited) << outcome.message;
    ASSERT_EQ(outcome.hosts.size(), 1u);
    EXPECT_EQ(outcome.hosts[0].exit_code, 3);
    EXPECT_NE(outcome.started, Timestamp{});
    EXPECT_EQ(log(), "from the channel\nfrom the contract\nsecond\n/opt/ml\n");
    EXPECT_EQ(read_file(folder_ + "/shared/data/x").value_or(""), "from the channel\n");
    EXPECT_EQ(read_file(folder_ + "/algo-1/ml/model/m").value_or(""), "m\n");
    EXPECT_FALSE(pool_.has_ended());
}

TEST_F(SpareTest, HasNeitherThePrivilegesOfItsInitNorTheFolderOfTheWork) {
    ASSERT_TRUE(make_directories(folder_ + "/algo-1/ml").has_value());
    ASSERT_TRUE(write_file(folder_ + "/algo-1/ml/secret", "x").has_value());
    stand_ready(
        "cd /tmp; { ls -A /opt/ml; grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status; mount -t tmpfs t /mnt; ls "
        "/proc/1/root/; for fd in /proc/1/fd/*; do ls $fd/; cat $fd; done; ls " +
        folder_ + "; } > report.new 2>/dev/null; mv report.new report; exec sleep 1000");
    EXPECT_EQ(scratch("report"), "CapEff:\t00000000000004fb\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST_F(SpareTest, LivesBesideItsWorkAndIsGoneWithIt) {
    stand_ready("cd /tmp; mkfifo ask; touch ready; read word < ask; echo got $word > answer; exec sleep 1000");
    ASSERT_EQ(scratch("ready"), "");
    ASSERT_TRUE(
        executor_
            ->start(work("echo hello > /tmp/ask; while [ ! -s /tmp/answer ]; do sleep 0.01; done; cat /tmp/answer"),
                    job_)
            .has_value());
    EXPECT_EQ(job_.await_end().hosts.at(0).exit_code, 0);
    EXPECT_EQ(log(), "got hello\n");
    EXPECT_FALSE(owner_of_run(folder_).has_value());
}

TEST_F(SpareTest, EndsUnusedWhenItIsKilledOrWhatStandsReadyEnds) {
    stand_ready();
    ASSERT_TRUE(executor_->kill("spare").has_value());
    RunOutcome outcome = pool_.await_end();
    EXPECT_EQ(outcome.cause, Cause::Lost);
    EXPECT_EQ(outcome.started, Timestamp{});
    // Work that comes too late is told so, and may begin elsewhere.
    ASSERT_TRUE(executor_->start(work("echo never"), job_).has_value());
    outcome = job_.await_end();
    EXPECT_EQ(outcome.cause, Cause::Lost);
    EXPECT_EQ(outcome.started, Timestamp{});
    EXPECT_EQ(log(), "");
}

TEST_F(SpareTest, EndsWhenItsInterpreterEnds) {
    stand_ready("exit 0");
    EXPECT_EQ(pool_.await_end().cause, Cause::Lost);
}

TEST_F(SpareTest, EndsWhenItsInterpreterCannotBeExecuted) {
    RunSpec bad = spec("");
    bad.command = {"/usr/bin/there-is-no-such-program"};
    ASSERT_TRUE(executor_->start_spare(bad, pool_).has_value());
    EXPECT_EQ(pool_.await_end().cause, Cause::Lost);
}

TEST_F(SpareTest, IsLostWithItsLauncher) {
    stand_ready("touch /tmp/ready; exec sleep 1000");
    ASSERT_EQ(scratch("ready"), "");
    const auto owner = owner_of_run(folder_);
    ASSERT_TRUE(owner.has_value());
    ASSERT_EQ(kill(owner->pid, SIGKILL), 0);
    EXPECT_EQ(pool_.await_end().cause, Cause::Lost);
}

TEST_F(SpareTest, WaitsForTheNextServerAndWorksForIt) {
    stand_ready();
    executor_ = make();
    Recorder next_pool;
    ASSERT_TRUE(executor_->adopt_spare("spare", folder_, next_pool).has_value());
    ASSERT_TRUE(executor_->start(work("echo worked"), job_).has_value());
    EXPECT_EQ(job_.await_end().hosts.at(0).exit_code, 0);
    EXPECT_EQ(log(), "worked\n");
    EXPECT_FALSE(next_pool.has_ended());
}

// The server died between the record of the start and the word to the launcher.
TEST_F(SpareTest, GetsWorkThatWasWrittenButNotToldFromTheNextServer) {
    RunSpec wanted = work("echo worked");
    ASSERT_TRUE(executor_->start_spare(spec("exec sleep 1000"), pool_).has_value());
    {
        // A launcher whose control connection is gone hears nothing.
        const auto other = make();
        ASSERT_TRUE(make_directories(folder_ + "/algo-1/ml").has_value());
        const auto launch = read_file(folder_ + "/launch");
        ASSERT_TRUE(launch.has_value());
        auto text = decode_launch_spec(*launch);
        ASSERT_TRUE(text.has_value());
        text->spare = false;
        text->command = wanted.command;
        text->log_files = wanted.log_files;
        ASSERT_TRUE(write_file(folder_ + "/work", encode_launch_spec(*text), 0600).has_value());
    }
    executor_ = make();
    ASSERT_TRUE(executor_->adopt("spare", folder_, job_).has_value());
    EXPECT_EQ(job_.await_end().hosts.at(0).exit_code, 0);
    EXPECT_EQ(log(), "worked\n");
}

TEST_F(SpareTest, WithoutWrittenWorkNeverBeganForTheNextServer) {
    stand_ready();
    executor_ = make();
    ASSERT_TRUE(executor_->adopt("spare", folder_, job_).has_value());
    const RunOutcome outcome = job_.await_end();
    EXPECT_EQ(outcome.cause, Cause::Lost);
    EXPECT_EQ(outcome.started, Timestamp{});
}

TEST_F(SpareTest, OfAServerThatIsGoneIsEndedAsALeftover) {
    stand_ready();
    executor_ = make();
    ASSERT_TRUE(executor_->end_leftover(folder_).has_value());
    EXPECT_FALSE(owner_of_run(folder_).has_value());
    EXPECT_TRUE(executor_->end_leftover(folder_).has_value());  // nobody there any more
}

TEST_F(SpareTest, RefusesWorkOfAnotherKind) {
    stand_ready();
    RunSpec isolated = work("echo never");
    isolated.network_isolation = true;
    ASSERT_TRUE(executor_->start(isolated, job_).has_value());
    const RunOutcome outcome = job_.await_end();
    EXPECT_EQ(outcome.cause, Cause::Lost);  // begins elsewhere, from the start
    EXPECT_EQ(outcome.started, Timestamp{});
}

TEST_F(SpareTest, OfSeveralHostsWorksOnAll) {
    if (!machine().network) GTEST_SKIP() << "hosts cannot be joined here";
    RunSpec ready = spec("exec sleep 1000");
    ready.hosts = 2;
    ready.log_files = {folder_ + "/log", folder_ + "/log2"};
    ASSERT_TRUE(executor_->start_spare(ready, pool_).has_value());
    RunSpec work = ready;
    work.on_spare = true;
    work.command = {"/bin/sh", "-c", "hostname; getent hosts algo-2 | wc -l"};
    ASSERT_TRUE(executor_->start(work, job_).has_value());
    EXPECT_EQ(job_.await_end().hosts.size(), 2u);
    EXPECT_EQ(log(), "algo-1\n1\n");
    EXPECT_NE(read_file(folder_ + "/log2").value_or("").find("algo-2"), std::string::npos);
}

}  // namespace
}  // namespace millwright::executors
