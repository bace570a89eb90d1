// Scripts that mean harm: what they get, what they leave, and how fast they can be stopped.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executors/process/run_folder.h"
#include "executors/process/run_test_fixture.h"

namespace millwright::executors {
namespace {

constexpr seconds kStopBudget{5};

class HostileTest : public RunTest {
  protected:
    // Starts it, lets it rage (from when it has said `ready`, if that is anything), stops it; returns how long the end
    // took from the request.
    milliseconds rage(RunSpec spec, milliseconds time, RunOutcome& outcome, const std::string& ready = "") {
        spec.stop_grace = seconds(1);
        RunRecorder recorder;
        EXPECT_TRUE(executor_->start(spec, recorder).has_value());
        EXPECT_TRUE(recorder.await_start());
        EXPECT_TRUE(ready.empty() || await([&] { return log_of(spec) == ready; })) << log_of(spec);
        std::this_thread::sleep_for(time);
        const auto before = std::chrono::steady_clock::now();
        EXPECT_TRUE(executor_->request_stop(spec.id).has_value());
        outcome = recorder.await_end();
        return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - before);
    }
    // How long a small run takes, beside whatever else goes on.
    milliseconds small_run() {
        const auto before = std::chrono::steady_clock::now();
        EXPECT_EQ(run(script("echo small")).hosts.at(0).exit_code, 0);
        return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - before);
    }
    // Python that prints "open: <what>" for every attempt that succeeds.
    RunSpec attempts(const std::string& lines) {
        RunSpec spec = script("");
        const std::string text = R"(
import ctypes, os, socket, sys
def attempt(what, action):
    try:
        result = action()
    except Exception:
        return
    if result is not False:
        print('open:', what, result)
def connect(address, port, family=socket.AF_INET):
    s = socket.socket(family)
    s.settimeout(0.05)
    s.connect((address, port) if family != socket.AF_UNIX else address)
)" + lines + "\nprint('tried')\n";
        EXPECT_TRUE(write_file(ml(spec) + "/attempts.py", text).has_value());
        spec.command = {"/usr/bin/env", "python3", "/opt/ml/attempts.py"};
        return spec;
    }
};

TEST_F(HostileTest, AForkBombStopsInTimeAndLeavesNothing) {
    if (!machine().control_groups.has("pids") && geteuid() == 0)
        GTEST_SKIP() << "root has no limit of processes without a pids group";
    RunSpec spec = attempts(R"(
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    attempt('', lambda: os.fork() < 0)
)");
    spec.limits.max_processes = 500;
    spec.limits.memory_bytes = uint64_t{4} << 30;  // not what is tested here
    RunOutcome outcome;
    EXPECT_LT(rage(spec, milliseconds(1500), outcome), kStopBudget);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::StopRequested);
    executor_->clean_up(spec.id, spec.folder);
    for (const ControlGroupParent& parent : machine().control_groups.parents)
        EXPECT_FALSE(file_exists(parent.folder + "/" + control_group_name(spec.id, 0)));
    small_run();
}

TEST_F(HostileTest, AMemoryBombOfManyProcessesIsOutOfMemory) {
    RunSpec spec = script(
        "exec python3 -c \"import os,time\nfor i in range(6):\n  if os.fork() == 0: "
        "break\nb=b'x'*(200<<20)\ntime.sleep(1)\nos.wait()\nos._exit(1)\"");
    spec.stop_grace = seconds(1);
    const RunOutcome outcome = run(spec);
    EXPECT_TRUE(outcome.hosts.at(0).out_of_memory);
    EXPECT_LT(outcome.ran, seconds(10));
}

TEST_F(HostileTest, AnEndlessLineIsCutAndBounded) {
    RunSpec spec = script("head -c 200000000 /dev/zero | tr '\\0' x; echo; echo last words; exit 3");
    spec.max_log_bytes = uint64_t{8} << 20;
    const RunOutcome outcome = run(spec);
    EXPECT_EQ(outcome.hosts.at(0).exit_code, 3);
    struct stat status {};
    ASSERT_EQ(stat(spec.log_files[0].c_str(), &status), 0);
    EXPECT_LT(status.st_size, 9 << 20);
    const std::string log = log_of(spec);
    EXPECT_NE(log.find("the limit of the log is reached"), std::string::npos);
    EXPECT_TRUE(log.ends_with("\nlast words\n"));
    RunSpec endless = script("trap '' TERM; exec tr '\\0' x < /dev/zero");
    endless.max_log_bytes = uint64_t{1} << 20;
    RunOutcome stopped;
    EXPECT_LT(rage(endless, milliseconds(1000), stopped), kStopBudget);
}

TEST_F(HostileTest, RemovingEverythingRemovesOnlyItsOwn) {
    const std::string source = base_ + "/source", neighbour = base_ + "/neighbour";
    for (const std::string& folder : {source, neighbour}) {
        ASSERT_TRUE(make_directories(folder).has_value());
        ASSERT_TRUE(write_file(folder + "/file", "kept\n").has_value());
    }
    // Only where all that is the machine's can be told to be read-only: a hole would cost the machine its files.
    RunSpec spec = script(
        "for p in /usr /bin /opt/* /etc/ssl/certs; do touch $p/.mine 2>/dev/null && [ $p != /opt/ml ] && echo hole $p "
        "&& exit 9; done;"
        "rm -rf /opt /tmp /root /etc /home 2>/dev/null; timeout 2 rm -rf --no-preserve-root / 2>/dev/null; /bin/ls "
        "/opt/ml/own /opt/ml/overlay 2>/dev/null; exit 0");
    ASSERT_TRUE(make_directories(ml(spec) + "/own").has_value());
    ASSERT_TRUE(write_file(ml(spec) + "/own/file", "gone\n").has_value());
    spec.mounts = {{source, "/opt/ml/overlay", Mount::Mode::Overlay},
                   {neighbour, "/opt/ml/read", Mount::Mode::ReadOnly}};
    const RunOutcome outcome = run(spec);
    ASSERT_EQ(outcome.hosts.at(0).exit_code, 0) << log_of(spec);
    EXPECT_EQ(content(source + "/file"), "kept\n");
    EXPECT_EQ(content(neighbour + "/file"), "kept\n");
    EXPECT_FALSE(file_exists(ml(spec) + "/own/file"));
    EXPECT_TRUE(file_exists("/usr/bin/env"));
    small_run();
}

TEST_F(HostileTest, NothingOfOthersCanBeRead) {
    RunSpec victim = script("echo secret > /opt/ml/secret; echo secret > /tmp/secret; exec sleep 1000");
    victim.environment = {{"TOKEN", "sesame-4711"}};
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(victim, recorder).has_value());
    ASSERT_TRUE(await([&] { return file_exists(ml(victim) + "/secret"); }));
    const auto launcher = owner_of_run(victim.folder);
    ASSERT_TRUE(launcher.has_value());
    RunSpec spec = attempts(R"(
victim = ')" + victim.folder +
                            R"('
base = ')" + base_ + R"('
for path in [victim, victim + '/launch', victim + '/algo-1/ml/secret', base, '/etc/shadow', '/root/.aws', '/work',
             '/proc/1/root/etc', '/proc/1/cwd/..', '/proc/1/environ', '/proc/1/maps', '/proc/1/mem',
             '/proc/1/fd/3', '/dev/mem', '/dev/kmsg',
             '/proc/kcore', '/proc/kallsyms_secret', '/sys/fs/cgroup', '/sys/kernel', '/dev/vda', '/proc/)" +
                            std::to_string(launcher->pid) + R"(/environ']:
    attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1))
    link = '/opt/ml/link'
    if os.path.lexists(link): os.unlink(link)
    os.symlink(path, link)
    attempt('link to ' + path, lambda: os.listdir(link) if os.path.isdir(link) else open(link, 'rb').read(1))
os.unlink('/opt/ml/link')
def climb():
    fd = os.open('/', os.O_RDONLY)
    for _ in range(64): fd = os.open('..', os.O_RDONLY, dir_fd=fd)
    return False if os.path.sameopenfile(fd, os.open('/', os.O_RDONLY)) else 'out'
attempt('climbing', climb)
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
for call in [PTRACE_ATTACH, PTRACE_SEIZE]:
    attempt('ptrace of pid 1', lambda: libc.ptrace(call, 1, 0, 0) == 0)
    attempt('ptrace of the launcher', lambda: libc.ptrace(call, )" +
                            std::to_string(launcher->pid) + R"(, 0, 0) == 0)
attempt('killing the launcher', lambda: os.kill()" +
                            std::to_string(launcher->pid) + R"(, 9))
class Vector(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]
local, remote = Vector(ctypes.addressof(ctypes.create_string_buffer(8)), 8), Vector(0x400000, 8)
attempt('the memory of pid 1', lambda: libc.process_vm_readv(1, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 8)
for name in ['mnt', 'net', 'user', 'pid']:
    attempt('joining ' + name, lambda: libc.setns(os.open('/proc/1/ns/' + name, os.O_RDONLY), 0) == 0)
for entry in os.listdir('/proc'):
    if entry.isdigit() and entry not in ('1', str(os.getpid())):
        print('open: process', entry)
)");
    EXPECT_EQ(run(spec).hosts.at(0).exit_code, 0);
    EXPECT_EQ(log_of(spec), "tried\n");
    EXPECT_EQ(content("/proc/" + std::to_string(launcher->pid) + "/comm").substr(0, 15), "millwright-laun");
    ASSERT_TRUE(executor_->kill(victim.id).has_value());
    recorder.await_end();
}

TEST_F(HostileTest, NobodyCanBeReachedButTheServer) {
    // A service of the machine on every address, and one on an abstract unix socket.
    const Fd service(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t size = sizeof address;
    ASSERT_EQ(bind(service.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(listen(service.get(), 16), 0);
    getsockname(service.get(), reinterpret_cast<sockaddr*>(&address), &size);
    const std::string port = std::to_string(ntohs(address.sin_port));
    RunSpec other = script("exec python3 -m http.server 8099 --bind 0.0.0.0");
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(other, recorder).has_value());
    ASSERT_TRUE(recorder.await_start());
    for (const bool isolated : {false, true}) {
        RunSpec spec = attempts("port = " + port + R"(
for address in ['127.0.0.1', '0.0.0.0', '169.254.170.2', '10.254.0.1', '10.254.0.2', '10.254.255.254', '169.254.169.254',
                '1.1.1.1',
                '224.0.0.1', '255.255.255.255']:
    for number in [port, 22, 53, 443, 3128, 8099] + ([80] if address != '169.254.170.2' or isolated else []):
        attempt(f'{address}:{number}', lambda: connect(address, number))
for address in ['::1', '::ffff:127.0.0.1', 'fe80::1%eth0', 'ff02::1%eth0', '2606:4700::1111']:
    attempt(address, lambda: connect(address, port, socket.AF_INET6))
for name in ['\0millwright', '/run/dbus/system_bus_socket', '/var/run/docker.sock']:
    attempt(name, lambda: connect(name, 0, socket.AF_UNIX))
for family in [socket.AF_PACKET, getattr(socket, 'AF_VSOCK', 40), getattr(socket, 'AF_BLUETOOTH', 31), 38]:
    attempt(f'family {family}', lambda: socket.socket(family, socket.SOCK_RAW))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt('names', lambda: socket.getaddrinfo('example.org', 80))
def add_address():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    # RTM_NEWADDR of 10.254.0.77/16 on eth0
    body = bytes([2, 16, 0, 0]) + socket.if_nametoindex('eth0').to_bytes(4, 'little') + b'\x08\0\x02\0' + bytes([10, 254, 0, 77])
    s.send((16 + len(body)).to_bytes(4, 'little') + (20).to_bytes(2, 'little') + (0x605).to_bytes(2, 'little') + bytes(8) + body)
    return int.from_bytes(s.recv(4096)[16:20], 'little') == 0
attempt('a new address', add_address)
)");
        const std::string path = ml(spec) + "/attempts.py";
        ASSERT_TRUE(write_file(path, std::string("isolated = ") + (isolated ? "True" : "False") + "\n" + content(path))
                        .has_value());
        spec.network_isolation = isolated;
        spec.forward_to = "127.0.0.1:" + port;
        EXPECT_EQ(run(spec).hosts.at(0).exit_code, 0);
        EXPECT_EQ(log_of(spec), "tried\n");
    }
    ASSERT_TRUE(executor_->kill(other.id).has_value());
    recorder.await_end();
}

TEST_F(HostileTest, AllTheConnectionsOfOneRunDoNotBlockTheNext) {
    const LoopbackSocket service;
    ASSERT_EQ(listen(service.fd.get(), 1024), 0);
    RunSpec spec = attempts(R"(
import time
sockets = []
for _ in range(2000):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(('169.254.170.2', 80))
    sockets.append(s)
print('flooded', flush=True)
time.sleep(1000)
)");
    spec.forward_to = service.address;
    RunOutcome outcome;
    EXPECT_LT(rage(spec, milliseconds(100), outcome, "flooded\n"), kStopBudget);
    EXPECT_EQ(log_of(spec), "flooded\n");
    small_run();
}

}  // namespace
}  // namespace millwright::executors
