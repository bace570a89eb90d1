// Real runs of /bin/sh. Where namespaces are not permitted the tests say so and are skipped.
#include "executors/process/process_executor.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <netinet/in.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <filesystem>

#include <cstdlib>
#include <functional>
#include <thread>

#include "base/event_file.h"
#include "base/files.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/strings.h"
#include "executors/process/launch_spec.h"
#include "executors/process/run_folder.h"
#include "executors/process/run_test_fixture.h"

namespace millwright::executors {
namespace {

using Recorder = RunRecorder;
class ProcessExecutorTest : public RunTest {};

// Answers every connection on loopback with the same bytes.
class TinyServer {
  public:
    explicit TinyServer(std::string answer) : answer_(std::move(answer)) {
        EXPECT_EQ(listen(listener_.fd.get(), 16), 0);
        thread_ = std::jthread([this] { serve(); });
    }
    ~TinyServer() {
        shutdown(listener_.fd.get(), SHUT_RDWR);
        thread_.join();
    }
    const std::string& address() const { return listener_.address; }

  private:
    void serve() {
        for (;;) {
            const Fd client(accept(listener_.fd.get(), nullptr, nullptr));
            if (!client) return;
            char request[4096];
            if (read(client.get(), request, sizeof request) > 0)
                static_cast<void>(write_all(client.get(), answer_).has_value());
        }
    }
    std::string answer_;
    LoopbackSocket listener_;
    std::jthread thread_;
};

TEST_F(ProcessExecutorTest, ReportsSuccessWithTimesAndOutput) {
    RunSpec spec = script("echo out; echo err >&2; sleep 0.2");
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited) << outcome.message;
    ASSERT_EQ(outcome.hosts.size(), 1u);
    EXPECT_EQ(outcome.hosts[0].exit_code, 0);
    EXPECT_GE(outcome.ran, milliseconds(200));
    EXPECT_LT(outcome.ran, seconds(5));
    EXPECT_GE(outcome.ended, outcome.started);
    EXPECT_EQ(log_of(spec), "out\nerr\n");
}

TEST_F(ProcessExecutorTest, ReportsExitCodesAndSignals) {
    EXPECT_EQ(run(script("exit 7")).hosts.at(0).exit_code, 7);
    const RunOutcome killed = run(script("kill -9 $$"));
    EXPECT_EQ(killed.hosts.at(0).exit_code, 137);
    EXPECT_EQ(killed.hosts.at(0).signal, 9);
    EXPECT_FALSE(killed.hosts.at(0).out_of_memory);
}

TEST_F(ProcessExecutorTest, GivesExactlyTheEnvironmentAndDefaults) {
    RunSpec spec = script("env | grep -v '^PWD=' | sort; pwd; hostname");
    spec.environment = {{"FOO", "a b"}, {"LINES2", "x=y"}};
    run(spec);
    EXPECT_EQ(log_of(spec),
              "FOO=a b\nHOME=/root\nHOSTNAME=algo-1\nLINES2=x=y\n"
              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n/opt/ml\nalgo-1\n");
}

TEST_F(ProcessExecutorTest, ShowsAPrivateWritableOptMl) {
    RunSpec spec = script(
        "cat /opt/ml/input/data; echo model > /opt/ml/model/m && mkdir -p /opt/ml/output && touch /tmp/t /root/r "
        "/dev/shm/s /etc/environment");
    ASSERT_TRUE(make_directories(ml(spec) + "/input").has_value());
    ASSERT_TRUE(make_directories(ml(spec) + "/model").has_value());
    ASSERT_TRUE(write_file(ml(spec) + "/input/data", "hello\n").has_value());
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 0) << log_of(spec);
    EXPECT_EQ(log_of(spec), "hello\n");
    EXPECT_EQ(content(ml(spec) + "/model/m"), "model\n");
}

TEST_F(ProcessExecutorTest, HidesTheMachine) {
    RunSpec spec = script(
        "ls -A /root /home; for p in /work /etc/shadow /etc/ssh /sys/fs/cgroup /sys/kernel /dev/vda /dev/mem "
        "/var/run/docker.sock " +
        base_ +
        "; do if [ -e $p ]; then echo visible $p; fi; done; test $(ls /proc | grep -c '^[0-9]') -le 6 && echo few");
    run(spec);
    EXPECT_EQ(log_of(spec), "/home:\n\n/root:\nfew\n");  // only its own processes
}

TEST_F(ProcessExecutorTest, CoversHiddenPathsBelowVisibleOnes) {
    executor_ = make_process_executor({MILLWRIGHT_LAUNCHER, machine(), {"/usr/share", "/usr/bin/env"}});
    RunSpec spec = script("ls -A /usr/share; cat /usr/bin/env");
    // Any folder will do; which ones there are depends on what is installed.
    std::string shown;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/share"))
        if (entry.is_directory() && !entry.is_symlink()) shown = entry.path().filename().string();
    ASSERT_NE(shown, "");
    spec.mounts = {{"/usr/share/" + shown, "/usr/share/" + shown, Mount::Mode::ReadOnly}};
    run(spec);
    EXPECT_EQ(log_of(spec), shown + "\n");
}

TEST_F(ProcessExecutorTest, RefusesWaysOutOfTheSandbox) {
    RunSpec spec = script(
        "try() { \"$@\" >/dev/null 2>&1 && echo \"succeeded: $*\"; };"
        "try mount -t tmpfs none /tmp; try mount -o remount,rw /usr; try umount /proc/sys; try unshare -r true; try "
        "unshare -m true;"
        "try sh -c 'echo x > /proc/sys/kernel/hostname'; try sh -c 'echo b > /proc/sysrq-trigger'; try sh -c 'echo x > "
        "/usr/bin/x';"
        "try chmod 600 /dev/null; try chown 1 /dev/zero; try rm /dev/null; echo x > /dev/null; try mknod /tmp/null c 1 "
        "3; try dmesg; try hostname other; try chroot / true; try ip link set lo down;"
        "try sh -c 'echo 1 > /sys/devices/system/cpu/cpu1/online'; try head -c 1 /proc/kcore; try nsenter -t 1 -m true;"
        "mkfifo /tmp/fifo && grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/1/cmdline | tr -d "
        "'\\0'");
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 0);
    EXPECT_EQ(log_of(spec), "CapEff:\t00000000000004fb\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST_F(ProcessExecutorTest, ShowsTheFolderOfACommandOutsideTheSystem) {
    RunSpec spec = script("");
    const std::string folder = base_ + "/tools/bin";
    ASSERT_TRUE(make_directories(folder).has_value());
    ASSERT_TRUE(write_file(folder + "/tool",
                           "#!/bin/sh\ncat $(dirname $0)/data\ntouch $0 2>/dev/null || echo read-only\n", 0755)
                    .has_value());
    ASSERT_TRUE(write_file(folder + "/data", "its data\n").has_value());
    spec.command = {folder + "/tool"};
    EXPECT_EQ(run(spec).cause, RunOutcome::Cause::Exited);
    EXPECT_EQ(log_of(spec), "its data\nread-only\n");
}

TEST_F(ProcessExecutorTest, SaysWhyACommandCannotBeExecuted) {
    RunSpec spec = script("");
    spec.command = {"no-such-command"};
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::LaunchFailed);
    EXPECT_EQ(outcome.message, "cannot execute no-such-command: No such file or directory");
    EXPECT_TRUE(outcome.hosts.empty());
}

TEST_F(ProcessExecutorTest, SaysWhichMountIsMissing) {
    RunSpec spec = script("true");
    spec.mounts = {{"/no/such/folder", "/opt/ml/input", Mount::Mode::ReadOnly}};
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::LaunchFailed);
    EXPECT_NE(outcome.message.find("/no/such/folder"), std::string::npos) << outcome.message;
}

TEST_F(ProcessExecutorTest, MountsFoldersInThreeWays) {
    RunSpec spec = script(
        "cd /opt/ml/input/data; touch ro/x 2>/dev/null || echo refused; echo w > rw/w; echo changed > ov/f; rm ov/g; "
        "ls ov; cat ov/f");
    const std::string source = base_ + "/source";
    for (const char* name : {"/ro", "/algo-1/rw", "/ov"}) ASSERT_TRUE(make_directories(source + name).has_value());
    ASSERT_TRUE(write_file(source + "/ov/f", "original\n").has_value());
    ASSERT_TRUE(write_file(source + "/ov/g", "kept\n").has_value());
    spec.mounts = {{source + "/ov", "/opt/ml/input/data/ov", Mount::Mode::Overlay},
                   {source + "/{host}/rw", "/opt/ml/input/data/rw", Mount::Mode::Writable},
                   {source + "/ro", "/opt/ml/input/data/ro", Mount::Mode::ReadOnly}};
    EXPECT_EQ(run(spec).hosts.at(0).exit_code, 0) << log_of(spec);
    EXPECT_EQ(log_of(spec), "refused\nf\nchanged\n");
    EXPECT_EQ(content(source + "/algo-1/rw/w"), "w\n");
    EXPECT_EQ(content(source + "/ov/f"), "original\n");
    EXPECT_EQ(content(source + "/ov/g"), "kept\n");
}

TEST_F(ProcessExecutorTest, CopiesWhereOverlaysAreRefused) {
    Probe probe = machine();
    probe.overlay = false;
    executor_ = make_process_executor({MILLWRIGHT_LAUNCHER, probe, {}});
    RunSpec spec = script("cd /opt/ml/input; cat f link sub/deep; echo changed > f; cat f");
    const std::string source = base_ + "/source";
    ASSERT_TRUE(make_directories(source + "/sub").has_value());
    ASSERT_TRUE(write_file(source + "/f", "original\n").has_value());
    ASSERT_TRUE(write_file(source + "/sub/deep", "deep\n").has_value());
    ASSERT_EQ(symlink("f", (source + "/link").c_str()), 0);
    spec.mounts = {{source, "/opt/ml/input", Mount::Mode::Overlay}};
    run(spec);
    EXPECT_EQ(log_of(spec), "original\noriginal\ndeep\nchanged\n");
    EXPECT_EQ(content(source + "/f"), "original\n");
}

TEST_F(ProcessExecutorTest, LinksInTheRunsFolderDoNotLeadOut) {
    RunSpec spec = script("true");
    ASSERT_EQ(symlink(base_.c_str(), (ml(spec) + "/input").c_str()), 0);
    spec.mounts = {{"/usr/share", "/opt/ml/input/planted", Mount::Mode::ReadOnly}};
    run(spec);
    EXPECT_FALSE(file_exists(base_ + "/planted"));
}

TEST_F(ProcessExecutorTest, AMountMayRefuseToGoThroughLinks) {
    // What a job that writes to the same file system could do between the look-up of a folder and the start.
    const std::string source = base_ + "/source";
    ASSERT_TRUE(make_directories(source + "/inner").has_value());
    ASSERT_TRUE(write_file(source + "/inner/f", "seen\n").has_value());
    for (const bool swapped : {false, true}) {
        RunSpec spec = script("cat /opt/ml/input/f");
        spec.mounts = {{source + "/inner", "/opt/ml/input", Mount::Mode::ReadOnly}};
        spec.mounts[0].through_links = false;
        if (swapped) {
            ASSERT_EQ(rename((source + "/inner").c_str(), (source + "/moved").c_str()), 0);
            ASSERT_EQ(symlink("moved", (source + "/inner").c_str()), 0);
        }
        const RunOutcome outcome = run(spec);
        EXPECT_EQ(outcome.cause, swapped ? RunOutcome::Cause::LaunchFailed : RunOutcome::Cause::Exited);
        EXPECT_EQ(log_of(spec), swapped ? "" : "seen\n");
    }
}

TEST_F(ProcessExecutorTest, AMountMayBeOnSomeHostsOnly) {
    RunSpec spec = script("ls /opt/ml", 2);
    spec.mounts = {{"/usr/share", "/opt/ml/shared", Mount::Mode::ReadOnly}};
    spec.mounts[0].hosts = {1};
    run(spec);
    EXPECT_EQ(log_of(spec, 0), "");
    EXPECT_EQ(log_of(spec, 1), "shared\n");
}

TEST_F(ProcessExecutorTest, JoinsHostsByName) {
    RunSpec spec = script(
        "if [ $HOSTNAME = algo-1 ]; then python3 -c \"import socket; s=socket.create_server(('0.0.0.0',7777)); "
        "c,a=s.accept(); print(a[0], c.recv(9)); c.send(b'pong')\"; "
        "else i=0; while [ $i -lt 100 ]; do i=$((i+1)); python3 -c \"import socket; "
        "s=socket.create_connection(('algo-1',7777)); s.send(b'ping'); print(s.recv(9))\" && exit 0; sleep 0.2; done; "
        "exit 1; fi",
        2);
    spec.network_isolation = true;
    const RunOutcome outcome = run(spec);
    ASSERT_EQ(outcome.hosts.size(), 2u) << outcome.message;
    EXPECT_EQ(outcome.hosts[0].exit_code, 0) << log_of(spec, 0);
    EXPECT_EQ(outcome.hosts[1].exit_code, 0) << log_of(spec, 1);
    EXPECT_EQ(log_of(spec, 0), "10.254.0.2 b'ping'\n");
    EXPECT_NE(log_of(spec, 1).find("b'pong'"), std::string::npos);
}

TEST_F(ProcessExecutorTest, OneFailedHostStopsTheOthers) {
    // Who is stopped before its trap is set has no last word.
    RunSpec spec = script(
        "cd /opt/ml/shared; if [ $HOSTNAME = algo-2 ]; then "
        "while [ ! -e algo-1 ] || [ ! -e algo-3 ]; do sleep 0.02; done; exit 3; fi; "
        "trap 'echo stopped; exit 0' TERM; touch $HOSTNAME; while :; do sleep 0.05; done",
        3);
    ASSERT_TRUE(make_directories(base_ + "/shared").has_value());
    spec.mounts = {{base_ + "/shared", "/opt/ml/shared", Mount::Mode::Writable}};
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited);
    ASSERT_EQ(outcome.hosts.size(), 3u);
    EXPECT_EQ(outcome.first_failure, 1);
    EXPECT_EQ(outcome.hosts[1].exit_code, 3);
    EXPECT_EQ(outcome.hosts[0].exit_code, 0);
    EXPECT_EQ(log_of(spec, 2), "stopped\n");
}

TEST_F(ProcessExecutorTest, ForwardsTheServersAddressUnlessIsolated) {
    const TinyServer server("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    const std::string get =
        "python3 -c \"import urllib.request as u; print(u.urlopen('http://169.254.170.2/x',timeout=5).read())\" 2>&1 | "
        "tail -1";
    RunSpec open = script(get);
    open.forward_to = server.address();
    run(open);
    EXPECT_EQ(log_of(open), "b'hello'\n");
    RunSpec isolated = script(get + "; ip -o -4 addr 2>/dev/null | grep -c 169.254; true");
    isolated.forward_to = server.address();
    isolated.network_isolation = true;
    run(isolated);
    EXPECT_NE(log_of(isolated).find("unreachable"), std::string::npos) << log_of(isolated);
}

TEST_F(ProcessExecutorTest, ForwardingCarriesMuchDataAndWaitsForAServer) {
    const std::string body(size_t{20} << 20, 'x');
    const LoopbackSocket listener;
    RunSpec spec = script(
        "python3 -c \"import urllib.request as u; print(len(u.urlopen('http://169.254.170.2/x',timeout=20).read()))\" "
        "2>&1 | tail -1");
    spec.forward_to = listener.address;
    Recorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(recorder.await_start());
    std::this_thread::sleep_for(milliseconds(400));  // the client is refused nothing while nobody listens
    ASSERT_EQ(listen(listener.fd.get(), 4), 0);
    {
        const Fd client(accept(listener.fd.get(), nullptr, nullptr));
        char request[4096];
        ASSERT_GT(read(client.get(), request, sizeof request), 0);
        ASSERT_TRUE(write_all(client.get(), "HTTP/1.0 200 OK\r\n\r\n" + body).has_value());
    }
    recorder.await_end();
    EXPECT_EQ(log_of(spec), std::to_string(body.size()) + "\n");
}

TEST_F(ProcessExecutorTest, ForwardsTheWayOutToAUnixSocketUnlessIsolated) {
    const std::string place = base_ + "/" + std::string(90, 'd');  // longer than the address of a socket
    ASSERT_TRUE(make_directories(place).has_value());
    const std::string path = place + "/egress";
    const Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const Fd folder(open(place.c_str(), O_PATH | O_CLOEXEC));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/egress", folder.get());
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener.get(), 4), 0);
    const std::jthread proxy([&] {
        const Fd client(accept(listener.get(), nullptr, nullptr));
        char request[4096];
        const ssize_t got = read(client.get(), request, sizeof request);
        const std::string head(request, static_cast<size_t>(std::max<ssize_t>(got, 0)));
        static_cast<void>(write_all(client.get(), "HTTP/1.1 200 OK\r\n\r\n" + head.substr(0, head.find('\r'))));
    });
    const std::string get =
        "python3 -c \"import urllib.request as u; "
        "o=u.build_opener(u.ProxyHandler({'http':'http://169.254.170.2:3128'}));"
        "print(o.open('http://index.example/simple/',timeout=5).read())\" 2>&1 | tail -1";
    RunSpec open = script(get);
    open.egress_socket = path;
    run(open);
    EXPECT_EQ(log_of(open), "b'GET http://index.example/simple/ HTTP/1.1'\n");
    RunSpec isolated = script(get);
    isolated.egress_socket = path;
    isolated.network_isolation = true;
    run(isolated);
    EXPECT_NE(log_of(isolated).find("unreachable"), std::string::npos) << log_of(isolated);
}

TEST_F(ProcessExecutorTest, CompanionsLiveAsLongAsTheRun) {
    RunSpec spec = script("while [ ! -e /opt/ml/fed ]; do sleep 0.02; done; cat /opt/ml/fed; cat /opt/ml/orphan");
    const std::string feed = "trap 'echo told; exit 0' TERM; echo begun; echo food > " + ml(spec) +
                             "/fed.new; sleep 1000 & echo $! > " + ml(spec) + "/orphan; mv " + ml(spec) + "/fed.new " +
                             ml(spec) + "/fed; while :; do sleep 0.05; done";
    spec.companions = {{"/bin/sh", "-c", feed}, {"/bin/false"}};
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 0) << outcome.message;
    const std::string log = log_of(spec);
    EXPECT_TRUE(log.starts_with("food\n")) << log;
    const std::string told = content(spec.folder + "/companion.log");
    EXPECT_TRUE(told.starts_with("begun\n") && told.ends_with("told\n")) << told;
    const auto orphan = parse_int(trim(std::string_view(log).substr(5)));
    ASSERT_TRUE(orphan.has_value());
    EXPECT_TRUE(await([&] { return ::kill(static_cast<pid_t>(*orphan), 0) != 0; }));
}

TEST_F(ProcessExecutorTest, ACompanionThatDoesNotListenIsKilledAndAMissingOneFailsTheLaunch) {
    RunSpec spec = script("echo done");
    spec.companions = {{"/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"}};
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(run(spec).hosts.at(0).exit_code, 0);
    EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(4));
    RunSpec missing = script("echo done");
    missing.companions = {{"/no/such/feeder"}};
    const RunOutcome outcome = run(missing);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::LaunchFailed);
    EXPECT_NE(outcome.message.find("/no/such/feeder"), std::string::npos) << outcome.message;
}

TEST_F(ProcessExecutorTest, BeginsInTheWorkingFolder) {
    RunSpec spec = script("pwd");
    ASSERT_TRUE(make_directories(ml(spec) + "/code").has_value());
    spec.working_folder = "/opt/ml/code";
    run(spec);
    EXPECT_EQ(log_of(spec), "/opt/ml/code\n");
    RunSpec missing = script("pwd");
    missing.working_folder = "/opt/ml/none";
    EXPECT_EQ(run(missing).cause, RunOutcome::Cause::LaunchFailed);
}

TEST_F(ProcessExecutorTest, HostsHaveLimitsOfTheirOwn) {
    RunSpec spec = script(
        "[ $HOSTNAME = algo-1 ] || while [ ! -e /opt/ml/shared/go ]; do sleep 0.05; done; python3 -c "
        "\"import time; b=b'x'*(200<<20); time.sleep(1)\" && echo enough || sleep 1; df -k "
        "/dev/shm | tail -1 | awk '{print $2}'; touch /opt/ml/shared/go",
        2);
    ASSERT_TRUE(make_directories(base_ + "/shared").has_value());
    spec.mounts = {{base_ + "/shared", "/opt/ml/shared", Mount::Mode::Writable}};
    spec.host_limits = {spec.limits, spec.limits};
    spec.host_limits[0].memory_bytes = uint64_t{600} << 20;
    spec.host_limits[1].memory_bytes = uint64_t{100} << 20;
    spec.host_limits[1].shared_memory_bytes = uint64_t{8} << 20;
    run(spec);
    EXPECT_EQ(log_of(spec, 0), "enough\n307200\n");
    EXPECT_EQ(log_of(spec, 1).find("enough"), std::string::npos);
    spec.host_limits.pop_back();
    Recorder recorder;
    EXPECT_FALSE(executor_->start(spec, recorder).has_value());
}

TEST_F(ProcessExecutorTest, StopGivesTheCommandTimeToEnd) {
    RunSpec spec =
        script("trap 'echo saving; sleep 0.2; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    Recorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(await([&] { return log_of(spec) == "ready\n"; }));
    ASSERT_TRUE(executor_->request_stop(spec.id).has_value());
    const RunOutcome outcome = recorder.await_end();
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::StopRequested);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 0);
    EXPECT_EQ(log_of(spec), "ready\nsaving\nsaved\n");
    EXPECT_TRUE(executor_->request_stop(spec.id).has_value());  // fine afterwards
}

TEST_F(ProcessExecutorTest, KillsTheWholeTreeAfterTheGrace) {
    const std::string marker = "6" + std::to_string(system_random().below(1000000) + 1000000);
    RunSpec spec = script("trap '' TERM; setsid sleep " + marker + " & setsid sleep " + marker +
                          " & echo ready; while :; do sleep 0.05; done");
    spec.stop_grace = seconds(1);
    Recorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(await([&] { return log_of(spec) == "ready\n"; }));
    const auto before = std::chrono::steady_clock::now();
    ASSERT_TRUE(executor_->request_stop(spec.id).has_value());
    const RunOutcome outcome = recorder.await_end();
    const auto took = std::chrono::steady_clock::now() - before;
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::StopRequested);
    EXPECT_EQ(outcome.hosts.at(0).signal, 9);
    EXPECT_GE(took, milliseconds(950));
    EXPECT_LT(took, seconds(4));
    int alive = 0;
    DIR* folder = opendir("/proc");
    while (const dirent* entry = readdir(folder))
        if (content(std::string("/proc/") + entry->d_name + "/cmdline").find("sleep" + std::string(1, '\0') + marker) ==
            0)
            ++alive;
    closedir(folder);
    EXPECT_EQ(alive, 0);
}

TEST_F(ProcessExecutorTest, KillEndsAtOnce) {
    RunSpec spec = script("trap '' TERM; while :; do sleep 0.05; done", 2);
    Recorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(recorder.await_start());
    const auto before = std::chrono::steady_clock::now();
    ASSERT_TRUE(executor_->kill(spec.id).has_value());
    EXPECT_EQ(recorder.await_end().hosts.at(1).signal, 9);
    EXPECT_LT(std::chrono::steady_clock::now() - before, spec.stop_grace);
}

TEST_F(ProcessExecutorTest, MaxRuntimeIsEnforced) {
    RunSpec spec = script("trap 'exit 0' TERM; while :; do sleep 0.05; done");
    spec.max_runtime = seconds(1);
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::MaxRuntime);
    EXPECT_GE(outcome.ran, milliseconds(1000));
    EXPECT_LT(outcome.ran, seconds(5)) << "without the grace";
}

TEST_F(ProcessExecutorTest, MemoryLimitIsReportedAsOutOfMemory) {
    RunSpec spec = script("exec python3 -c \"b=bytearray(700<<20); print('survived')\"");
    spec.limits.memory_bytes = uint64_t{128} << 20;
    const RunOutcome outcome = run(spec);
    EXPECT_TRUE(outcome.hosts.at(0).out_of_memory);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 137);
    EXPECT_EQ(log_of(spec), "");
}

TEST_F(ProcessExecutorTest, TheWatchdogReplacesTheMemoryGroup) {
    Probe probe = machine();
    probe.control_groups.parents.clear();
    executor_ = make_process_executor({MILLWRIGHT_LAUNCHER, probe, {}});
    RunSpec spec = script("exec python3 -c \"import time; b=b'x'*(500<<20); time.sleep(20); print('survived')\"");
    spec.limits.memory_bytes = uint64_t{128} << 20;
    const RunOutcome outcome = run(spec);
    EXPECT_TRUE(outcome.hosts.at(0).out_of_memory);
    EXPECT_EQ(outcome.hosts.at(0).signal, 9);
    EXPECT_LT(outcome.ran, seconds(5));
}

TEST_F(ProcessExecutorTest, ARunThatWritesTooMuchIsStoppedAsOutOfDisk) {
    for (const char* place : {"/opt/ml", "/tmp", "/opt/ml/input"}) {
        RunSpec spec = script(std::string("sleep 0.3; head -c 400000000 /dev/zero > ") + place +
                              "/big; sync; echo written; sleep 50");
        const std::string source = base_ + "/lower";
        ASSERT_TRUE(make_directories(source).has_value());
        spec.mounts = {{source, "/opt/ml/input", Mount::Mode::Overlay}};
        spec.max_disk_bytes = uint64_t{64} << 20;
        const RunOutcome outcome = run(spec);
        EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited);
        EXPECT_TRUE(outcome.hosts.at(0).out_of_disk) << place;
        EXPECT_FALSE(outcome.hosts.at(0).out_of_memory);
        EXPECT_EQ(outcome.hosts.at(0).exit_code, 137);
        EXPECT_NE(outcome.message.find("more than the 64 MiB of its volume"), std::string::npos) << outcome.message;
        EXPECT_LT(outcome.ran, seconds(40));  // a slow disk lets nobody go before it has written
    }
}

TEST_F(ProcessExecutorTest, DiskThatIsHardToSeeCountsAsWell) {
    // One file under many names counts once, a deleted one that is open counts, and so does a folder without rights.
    const char* const scripts[] = {
        "exec 3> /tmp/gone; rm /tmp/gone; head -c 150000000 /dev/zero >&3; sleep 50",
        "mkdir /tmp/closed; head -c 150000000 /dev/zero > /tmp/closed/x; chmod 000 /tmp/closed; sleep 50",
        "python3 -c \"import os\nfor i in range(900): os.mkdir('d'); os.chdir('d')\"; sleep 50"};
    for (const char* text : scripts) {
        RunSpec spec = script(text);
        spec.max_disk_bytes = uint64_t{64} << 20;
        const RunOutcome outcome = run(spec);
        EXPECT_TRUE(outcome.hosts.at(0).out_of_disk) << text;
        EXPECT_LT(outcome.ran, seconds(40));
    }
}

TEST_F(ProcessExecutorTest, LinksIntoTheStoreAndSecondNamesAreNotCounted) {
    RunSpec spec = script(
        "cat /opt/ml/linked/data > /dev/null; head -c 40000000 /dev/zero > /tmp/a; ln /tmp/a /tmp/b; ln /tmp/a /tmp/c; "
        "sleep 6; echo fine");
    ASSERT_TRUE(make_directories(ml(spec) + "/linked").has_value());
    ASSERT_TRUE(write_file(base_ + "/object", std::string(100 << 20, 'x')).has_value());
    ASSERT_EQ(link((base_ + "/object").c_str(), (ml(spec) + "/linked/data").c_str()), 0);
    spec.max_disk_bytes = uint64_t{64} << 20;
    Recorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    EXPECT_TRUE(await([&] {
        const auto usage = executor_->usage(spec.id);
        return usage && usage->at(0).disk_bytes >= 40000000 && usage->at(0).disk_limit_bytes == spec.max_disk_bytes;
    }));
    const RunOutcome outcome = recorder.await_end();
    EXPECT_FALSE(outcome.hosts.at(0).out_of_disk) << outcome.message;
    EXPECT_EQ(log_of(spec), "fine\n");
    EXPECT_EQ(executor_->usage(spec.id).error().kind, ErrorKind::NotFound);
}

TEST_F(ProcessExecutorTest, AFullDiskIsReported) {
    const std::string small = base_ + "/small";
    ASSERT_TRUE(make_directories(small).has_value());
    if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=64m") != 0) GTEST_SKIP() << "mounting is not permitted here";
    for (const uint64_t reserve : {uint64_t{0}, uint64_t{1} << 30}) {
        RunSpec spec = script("sleep 0.4; head -c 200000000 /dev/zero > /opt/ml/big || { sleep 0.5; exit 3; }");
        specs_.pop_back();
        spec.folder = small + "/" + spec.id;
        spec.log_files = {base_ + "/" + spec.id + ".log"};
        ASSERT_TRUE(make_directories(ml(spec)).has_value());
        ProcessSettings settings{MILLWRIGHT_LAUNCHER, machine(), {}};
        settings.probe.overlay = false;
        settings.disk_reserve_bytes = reserve;
        executor_ = make_process_executor(settings);
        const RunOutcome outcome = run(spec);
        EXPECT_TRUE(outcome.hosts.size() == 1 && outcome.hosts[0].out_of_disk) << outcome.message;
        EXPECT_EQ(outcome.ran < seconds(3), true);
        EXPECT_TRUE(remove_tree(spec.folder).has_value());
    }
    umount2(small.c_str(), MNT_DETACH);
}

TEST_F(ProcessExecutorTest, MeasuresWhatARunUses) {
    for (const bool groups : {true, false}) {
        ProcessSettings settings{MILLWRIGHT_LAUNCHER, machine(), {}};
        if (!groups) settings.probe.control_groups.parents.clear();
        executor_ = make_process_executor(settings);
        RunSpec spec = script(
            "python3 -c \"import time; b=b'x'*(60<<20); t=time.time()\nwhile time.process_time()<0.5: "
            "pass\nopen('/tmp/f','wb').write(b[:20<<20]); "
            "time.sleep(30)\"");
        Recorder recorder;
        ASSERT_TRUE(executor_->start(spec, recorder).has_value());
        EXPECT_TRUE(await([&] {
            const auto usage = executor_->usage(spec.id);
            return usage && usage->at(0).cpu >= milliseconds(450) && usage->at(0).memory_bytes > (50u << 20) &&
                   usage->at(0).disk_bytes >= (20u << 20);
        }));
        const auto usage = executor_->usage(spec.id);
        ASSERT_TRUE(usage.has_value());
        EXPECT_LT(usage->at(0).cpu, seconds(5));
        EXPECT_LT(usage->at(0).memory_bytes, spec.limits.memory_bytes);
        EXPECT_EQ(usage->at(0).memory_limit_bytes, spec.limits.memory_bytes);
        ASSERT_TRUE(executor_->kill(spec.id).has_value());
        recorder.await_end();
    }
}

TEST_F(ProcessExecutorTest, AForkBombIsBounded) {
    if (!machine().control_groups.has("pids") && geteuid() == 0)
        GTEST_SKIP() << "root has no limit of processes without a pids group";
    RunSpec spec = script("i=0; while [ $i -lt 300 ]; do sleep 5 & i=$((i+1)); done; echo all");
    spec.limits.max_processes = 40;
    spec.stop_grace = seconds(1);
    const RunOutcome outcome = run(spec);
    EXPECT_NE(outcome.hosts.at(0).exit_code, 0);
    EXPECT_EQ(log_of(spec).find("all\n"), std::string::npos);
    EXPECT_NE(log_of(spec).find("fork"), std::string::npos) << log_of(spec);
}

TEST_F(ProcessExecutorTest, LogsKeepOrderEscapesAndLastLines) {
    RunSpec spec = script(
        "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; printf 'back\\\\slash\\n'; printf 'no end'");
    run(spec);
    const std::string log = log_of(spec);
    std::string expected;
    for (int i = 0; i < 2000; ++i) expected += "line " + std::to_string(i) + "\n";
    EXPECT_EQ(log, expected + "back\\\\slash\nno end\n");
    int64_t last = 0;
    const std::string text = content(spec.log_files[0]);
    for (const std::string_view line : split(text, '\n')) {
        if (line.empty()) continue;
        const int64_t time = parse_int(line.substr(0, line.find(' '))).value_or(-1);
        ASSERT_GE(time, last);
        last = time;
    }
}

TEST_F(ProcessExecutorTest, ALineWithoutEndIsCutIntoEvents) {
    RunSpec spec = script(
        "head -c 3000000 /dev/zero | tr '\\0' 'a'; echo; head -c 262144 /dev/zero | tr '\\0' 'b'; echo; echo end");
    run(spec);
    const std::string log = log_of(spec);
    size_t total = 0, longest = 0;
    for (const std::string_view line : split(log, '\n')) {
        longest = std::max(longest, line.size());
        if (line.starts_with("a")) total += line.size();
    }
    EXPECT_EQ(longest, size_t{262144});
    EXPECT_EQ(total, size_t{3000000});
    EXPECT_TRUE(log.ends_with("b\nend\n"));
    const auto events = read_events(spec.log_files[0], 0, 1000, size_t{1} << 30);
    ASSERT_TRUE(events.has_value());
    ASSERT_EQ(events->size(), size_t{12 + 1 + 1});
    EXPECT_EQ(events->back().message, "end");
}

TEST_F(ProcessExecutorTest, AnotherExecutorAdoptsARunningRun) {
    RunSpec spec = script("echo begun; while [ ! -e /opt/ml/go ]; do sleep 0.02; done; exit 4");
    Recorder first;
    ASSERT_TRUE(executor_->start(spec, first).has_value());
    ASSERT_TRUE(first.await_start());
    executor_ = make();
    Recorder second;
    ASSERT_TRUE(executor_->adopt(spec.id, spec.folder, second).has_value());
    EXPECT_TRUE(second.await_start());
    EXPECT_EQ(executor_->adopt(spec.id, spec.folder, second).error().kind, ErrorKind::AlreadyExists);
    ASSERT_TRUE(write_file(ml(spec) + "/go", "").has_value());
    EXPECT_EQ(second.await_end().hosts.at(0).exit_code, 4);
    EXPECT_EQ(first.ends(), 0);
    EXPECT_EQ(second.ends(), 1);
}

TEST_F(ProcessExecutorTest, AnAdoptedRunCanBeStopped) {
    RunSpec spec = script("exec sleep 1000");
    Recorder first, second;
    ASSERT_TRUE(executor_->start(spec, first).has_value());
    executor_ = make();
    ASSERT_TRUE(executor_->adopt(spec.id, spec.folder, second).has_value());
    ASSERT_TRUE(executor_->request_stop(spec.id).has_value());
    const RunOutcome outcome = second.await_end();
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::StopRequested) << outcome.message;
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 143);
}

TEST_F(ProcessExecutorTest, AnEndedRunIsReportedOnAdoption) {
    RunSpec spec = script("exit 5");
    run(spec);
    executor_ = make();
    Recorder recorder;
    ASSERT_TRUE(executor_->adopt(spec.id, spec.folder, recorder).has_value());
    EXPECT_EQ(recorder.await_end().hosts.at(0).exit_code, 5);
    EXPECT_EQ(executor_->start(spec, recorder).error().kind, ErrorKind::AlreadyExists);
}

TEST_F(ProcessExecutorTest, ARunThatNeverBeganIsLostAndStaysSo) {
    RunSpec spec = script("true");
    Recorder recorder;
    ASSERT_TRUE(write_file(spec.folder + "/" + kLaunchFile, "a launcher that has not come this far").has_value());
    ASSERT_TRUE(executor_->adopt(spec.id, spec.folder, recorder).has_value());
    EXPECT_EQ(recorder.await_end().cause, RunOutcome::Cause::Lost);
    EXPECT_FALSE(file_exists(spec.folder + "/" + kLaunchFile));  // a late launcher finds nothing to do
}

TEST_F(ProcessExecutorTest, ADeadLauncherTakesItsRunAlong) {
    RunSpec spec = script(
        "echo $$ > /opt/ml/pid; trap '' TERM; setsid sleep 1000 & while :; do echo x >> /opt/ml/alive; sleep 0.01; "
        "done");
    Recorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(await([&] { return file_exists(ml(spec) + "/alive"); }));
    const auto launcher = owner_of_run(spec.folder);
    ASSERT_TRUE(launcher.has_value());
    ASSERT_GT(launcher->pid, 0);
    ASSERT_EQ(::kill(launcher->pid, SIGKILL), 0);
    const RunOutcome outcome = recorder.await_end();
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::Lost);
    executor_->clean_up(spec.id, spec.folder);
    const std::string after = content(ml(spec) + "/alive");
    std::this_thread::sleep_for(milliseconds(100));
    EXPECT_EQ(content(ml(spec) + "/alive"), after);
    for (const ControlGroupParent& parent : machine().control_groups.parents)
        EXPECT_FALSE(file_exists(parent.folder + "/" + control_group_name(spec.id, 0)));
}

// The server dies at some moment around start(): what it was promised happens, what it was not is not half done.
TEST_F(ProcessExecutorTest, AServerKilledWhileStartingLosesNothing) {
    for (int i = 0; i < 25; ++i) {
        RunSpec spec = script("echo ran >> /opt/ml/ran");
        int ends[2];
        ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
        const Fd reading(ends[0]);
        Fd writing(ends[1]);
        const pid_t server = fork();
        if (server == 0) {
            Recorder ignored;
            const auto own = make();
            if (own->start(spec, ignored)) static_cast<void>(write_all(ends[1], "y").has_value());
            ::kill(getpid(), SIGKILL);
        }
        writing.reset();
        if (i > 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(200 * i));
            ::kill(server, SIGKILL);
        }
        waitpid(server, nullptr, 0);
        char promised = 0;
        static_cast<void>(read(reading.get(), &promised, 1));
        Recorder recorder;
        ASSERT_TRUE(executor_->adopt(spec.id, spec.folder, recorder).has_value());
        const RunOutcome outcome = recorder.await_end();
        if (outcome.cause == RunOutcome::Cause::Lost) {
            EXPECT_EQ(promised, 0);
            EXPECT_FALSE(file_exists(ml(spec) + "/ran"));
        } else {
            EXPECT_EQ(outcome.cause, RunOutcome::Cause::Exited) << outcome.message;
            EXPECT_EQ(content(ml(spec) + "/ran"), "ran\n");
        }
    }
}

// Counts of what runs could leave on the machine.
struct Leftovers {
    size_t mounts = 0, groups = 0, namespaces = 0, zombies = 0;
};
Leftovers count_leftovers(const std::vector<RunSpec>& specs, const std::string& folder_of_runs) {
    Leftovers found;
    // Below the runs' folder only: others mount things on this machine, too.
    const std::string mounts = read_file("/proc/self/mountinfo").value_or("");
    for (const std::string_view line : split(mounts, '\n'))
        if (line.find(folder_of_runs) != std::string_view::npos) ++found.mounts;
    for (const ControlGroupParent& parent : machine().control_groups.parents)
        for (const RunSpec& spec : specs)
            for (int host = 0; host < spec.hosts; ++host)
                if (file_exists(parent.folder + "/" + control_group_name(spec.id, host))) ++found.groups;
    DIR* folder = opendir("/proc");
    while (const dirent* entry = readdir(folder)) {
        const auto status = read_file(std::string("/proc/") + entry->d_name + "/stat");
        if (!status) continue;
        const auto fields = split(std::string_view(*status).substr(status->rfind(')') + 2), ' ');  // state, parent, …
        if (status->find("(init)") != std::string::npos && fields[0] != "Z" && fields[1] == "1" &&
            !status->starts_with("1 "))
            ++found.namespaces;
        if (fields[0] == "Z" && fields[1] == std::to_string(getpid())) ++found.zombies;
    }
    closedir(folder);
    return found;
}

TEST_F(ProcessExecutorTest, NothingIsLeftAfterManyRuns) {
    std::vector<RunSpec> specs;
    std::vector<std::unique_ptr<Recorder>> recorders;
    const char* scripts[] = {"true", "exit 1", "setsid sleep 100 & exit 0", "kill -9 $$", "exec sleep 100"};
    for (int i = 0; i < 20; ++i) {
        specs.push_back(script(scripts[i % 5], i % 4 == 3 ? 2 : 1));
        specs.back().stop_grace = seconds(1);
        recorders.push_back(std::make_unique<Recorder>());
        ASSERT_TRUE(executor_->start(specs.back(), *recorders.back()).has_value());
        if (i % 5 != 4) continue;
        ASSERT_TRUE((i % 2 ? executor_->kill(specs.back().id) : executor_->request_stop(specs.back().id)).has_value());
    }
    for (size_t i = 0; i < specs.size(); ++i) {
        const RunOutcome outcome = recorders[i]->await_end();
        EXPECT_TRUE(outcome.cause == RunOutcome::Cause::Exited || outcome.cause == RunOutcome::Cause::StopRequested)
            << outcome.message;
        executor_->clean_up(specs[i].id, specs[i].folder);
    }
    for (const auto& recorder : recorders) EXPECT_EQ(recorder->ends(), 1);
    // The first process of a run whose launcher was killed by an earlier test may still be going.
    EXPECT_TRUE(await([&] { return count_leftovers(specs, base_).namespaces == 0; }));
    const Leftovers left = count_leftovers(specs, base_);
    EXPECT_EQ(left.mounts, 0u);
    EXPECT_EQ(left.groups, 0u);
    EXPECT_EQ(left.namespaces, 0u);
    EXPECT_EQ(left.zombies, 0u);
}

TEST(ProcessExecutor, RefusesRunsWithoutNamespacesAndSaysWhy) {
    Probe probe;
    probe.missing = "T1: cannot make namespaces (Operation not permitted)";
    const auto executor = make_process_executor({MILLWRIGHT_LAUNCHER, probe, {}});
    Recorder recorder;
    const auto result = executor->start(RunSpec{}, recorder);
    ASSERT_FALSE(result.has_value());
    EXPECT_NE(result.error().message.find("cannot make namespaces"), std::string::npos);
}

TEST_F(ProcessExecutorTest, RefusesBadSpecs) {
    Recorder recorder;
    const auto refused = [&](const std::function<void(RunSpec&)>& change) {
        RunSpec spec = script("true");
        change(spec);
        return !executor_->start(spec, recorder).has_value();
    };
    EXPECT_TRUE(refused([](RunSpec& spec) { spec.id = "../x"; }));
    EXPECT_TRUE(refused([](RunSpec& spec) { spec.hosts = 0; }));
    EXPECT_TRUE(refused([](RunSpec& spec) { spec.hosts = 2; }));  // one log file
    EXPECT_TRUE(refused([](RunSpec& spec) { spec.command.clear(); }));
    EXPECT_TRUE(refused([](RunSpec& spec) { spec.environment["A=B"] = ""; }));
    EXPECT_TRUE(refused([](RunSpec& spec) { spec.mounts = {{"relative", "/x", Mount::Mode::ReadOnly}}; }));
    EXPECT_TRUE(refused([](RunSpec& spec) { spec.limits.memory_bytes = 0; }));
    EXPECT_TRUE(refused([](RunSpec& spec) { spec.folder += "/missing"; }));
}

}  // namespace
}  // namespace millwright::executors
