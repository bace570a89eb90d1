// Runs whose file system is an image: as the machine permits it, with copies instead of an overlay, and below a user
// namespace.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

#include "executors/process/image_run_fixture.h"

namespace millwright::executors {
namespace {

TEST_P(ImageRunTest, TheImageIsTheRootAndStaysAsItWas) {
    RunSpec spec = image_script(
        "cat /marker; ls -d /work /root /var 2>/dev/null; test -e /etc/debian_version && echo machine;"
        "echo changed > /marker; echo new > /new; rm /etc/passwd; cat /marker /new; touch /usr/new 2>/dev/null && echo "
        "hole; true");
    EXPECT_EQ(output_of(spec), "skeleton\nchanged\nnew\n");
    EXPECT_EQ(content(skeleton_ + "/marker"), "skeleton\n");
    EXPECT_FALSE(file_exists(skeleton_ + "/new"));
}

TEST_P(ImageRunTest, OnlyTheFoldersOfOptMlAreMounted) {
    RunSpec spec =
        image_script("cat /opt/ml/code/baked; cat /opt/ml/input/given; echo made > /opt/ml/model/out; ls /opt/ml");
    ASSERT_TRUE(write_file(ml(spec) + "/input/given", "given\n").has_value());
    ASSERT_TRUE(write_file(ml(spec) + "/not-shown", "").has_value());
    EXPECT_EQ(output_of(spec), "in the image\ngiven\ncode\ninput\nmodel\noutput\n");
    EXPECT_EQ(content(ml(spec) + "/model/out"), "made\n");
    EXPECT_EQ(content(skeleton_ + "/opt/ml/code/baked"), "in the image\n");
}

TEST_P(ImageRunTest, LayersHideAndRemoveWhatLiesBelow) {
    const std::string first = layer("first"), second = layer("second"), third = layer("third");
    for (const char* path : {"d/a", "d/b", "gone/x", "opaque/old", "swap", "kept/deep/file"})
        place(first, path, std::string("first ") + path + "\n");
    place(second, "d/b", "second d/b\n");
    white_out(second, "d/a");
    white_out(second, "gone");
    place(second, "opaque/new", "second\n");
    hide_below(second, "opaque");
    place(third, "swap", "third swap\n");
    link(third, "link", "swap");
    ASSERT_EQ(::link((third + "/swap").c_str(), (third + "/same").c_str()), 0);
    RunSpec spec = image_script(
        "cd /; find d gone opaque swap kept link -type f -o -type l 2>/dev/null | sort; cat d/b link; echo more >> "
        "same;"
        "cat swap",
        {first, second, third});
    EXPECT_EQ(output_of(spec), "d/b\nkept/deep/file\nlink\nopaque/new\nswap\nsecond d/b\nthird swap\nthird swap\n" +
                                   std::string(machine().overlay && GetParam() != Way::Copies ? "" : "more\n"));
    EXPECT_EQ(content(third + "/swap"), "third swap\n");
}

TEST_P(ImageRunTest, NamesKernelViewsAndDevicesAreThoseOfEveryRun) {
    RunSpec spec = image_script(
        "hostname; cat /etc/hostname; grep -c algo-1 /etc/hosts; cat /etc/resolv.conf | head -1; cat /proc/1/comm;"
        "echo x > /dev/null; head -c 4 /dev/urandom | wc -c; df /dev/shm | grep -c shm; ls /sys/devices/system;"
        "touch /proc/sysrq-trigger 2>/dev/null || true; echo b > /proc/sysrq-trigger 2>/dev/null && echo hole;"
        "ls /proc | grep -c '^[0-9]'; stat -c %a /tmp; touch /tmp/file; ls /dev/pts /dev/ptmx; id -u; ls -l /dev/fd | "
        "cut -d' ' -f9-");
    const std::string log = output_of(spec);
    EXPECT_TRUE(log.starts_with("algo-1\nalgo-1\n1\nnameserver 127.0.0.1\ninit\n4\n1\ncpu\n")) << log;
    EXPECT_TRUE(log.ends_with("\n1777\n/dev/ptmx\n\n/dev/pts:\nptmx\n0\n/dev/fd -> /proc/self/fd\n")) << log;
    EXPECT_EQ(log.find("hole"), std::string::npos);
}

TEST_P(ImageRunTest, EntryPointArgumentsEnvironmentAndFolderFollowTheImage) {
    RunSpec spec = image_script("");
    spec.image->config.entrypoint = {"/bin/sh", "-c", "echo \"$0 $*\"; pwd; echo $ONE $TWO $HOME"};
    spec.image->config.command = {"from", "cmd"};
    spec.image->config.environment = {"ONE=image", "TWO=image", "PATH=/usr/bin", "=bad", "also-bad"};
    spec.image->config.working_folder = "/srv/made/here";
    spec.environment = {{"TWO", "request"}};
    spec.command = {"train"};
    EXPECT_EQ(output_of(spec), "train \n/srv/made/here\nimage request /root\n");
    RunSpec cmd = spec;
    cmd.id += "-cmd";
    cmd.folder = base_ + "/cmd";
    cmd.command.clear();
    cmd.log_files = {base_ + "/cmd.log"};
    ASSERT_TRUE(make_directories(ml(cmd)).has_value());
    specs_.push_back(cmd);
    EXPECT_TRUE(output_of(cmd).starts_with("from cmd\n")) << log_of(cmd);
    RunSpec replaced = cmd;
    replaced.id += "2";
    replaced.folder = base_ + "/replaced";
    replaced.image->entrypoint = std::vector<std::string>{"sh", "-c", "pwd; env"};
    replaced.image->config.working_folder.clear();
    ASSERT_TRUE(make_directories(ml(replaced)).has_value());
    replaced.log_files = {base_ + "/replaced.log"};
    specs_.push_back(replaced);
    EXPECT_TRUE(output_of(replaced).starts_with("/\n"));
    EXPECT_NE(log_of(replaced).find("TWO=request\n"), std::string::npos);
    RunSpec nothing = replaced;
    nothing.image->entrypoint = std::vector<std::string>{};
    RunRecorder recorder;
    const auto refused = executor_->start(nothing, recorder);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message, "the image has neither an entry point nor a command");
}

TEST_P(ImageRunTest, TheUserOfTheImageIsTheOneInside) {
    const std::string users = layer("users");
    place(users, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nworker:x:1234:1235::/home/worker:/bin/sh\n");
    place(users, "etc/group", "root:x:0:\nworker:x:1235:\nshared:x:1300:other,worker\nothers:x:1301:other\n");
    const std::string text =
        "echo $(id -u):$(id -g):$(id -G) $HOME; touch /opt/ml/model/made /opt/ml/output/made /tmp/made && echo wrote;"
        "touch /etc/made 2>/dev/null && echo hole; echo said > /dev/stdout; cat /opt/ml/input/given;"
        "grep CapEff /proc/self/status";
    const std::map<std::string, std::string> known = {{"worker", "1234:1235:1235 1300 /home/worker"},
                                                      {"1234", "1234:1235:1235 1300 /home/worker"},
                                                      {"worker:shared", "1234:1300:1300 /home/worker"},
                                                      {"5000", "5000:0:0 /"},
                                                      {"5000:6000", "5000:6000:6000 /"}};
    const bool foreign = geteuid() == 0 && GetParam() != Way::UserNamespace;
    for (const auto& [user, said] : known) {
        RunSpec spec = image_script(text, {users});
        spec.image->config.user = user;
        ASSERT_TRUE(write_file(ml(spec) + "/input/given", "given\n").has_value());
        if (foreign)
            EXPECT_EQ(output_of(spec), said + "\nwrote\nsaid\ngiven\nCapEff:\t0000000000000000\n") << user;
        else  // the one user of its namespace
            EXPECT_TRUE(output_of(spec).starts_with("0:0:0 /root\nwrote\nhole\nsaid\n")) << user;
    }
    if (!foreign) return;
    for (const char* user : {"absent", "worker:absent", "4294967295", "-1"}) {
        RunSpec spec = image_script(text, {users});
        spec.image->config.user = user;
        const RunOutcome outcome = run(spec);
        EXPECT_EQ(outcome.cause, RunOutcome::Cause::LaunchFailed);
        EXPECT_TRUE(outcome.message.starts_with("the image has no ")) << outcome.message;
    }
}

TEST_P(ImageRunTest, LinksInAHostileImageLeadNowhereOutside) {
    const std::string victim = base_ + "/victim";
    ASSERT_TRUE(make_directories(victim + "/etc").has_value());
    ASSERT_TRUE(write_file(victim + "/etc/hosts", "untouched\n").has_value());
    const std::string evil = layer("evil");
    for (const char* name : {"dev", "proc", "sys", "tmp", "srv", "run"}) link(evil, name, victim);
    link(evil, "etc", victim + "/etc");
    ASSERT_TRUE(make_directories(evil + "/opt/ml").has_value());
    link(evil, "opt/ml/model", victim);
    RunSpec spec = image_script("true");
    // Without the skeleton's folders, which would be merged with these.
    spec.image->layers = {evil};
    spec.mounts.push_back({"/lib64", "/lib64", Mount::Mode::ReadOnly});
    spec.image->config.working_folder = "/srv";
    spec.command = {"/usr/bin/env", "true"};
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    const RunOutcome outcome = recorder.await_end();  // it may run or be refused
    EXPECT_EQ(content(victim + "/etc/hosts"), "untouched\n") << outcome.message;
    EXPECT_FALSE(file_exists(victim + "/pts"));
    EXPECT_FALSE(file_exists(victim + "/hosts"));
    EXPECT_FALSE(file_exists(victim + "/etc/hostname"));
}

// A folder in one layer is a link in another: the later one counts, and nobody follows the link.
TEST_P(ImageRunTest, LayersDoNotWriteThroughEachOthersLinks) {
    const std::string victim = base_ + "/victim";
    ASSERT_TRUE(make_directories(victim + "/sub").has_value());
    ASSERT_TRUE(write_file(victim + "/precious", "untouched\n").has_value());
    const std::string first = layer("first"), second = layer("second"), third = layer("third");
    for (const char* name : {"a", "b", "gone", "opaque"}) link(first, name, victim);
    link(first, "file", victim + "/precious");
    place(second, "a/precious", "own\n");
    place(second, "file", "own\n");
    place(second, "opaque/sub/x", "own\n");
    hide_below(second, "opaque");
    white_out(second, "gone");
    place(third, "a/sub/x", "third\n");
    link(third, "b", "../../../../" + victim);
    RunSpec spec = image_script("cd /; cat a/precious file opaque/sub/x a/sub/x; ls b/ gone 2>/dev/null; echo end",
                                {first, second, third});
    EXPECT_EQ(output_of(spec), "own\nown\nown\nthird\nend\n");
    EXPECT_EQ(content(victim + "/precious"), "untouched\n");
    EXPECT_FALSE(file_exists(victim + "/sub/x"));
}

TEST_P(ImageRunTest, HostsReachEachOtherByName) {
    RunSpec spec = image_script(
        "if [ $HOSTNAME = algo-1 ]; then exec python3 -c \"import socket; s=socket.create_server(('',7000)); "
        "c,a=s.accept(); print(c.recv(9).decode(), a[0])\"; fi;"
        "python3 -c \"import socket,time\nfor i in range(100):\n  try: c=socket.create_connection(('algo-1',7000)); "
        "break\n  except OSError: time.sleep(.05)\nc.send(b'hello')\"",
        {}, 2);
    const RunOutcome outcome = run(spec);
    ASSERT_EQ(outcome.hosts.size(), 2u) << outcome.message;
    EXPECT_EQ(log_of(spec), "hello 10.254.0.2\n") << log_of(spec, 1);
}

TEST_P(ImageRunTest, ALayerInUseIsLocked) {
    RunSpec spec = image_script("echo up; exec sleep 1000");
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(recorder.await_start());
    const Fd file(open((base_ + "/layers/skeleton/lock").c_str(), O_RDWR | O_CLOEXEC));
    struct flock lock {};
    lock.l_type = F_WRLCK;
    EXPECT_NE(fcntl(file.get(), F_OFD_SETLK, &lock), 0);
    ASSERT_TRUE(executor_->kill(spec.id).has_value());
    recorder.await_end();
    EXPECT_EQ(fcntl(file.get(), F_OFD_SETLK, &lock), 0);
}

TEST_P(ImageRunTest, AMissingLayerOrCommandIsNamed) {
    RunSpec spec = image_script("true", {base_ + "/layers/absent/root"});
    EXPECT_EQ(run(spec).message, "a layer of the image is gone: " + base_ + "/layers/absent/root");
    RunSpec command = image_script("true");
    command.command = {"train"};
    const RunOutcome outcome = run(command);
    EXPECT_EQ(outcome.cause, RunOutcome::Cause::LaunchFailed);
    EXPECT_EQ(outcome.message, "cannot execute train: No such file or directory");
}

TEST_P(ImageRunTest, TheWatchdogCountsMemoryAndNotTheDisk) {
    Probe probe = machine();
    if (GetParam() == Way::Copies) probe.overlay = false;
    probe.control_groups.parents.clear();
    executor_ = make_process_executor({MILLWRIGHT_LAUNCHER, probe, {}});
    RunSpec fine = image_script("sleep 0.5; echo fine");
    fine.limits.memory_bytes = uint64_t{64} << 20;
    EXPECT_EQ(output_of(fine), "fine\n");
    RunSpec greedy = image_script("head -c 100000000 /dev/zero > /dev/shm/file; sleep 5");
    greedy.limits.memory_bytes = uint64_t{64} << 20;
    greedy.limits.shared_memory_bytes = uint64_t{200} << 20;
    EXPECT_TRUE(run(greedy).hosts.at(0).out_of_memory);
}

// What one exchange over the served socket gives; empty when nobody answered.
std::string ask(const std::string& address, const std::string& request) {
    const Fd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const std::string path = address.substr(5);
    const Fd folder(open(path.substr(0, path.rfind('/')).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path, sizeof name.sun_path, "/proc/self/fd/%d/served.sock", folder.get());
    if (connect(client.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) return "no connection";
    // The other end may have gone already: an error of send(2), no signal.
    for (size_t sent = 0; sent < request.size();) {
        const ssize_t put = send(client.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
        if (put < 0) break;
        sent += static_cast<size_t>(put);
    }
    shutdown(client.get(), SHUT_WR);
    std::string answer;
    char buffer[65536];
    for (ssize_t got = 0; (got = read(client.get(), buffer, sizeof buffer)) > 0;)
        answer.append(buffer, static_cast<size_t>(got));
    return answer;
}

constexpr const char* kEcho = R"(exec python3 -c "
import socket, threading
s = socket.create_server(('127.0.0.1', 8080), backlog=512)
print('listening', flush=True)
def serve(c):
    data = b''
    while True:
        more = c.recv(1 << 16)
        if not more: break
        data += more
    c.sendall(data[::-1]); c.close()
while True:
    c, _ = s.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
")";

TEST_P(ImageRunTest, TheServedPortIsReachedByManyAtOnce) {
    RunSpec spec = image_script(kEcho);
    spec.served_port = 8080;
    spec.limits.memory_bytes = uint64_t{1} << 30;
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(recorder.await_start());
    const auto address = executor_->served_at(spec.id, 0);
    ASSERT_TRUE(address.has_value()) << address.error().message;
    EXPECT_EQ(executor_->served_at(spec.id, 1).error().kind, ErrorKind::NotFound);
    ASSERT_TRUE(await([&] { return ask(*address, "abc") == "cba"; })) << log_of(spec);
    std::string large(3 << 20, 'x');
    large += "end";
    EXPECT_TRUE(ask(*address, large).starts_with("dnexxx"));
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> clients;
        for (int i = 0; i < 64; ++i)
            clients.emplace_back([&, i] {
                for (int j = 0; j < 4; ++j) {
                    const std::string text = std::to_string(i * 100 + j + 1000);
                    if (ask(*address, text) == std::string(text.rbegin(), text.rend())) ++good;
                }
            });
    }
    EXPECT_EQ(good, 256);
    // Another server takes over.
    executor_ = make_process_executor({MILLWRIGHT_LAUNCHER, machine(), {}});
    RunRecorder again;
    EXPECT_EQ(executor_->served_at(spec.id, 0).error().kind, ErrorKind::NotFound);
    ASSERT_TRUE(executor_->adopt(spec.id, spec.folder, again).has_value());
    EXPECT_EQ(executor_->served_at(spec.id, 0).value_or(""), *address);
    EXPECT_EQ(ask(*address, "abc"), "cba");
    ASSERT_TRUE(executor_->kill(spec.id).has_value());
    again.await_end();
    EXPECT_EQ(ask(*address, "abc"), "no connection");
}

TEST_P(ImageRunTest, APortThatNobodyListensOnEndsTheConnectionAtOnce) {
    RunSpec spec = script("exec sleep 1000");  // also without an image
    spec.served_port = 8080;
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(recorder.await_start());
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(ask("unix:" + spec.folder + "/algo-1/served.sock", "abc"), "");
    EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(2));
    ASSERT_TRUE(executor_->kill(spec.id).has_value());
    recorder.await_end();
}

TEST_P(ImageRunTest, ASpareHasNoImage) {
    RunRecorder recorder;
    EXPECT_EQ(executor_->start_spare(image_script("true"), recorder).error().kind, ErrorKind::InvalidInput);
}

INSTANTIATE_TEST_SUITE_P(Ways, ImageRunTest, testing::Values(Way::AsProbed, Way::Copies, Way::UserNamespace),
                         name_of_way);

}  // namespace
}  // namespace millwright::executors
