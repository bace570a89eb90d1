// Against a real engine: tests/containers/test_executor.py starts one, puts an image with busybox into it, and runs
// these tests with
//
//   MILLWRIGHT_CONTAINER_TEST_SOCKET=/path/of/the.sock  MILLWRIGHT_CONTAINER_TEST_IMAGE=its name
#include "executors/container/container_runtime.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/event_file.h"
#include "base/files.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/strings.h"
#include "executors/container/engine_client.h"
#include "executors/container/run_record.h"
#include "net/http_server.h"

namespace millwright::executors {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class Heard : public RunListener {
  public:
    void run_started(const std::string& id, Timestamp) override {
        const MutexLock lock(mutex_);
        ++started_[id];
        changed_.notify_all();
    }
    void run_ended(const std::string& id, const RunOutcome& outcome) override {
        const MutexLock lock(mutex_);
        EXPECT_FALSE(ended_.contains(id)) << "told twice";
        ended_[id] = outcome;
        changed_.notify_all();
    }
    bool wait_for_start(const std::string& id, seconds longest = seconds(30)) {
        const MutexLock lock(mutex_);
        const auto deadline = std::chrono::steady_clock::now() + longest;
        while (started_[id] == 0 && !ended_.contains(id))
            if (!changed_.wait_until(mutex_, deadline)) break;
        return started_[id] > 0;
    }
    RunOutcome wait_for_end(const std::string& id, seconds longest = seconds(40)) {
        const MutexLock lock(mutex_);
        const auto deadline = std::chrono::steady_clock::now() + longest;
        while (!ended_.contains(id))
            if (!changed_.wait_until(mutex_, deadline)) break;
        EXPECT_TRUE(ended_.contains(id)) << "the run did not end";
        return ended_.contains(id) ? ended_[id] : RunOutcome{};
    }
    int starts(const std::string& id) {
        const MutexLock lock(mutex_);
        return started_[id];
    }

  private:
    Mutex mutex_;
    Condition changed_;
    std::map<std::string, int> started_ GUARDED_BY(mutex_);
    std::map<std::string, RunOutcome> ended_ GUARDED_BY(mutex_);
};

class ContainerRuntimeTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const char* socket = getenv("MILLWRIGHT_CONTAINER_TEST_SOCKET");
        const char* image = getenv("MILLWRIGHT_CONTAINER_TEST_IMAGE");
        if (socket == nullptr || image == nullptr)
            GTEST_SKIP()
                << "MILLWRIGHT_CONTAINER_TEST_SOCKET names no engine; tests/containers/test_executor.py starts one";
        socket_ = socket;
        image_ = image;
        std::string pattern = std::filesystem::temp_directory_path() / "containers_XXXXXX";
        folder_ = mkdtemp(pattern.data());
        std::filesystem::create_directories(folder_ + "/doors");
        settings_.socket = socket_;
        settings_.state_folder = folder_ + "/containers";
        settings_.gate_program = MILLWRIGHT_GATE;
        settings_.api_socket = folder_ + "/doors/api";
        runtime_ = ContainerRuntime::make(settings_).value();
    }
    void TearDown() override {
        for (const auto& spec : runs_) {
            if (runtime_) runtime_->executor().kill(spec.id).value();
            if (runtime_) runtime_->executor().clean_up(spec.id, spec.folder);
        }
        runtime_.reset();
        if (folder_.empty()) return;
        EXPECT_EQ(leftovers(), 0u);
        std::filesystem::remove_all(folder_);
    }

    // Containers and networks with the label of this test's data directory.
    size_t leftovers() {
        EngineClient engine(socket_);
        const auto id = read_file(settings_.state_folder + "/id").value();
        const auto filter = label_filter(kOwnerLabel, trim(id));
        return engine.get("/containers/json?all=1&filters=" + filter).value().size() +
               engine.get("/networks?filters=" + filter).value().size();
    }
    RunSpec spec_of(const std::string& script, int hosts = 1) {
        RunSpec spec;
        spec.id = system_random().hex(16);
        spec.folder = folder_ + "/" + spec.id;
        spec.hosts = hosts;
        for (int host = 1; host <= hosts; ++host) {
            const auto ml = spec.folder + "/algo-" + std::to_string(host) + "/ml";
            for (const char* inside : {"/input/data", "/model", "/output/data"})
                std::filesystem::create_directories(ml + inside);
            spec.log_files.push_back(spec.folder + "/log-" + std::to_string(host));
        }
        spec.image = RunImage{};
        spec.image->reference = image_;
        EngineClient engine(socket_);
        spec.image->engine_image = engine.get("/images/" + image_ + "/json").value()["Id"].string_or("");
        spec.image->entrypoint = std::vector<std::string>{"/bin/busybox", "sh", "-c"};
        spec.command = {script};
        spec.environment = {{"PATH", "/bin"}};
        spec.limits.memory_bytes = uint64_t{256} << 20;
        spec.limits.max_processes = 200;
        spec.network_isolation = true;
        spec.stop_grace = seconds(3);
        runs_.push_back(spec);
        return spec;
    }
    RunOutcome run(const RunSpec& spec) {
        EXPECT_TRUE(runtime_->executor().start(spec, heard_));
        return heard_.wait_for_end(spec.id);
    }
    std::vector<std::string> lines(const RunSpec& spec, size_t host = 0) {
        std::vector<std::string> out;
        const auto events = read_events(spec.log_files[host], 0, 100000, 1 << 28).value();
        for (const auto& event : events) out.push_back(event.message);
        return out;
    }

    std::string socket_, image_, folder_;
    ContainerSettings settings_;
    std::unique_ptr<ContainerRuntime> runtime_;
    Heard heard_;
    std::vector<RunSpec> runs_;
};

TEST_F(ContainerRuntimeTest, RunsACommandAndKeepsItsLogAndItsFiles) {
    auto spec = spec_of(
        "echo one; echo two >&2; hostname; echo hello > /opt/ml/model/file; printf 'no end'; sleep 0.2; exit 7");
    const auto outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited);
    ASSERT_EQ(outcome.hosts.size(), 1u);
    EXPECT_EQ(outcome.hosts[0].exit_code, 7);
    EXPECT_EQ(outcome.first_failure, 0);
    EXPECT_GT(outcome.ran.count(), 0);
    EXPECT_LT(outcome.ran, seconds(10));
    EXPECT_EQ(heard_.starts(spec.id), 1);
    const auto said = lines(spec);
    ASSERT_EQ(said.size(), 4u) << ::testing::PrintToString(said);
    EXPECT_THAT(said, ::testing::UnorderedElementsAre("one", "two", "algo-1", "no end"));
    EXPECT_EQ(said.back(), "no end");
    EXPECT_EQ(read_file(spec.folder + "/algo-1/ml/model/file").value(), "hello\n");
    struct stat status {};
    ASSERT_EQ(lstat((spec.folder + "/algo-1/ml/model/file").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, geteuid());
}

TEST_F(ContainerRuntimeTest, RunsOneAfterTheOtherOnOneGate) {
    for (int i = 0; i < 3; ++i) {
        const auto spec = spec_of("echo run " + std::to_string(i));
        EXPECT_EQ(run(spec).hosts.at(0).exit_code, 0);
        EXPECT_EQ(lines(spec), std::vector<std::string>{"run " + std::to_string(i)});
        runtime_->executor().clean_up(spec.id, spec.folder);
    }
    EXPECT_EQ(leftovers(), 1u);
}

TEST_F(ContainerRuntimeTest, HostsReachEachOtherAndNothingElse) {
    auto spec = spec_of(
        "cat /etc/hosts; if [ $(hostname) = algo-1 ]; then echo from-one > /page; httpd -f -p 7777 -h / & sleep 6; "
        "else "
        "i=0; while [ $i -lt 50 ]; do wget -q -O - http://algo-1:7777/page && break; sleep 0.1; i=$((i+1)); done; ip "
        "route; "
        "gateway=$(ip -4 addr show eth0 | grep inet | sed 's/.*inet \\([0-9]*[.][0-9]*\\)[.].*/\\1.0.1/'); echo try "
        "$gateway; "
        "ping -c 1 -W 1 $gateway >/dev/null 2>&1 && echo reached; timeout 1 nc $gateway 22 && echo reached; "
        "timeout 1 nc 192.0.2.1 80 && echo reached; fi; true",
        2);
    const auto outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited) << outcome.message;
    ASSERT_EQ(outcome.hosts.size(), 2u);
    EXPECT_EQ(outcome.hosts[0].exit_code, 0);
    EXPECT_THAT(lines(spec, 1), Contains("from-one"));
    EXPECT_THAT(lines(spec, 1), Not(Contains("reached")));
    EXPECT_THAT(lines(spec, 1), Contains(HasSubstr("unreachable default")));
}

TEST_F(ContainerRuntimeTest, OneFailureEndsTheOthers) {
    // The second fails when the first can be stopped.
    auto spec = spec_of(
        "trap 'echo stopped; exit 5' TERM; if [ $(hostname) = algo-1 ]; then "
        "echo ready > /page; httpd -f -p 7777 -h / & sleep 40 & wait; fi; "
        "i=0; while [ $i -lt 100 ]; do wget -q -O /dev/null http://algo-1:7777/page && break; sleep 0.1; i=$((i+1)); "
        "done; exit 3",
        2);
    const auto outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited);
    EXPECT_EQ(outcome.first_failure, 1);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 5);
    EXPECT_EQ(outcome.hosts.at(1).exit_code, 3);
    EXPECT_LT(outcome.ran, seconds(30));
    EXPECT_THAT(lines(spec, 0), Contains("stopped"));
}

TEST_F(ContainerRuntimeTest, StopsWithGraceThenWithout) {
    auto gentle = spec_of("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done");
    auto deaf = spec_of("trap '' TERM; echo ready; while :; do sleep 0.1; done");
    deaf.stop_grace = seconds(1);
    for (const auto& spec : {gentle, deaf}) {
        ASSERT_TRUE(runtime_->executor().start(spec, heard_));
        ASSERT_TRUE(heard_.wait_for_start(spec.id));
        while (lines(spec).empty()) usleep(20000);
        ASSERT_TRUE(runtime_->executor().request_stop(spec.id));
    }
    const auto first = heard_.wait_for_end(gentle.id);
    EXPECT_EQ(first.cause, RunOutcome::Cause::StopRequested);
    EXPECT_EQ(first.hosts.at(0).exit_code, 0);
    EXPECT_THAT(lines(gentle), Contains("bye"));
    const auto second = heard_.wait_for_end(deaf.id);
    EXPECT_EQ(second.cause, RunOutcome::Cause::StopRequested);
    EXPECT_EQ(second.hosts.at(0).exit_code, 137);
    EXPECT_EQ(second.hosts.at(0).signal, 9);
}

TEST_F(ContainerRuntimeTest, EndsWhenItHasRunLongEnough) {
    auto spec = spec_of("trap 'exit 0' TERM; while :; do sleep 0.1; done");
    spec.max_runtime = seconds(1);
    const auto outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::MaxRuntime);
    EXPECT_GE(outcome.ran, milliseconds(900));
    EXPECT_LT(outcome.ran, seconds(8));
}

TEST_F(ContainerRuntimeTest, TellsWhoRanOutOfMemory) {
    auto spec = spec_of("exec tail /dev/zero");
    spec.limits.memory_bytes = uint64_t{32} << 20;
    const auto outcome = run(spec);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 137);
    EXPECT_TRUE(outcome.hosts.at(0).out_of_memory);
}

TEST_F(ContainerRuntimeTest, WhatCannotBeExecutedIsALaunchThatFailed) {
    auto spec = spec_of("");
    spec.image->entrypoint = std::vector<std::string>{"/no/such/program"};
    const auto outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::LaunchFailed);
    EXPECT_THAT(outcome.message, HasSubstr("/no/such/program"));
}

TEST_F(ContainerRuntimeTest, WritesToInputGoToALayer) {
    auto spec = spec_of(
        "cat /opt/ml/input/data/train/f; echo changed > /opt/ml/input/data/train/f; echo more > "
        "/opt/ml/input/data/train/g; cat /opt/ml/input/data/train/f; echo x > /opt/ml/input/data/fixed/f");
    for (const char* name : {"/shared/train", "/shared/fixed"}) {
        std::filesystem::create_directories(spec.folder + name);
        write_file(spec.folder + name + "/f", "original\n").value();
    }
    spec.mounts = {{spec.folder + "/shared/train", "/opt/ml/input/data/train", Mount::Mode::Overlay},
                   {spec.folder + "/shared/fixed", "/opt/ml/input/data/fixed", Mount::Mode::ReadOnly}};
    const auto outcome = run(spec);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 1);
    EXPECT_THAT(lines(spec), Contains("original"));
    EXPECT_THAT(lines(spec), Contains("changed"));
    EXPECT_THAT(lines(spec), Contains(HasSubstr("Read-only file system")));
    for (const char* name : {"/shared/train/f", "/shared/fixed/f"})
        EXPECT_EQ(read_file(spec.folder + name).value(), "original\n");
    EXPECT_FALSE(file_exists(spec.folder + "/shared/train/g"));
}

TEST_F(ContainerRuntimeTest, ReachesTheServerAtItsAddressAndIsReachedAtItsPort) {
    const auto server =
        net::HttpServer::start(
            {.unix_path = settings_.api_socket, .control_threads = 2, .data_threads = 1, .inference_threads = 1},
            [](const net::Request&) { return net::Pool::Control; },
            [](net::Request& request, net::ResponseWriter& response) {
                static_cast<void>(response.send(200, {}, "this is " + request.target + "\n").has_value());
            })
            .value();
    auto spec = spec_of(
        "wget -q -O - http://169.254.170.2/v2/credentials/x; mkdir -p /tmp/www; echo served > /tmp/www/ping; "
        "exec httpd -f -p 8080 -h /tmp/www");
    spec.network_isolation = false;
    spec.forward_to = "127.0.0.1:9770";
    spec.served_port = 8080;
    ASSERT_TRUE(runtime_->executor().start(spec, heard_));
    ASSERT_TRUE(heard_.wait_for_start(spec.id));
    const auto where = runtime_->executor().served_at(spec.id, 0).value();
    ASSERT_TRUE(where.starts_with("unix:"));
    const auto client = net::HttpClient::unix_socket(where.substr(5));
    std::string body;
    for (int i = 0; i < 200 && body.empty(); ++i) {
        const auto answer = client->call("GET", "/ping", {}, "", seconds(2));
        if (answer && answer->status == 200) body = answer->body;
        usleep(50000);
    }
    EXPECT_EQ(body, "served\n");
    // What the engine was given a moment ago it may tell a moment later.
    for (int i = 0; i < 200 && lines(spec).empty(); ++i) usleep(50000);
    EXPECT_THAT(lines(spec), Contains("this is /v2/credentials/x"));
    const auto usage = runtime_->executor().usage(spec.id).value();
    EXPECT_GT(usage.at(0).memory_bytes, 0u);
    EXPECT_EQ(usage.at(0).memory_limit_bytes, uint64_t{256} << 20);
    ASSERT_TRUE(runtime_->executor().kill(spec.id));
    EXPECT_EQ(heard_.wait_for_end(spec.id).cause, RunOutcome::Cause::StopRequested);
}

// The server goes in the middle, and another one goes on: each line once, and the time counts from the begin.
TEST_F(ContainerRuntimeTest, AnotherServerAdoptsARun) {
    auto spec = spec_of(
        "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); [ $((i % 40)) = 0 ] && sleep 0.3; done; exit 4");
    ASSERT_TRUE(runtime_->executor().start(spec, heard_));
    ASSERT_TRUE(heard_.wait_for_start(spec.id));
    for (int restart = 0; restart < 3; ++restart) {
        usleep(500000);
        const auto begun = std::chrono::steady_clock::now();
        runtime_.reset();
        EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(3)) << "the server waits for its runs";
        runtime_ = ContainerRuntime::make(settings_).value();
        ASSERT_TRUE(runtime_->executor().adopt(spec.id, spec.folder, heard_));
    }
    const auto outcome = heard_.wait_for_end(spec.id);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 4);
    EXPECT_GT(outcome.ran, milliseconds(2500));
    std::vector<std::string> expected;
    for (int i = 0; i < 400; ++i) expected.push_back("line " + std::to_string(i));
    EXPECT_EQ(lines(spec), expected);
}

TEST_F(ContainerRuntimeTest, ARunThatEndedMeanwhileIsReportedWithItsEnd) {
    auto spec = spec_of("sleep 0.5; echo the last line; exit 6");
    ASSERT_TRUE(runtime_->executor().start(spec, heard_));
    ASSERT_TRUE(heard_.wait_for_start(spec.id));
    runtime_.reset();
    usleep(5000000);
    runtime_ = ContainerRuntime::make(settings_).value();
    ASSERT_TRUE(runtime_->executor().adopt(spec.id, spec.folder, heard_));
    const auto outcome = heard_.wait_for_end(spec.id);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 6);
    EXPECT_LT(outcome.ran, milliseconds(4900));
    EXPECT_EQ(lines(spec), std::vector<std::string>{"the last line"});
}

TEST_F(ContainerRuntimeTest, ARunWhoseStartWasCutShortIsLostAndLeavesNothing) {
    auto spec = spec_of("sleep 30");
    RunRecord record;
    record.id = spec.id;
    record.hosts.resize(1);
    record.log_files = spec.log_files;
    ASSERT_TRUE(save(record, spec.folder));
    EngineClient engine(socket_);
    const auto owner = read_file(settings_.state_folder + "/id").value();
    const auto body = Json::object({{"Image", image_},
                                    {"Cmd", Json::array({"/bin/busybox", "sleep", "30"})},
                                    {"Labels", Json::object({{kOwnerLabel, std::string(trim(owner))},
                                                             {kRunLabel, spec.id},
                                                             {kHostLabel, "algo-1"},
                                                             {kFolderLabel, spec.folder}})}});
    ASSERT_TRUE(engine.post("/containers/create", body));
    ASSERT_TRUE(runtime_->executor().adopt(spec.id, spec.folder, heard_));
    EXPECT_EQ(heard_.wait_for_end(spec.id).cause, RunOutcome::Cause::Lost);
}

TEST_F(ContainerRuntimeTest, WhatAKilledServerLeftIsRemovedByTheNext) {
    auto spec = spec_of("sleep 60", 2);
    ASSERT_TRUE(runtime_->executor().start(spec, heard_));
    ASSERT_TRUE(heard_.wait_for_start(spec.id));
    runtime_.reset();
    EXPECT_GT(leftovers(), 3u);
    std::filesystem::remove_all(spec.folder);
    runtime_ = ContainerRuntime::make(settings_).value();
    for (int i = 0; i < 300 && leftovers() > 0; ++i) usleep(100000);
    EXPECT_EQ(leftovers(), 0u);
}

// What the CIS benchmark asks of containers, by their own word and by the kernel's.
TEST_F(ContainerRuntimeTest, ContainersAreHardened) {
    auto spec = spec_of(
        "grep -E 'CapBnd|CapEff|NoNewPrivs|Seccomp:' /proc/self/status; ls /dev/mem /dev/sda /var/run/docker.sock "
        "2>&1; "
        "mount -t tmpfs none /mnt 2>&1; ls -d /sys/fs/cgroup/*/release_agent 2>&1 | head -1; echo h > "
        "/proc/sysrq-trigger; "
        "echo x > /proc/sys/kernel/hostname; ping -c 1 127.0.0.1; cat /proc/1/comm; sleep 3");
    ASSERT_TRUE(runtime_->executor().start(spec, heard_));
    ASSERT_TRUE(heard_.wait_for_start(spec.id));
    EngineClient engine(socket_);
    const auto record = load_run_record(spec.folder).value();
    const auto about = engine.get("/containers/" + record.hosts.at(0).container + "/json").value();
    const auto& host = about["HostConfig"];
    EXPECT_FALSE(host["Privileged"].bool_or(true));
    EXPECT_FALSE(host["PidMode"].string_or("") == "host" || host["UTSMode"].string_or("") == "host" ||
                 host["IpcMode"].string_or("") == "host" || host["NetworkMode"].string_or("") == "host");
    EXPECT_EQ(host["Memory"].int_or(0), 256 << 20);
    EXPECT_EQ(host["PidsLimit"].int_or(0), 200);
    EXPECT_TRUE(host["PortBindings"].is_null() || host["PortBindings"].size() == 0);
    EXPECT_THAT(host["SecurityOpt"].dump(), HasSubstr("no-new-privileges"));
    EXPECT_THAT(host["SecurityOpt"].dump(), Not(HasSubstr("unconfined")));
    EXPECT_TRUE(host["Devices"].size() == 0);
    EXPECT_THAT(about["Mounts"].dump(), Not(HasSubstr(socket_)));
    for (const auto& mount : about["Mounts"].items())
        EXPECT_THAT(mount["Propagation"].string_or(""), Not(HasSubstr("shared")));
    heard_.wait_for_end(spec.id);
    const auto said = join(lines(spec), "\n");
    EXPECT_THAT(said, HasSubstr("NoNewPrivs:\t1"));
    EXPECT_THAT(said, HasSubstr("Seccomp:\t2"));
    // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE SYS_CHROOT
    EXPECT_THAT(said, HasSubstr("CapBnd:\t00000000000404fb"));
    EXPECT_THAT(said, HasSubstr("/dev/mem: No such file"));
    EXPECT_THAT(said, HasSubstr("docker.sock: No such file"));
    EXPECT_THAT(said, HasSubstr("mount"));
    EXPECT_THAT(said, Not(HasSubstr("1 packets received")));
}

}  // namespace
}  // namespace millwright::executors
