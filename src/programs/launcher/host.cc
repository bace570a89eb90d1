#include "programs/launcher/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "programs/launcher/channel.h"
#include "programs/launcher/execution.h"
#include "programs/launcher/image_root.h"
#include "programs/launcher/image_user.h"
#include "programs/launcher/network.h"
#include "programs/launcher/root.h"
#include "programs/launcher/sandbox.h"
#include "programs/launcher/served_port.h"
#include "programs/launcher/session.h"
#include "programs/launcher/spare.h"

namespace millwright::launcher {
namespace {

using executors::LaunchSpec;

constexpr int kChannel = 3;
constexpr int kWatchdogPeriodMs = 200;
constexpr int kPipeBytes = 1 << 20;

char* arguments = nullptr;
size_t arguments_size = 0;

// Maps the user of the launcher to root, the only id there is. The effective ids must be taken before unshare.
Result<void> map_user(uid_t user, gid_t group) {
    TRY(write_file("/proc/self/setgroups", "deny"));
    TRY(write_file("/proc/self/uid_map", "0 " + std::to_string(user) + " 1"));
    return write_file("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
}

Result<void> prepare_network(const LaunchSpec& spec) {
    const bool to_server = !spec.isolated && !spec.forward_to.empty();
    const bool to_egress = !spec.isolated && !spec.egress_socket.empty();
    const Fd netlink = TRY(open_netlink());
    TRY(set_up_loopback(netlink.get(), to_server || to_egress));
    std::vector<Fd> listeners;
    if (to_server) listeners.push_back(TRY(listen_for_forwarding(kServerPort)));
    if (to_egress) listeners.push_back(TRY(listen_for_forwarding(kEgressPort)));
    std::vector<int> files = {netlink.get()};
    for (const Fd& listener : listeners) files.push_back(listener.get());
    return send_message(kChannel, 'N', "", files);
}

// Waits for the supervisor's word and enters the control groups: only what the command does counts there.
Result<void> await_go() {
    const Message go = TRY(receive_message(kChannel, -1));
    if (go.kind != 'G') return internal_error("the supervisor did not say go");
    for (const Fd& group : go.files)
        if (write(group.get(), "0", 1) != 1) return error_from_errno("cannot enter a control group");
    return {};
}

// Bytes that the processes of this host hold for themselves, plus its shared memory.
uint64_t used_memory() {
    const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    uint64_t pages = 0;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc"), closedir);
    if (!folder) return 0;
    while (const dirent* entry = readdir(folder.get())) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        const auto text = read_file(std::string("/proc/") + entry->d_name + "/statm");
        unsigned long long size = 0, resident = 0, shared = 0;
        if (text && std::sscanf(text->c_str(), "%llu %llu %llu", &size, &resident, &shared) == 3 && resident > shared)
            pages += resident - shared;
    }
    uint64_t bytes = pages * page;
    for (const char* path : {"/", "/dev/shm"}) {  // with an image "/" is on the disk
        struct statfs status {};
        if (statfs(path, &status) == 0 && status.f_type == TMPFS_MAGIC)
            bytes += (status.f_blocks - status.f_bfree) * static_cast<uint64_t>(status.f_bsize);
    }
    return bytes;
}

[[noreturn]] void report_exit(int status, bool over_memory) {
    const ExitReport report{status, over_memory, now()};
    static_cast<void>(send_message(kChannel, 'X', bytes_of(report)).has_value());
    _exit(0);  // the kernel kills every process that is left in the namespace
}

// Reaps whatever ends; does not return when the command itself has.
void reap(pid_t command, Sessions& sessions) {
    for (;;) {
        int status = 0;
        const pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended <= 0) return;
        if (ended == command) report_exit(status, false);
        sessions.ended(ended, status);
    }
}

// What a process of the run sends to its pid 1 is meant for the command.
bool is_forwarded(int signal) {
    return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT || signal == SIGUSR1 ||
           signal == SIGUSR2;
}

[[noreturn]] void attend(const LaunchSpec& spec, int host, pid_t command, int signals) {
    const uint64_t memory_bytes = spec.limits_of(host).memory_bytes;
    const bool watch_memory = !spec.control_groups.has("memory") && memory_bytes > 0;
    Sessions sessions(spec, host, kChannel);
    for (;;) {
        pollfd wait[2] = {{signals, POLLIN, 0}, {kChannel, POLLIN, 0}};
        poll(wait, 2, watch_memory ? kWatchdogPeriodMs : -1);
        if ((wait[0].revents & POLLIN) != 0) {
            signalfd_siginfo got[16];
            const ssize_t bytes = read(signals, got, sizeof got);
            for (ssize_t i = 0; i < bytes / static_cast<ssize_t>(sizeof got[0]); ++i)
                if (is_forwarded(static_cast<int>(got[i].ssi_signo))) kill(command, static_cast<int>(got[i].ssi_signo));
            reap(command, sessions);
        }
        if (wait[1].revents != 0) {
            const auto message = receive_message(kChannel, 0);
            if (!message && message.error().kind == ErrorKind::NotFound) _exit(1);  // no supervisor, no run
            int signal = 0;
            if (message && message->kind == 'Y' && read_struct(*message, signal)) kill(command, signal);
            if (message && message->kind == 'P') hand_out_sockets(kChannel, *message);
            if (message) sessions.handle(*message);
        }
        if (watch_memory && used_memory() > memory_bytes) report_exit(SIGKILL, true);
    }
}

class Steps {
  public:
    explicit Steps(Trace trace) : trace_(trace) {}

    template <typename Step>
    void run(const char* name, Step step) {
        const Result<void> result = step();
        if (!result) fail(name, result.error());
        if (trace_ == Trace::On) static_cast<void>(send_message(kChannel, 'T', std::string("ok ") + name).has_value());
    }
    [[noreturn]] void fail(const char* name, const Error& error) {
        const std::string reason = error.message + (error.detail.empty() ? "" : " (" + error.detail + ")");
        if (trace_ == Trace::On)
            static_cast<void>(send_message(kChannel, 'T', std::string("no ") + name + ": " + reason).has_value());
        static_cast<void>(send_message(kChannel, 'E', reason).has_value());
        _exit(1);
    }

  private:
    Trace trace_;
};

// When the supervisor dies so does this process, and with it the run. Changing credentials forgets the wish.
Result<void> die_with_supervisor() {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return error_from_errno("cannot bind the run to its supervisor");
    return {};
}

Result<void> enter_work_folder(const LaunchSpec& spec) {
    if (!spec.image_layers.empty()) return enter_work_folder_of_image(spec);
    if (chdir(spec.working_folder.c_str()) != 0) return error_from_errno("cannot enter " + spec.working_folder);
    return {};
}

Result<void> name_host(int host) {
    const std::string name = executors::host_name(host);
    if (sethostname(name.data(), name.size()) != 0) return error_from_errno("cannot set the host name");
    prctl(PR_SET_NAME, "init");
    if (arguments != nullptr) std::memset(arguments, 0, arguments_size);
    return {};
}

// Nothing where the image names nobody: then the command is root's.
Result<std::optional<ImageUser>> prepare_user(const LaunchSpec& spec) {
    if (spec.user.empty()) return std::optional<ImageUser>();
    std::optional<ImageUser> user = TRY(find_image_user(spec.user));
    for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO}) own_output(*user, descriptor);
    TRY(open_contract_to_user());
    return user;
}

// A spare's time before its work. Returns with the work's mounts in place.
LaunchSpec stand_ready(Steps& steps, const LaunchSpec& spec, int host, const MachineView& machine, int signals) {
    prctl(PR_SET_DUMPABLE, 0);  // what stands ready must not look into its pid 1
    const Result<pid_t> interpreter = start_interpreter(spec, host);
    if (!interpreter) steps.fail("interpreter", interpreter.error());
    const Result<LaunchSpec> work = await_work(spec, *interpreter, kChannel, signals);
    if (!work && work.error().kind == ErrorKind::NotFound) _exit(1);  // unused
    if (!work) steps.fail("work", work.error());
    steps.run("mounts of the work", [&] { return attach_work(spec, *work, host, machine); });
    return *work;
}

[[noreturn]] void live(const LaunchSpec& launch, int host, Trace trace, uid_t user, gid_t group) {
    Steps steps(trace);
    LaunchSpec spec = launch;
    steps.run("supervision", die_with_supervisor);
    if (spec.user_namespace && host == 0) steps.run("user namespace", [&] { return map_user(user, group); });
    static_cast<void>(send_message(kChannel, 'U', "").has_value());
    steps.run("host name", [&] { return name_host(host); });
    steps.run("loopback network", [&] { return prepare_network(spec); });
    MachineView machine;
    if (spec.spare)
        steps.run("mount namespaces", [&]() -> Result<void> {
            machine = TRY(keep_machine_view());
            return {};
        });
    steps.run("private root", [&] { return enter_private_root(spec, host); });
    static_cast<void>(send_message(kChannel, 'R', "").has_value());
    steps.run("control groups", await_go);
    steps.run("resource limits", [&] { return set_resource_limits(spec, host); });
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    const int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (spec.spare) spec = stand_ready(steps, spec, host, machine, signals);
    machine = {};
    steps.run("work folder", [&] { return enter_work_folder(spec); });
    std::optional<ImageUser> user_inside;
    steps.run("user of the image", [&]() -> Result<void> {
        user_inside = TRY(prepare_user(spec));
        return {};
    });
    steps.run("privileges", drop_privileges);
    prctl(PR_SET_DUMPABLE, 0);
    steps.run("supervision", die_with_supervisor);
    const Moment start = now();
    const Result<pid_t> command =
        execute(spec.command, spec.environment, host, {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, false},
                user_inside ? &*user_inside : nullptr);
    if (!command) steps.fail("execution", command.error());
    static_cast<void>(send_message(kChannel, 'S', bytes_of(start)).has_value());
    close(STDOUT_FILENO);  // the command alone keeps its pipe open
    close(STDERR_FILENO);
    attend(spec, host, *command, signals);
}

// Keeps three standard descriptors and the channel, nothing else of the supervisor.
void take_descriptors(int channel, int output) {
    const int null = open("/dev/null", O_RDWR);
    const int high_channel = fcntl(channel, F_DUPFD, 10);
    const int high_output = fcntl(output, F_DUPFD, 10);
    dup2(null, STDIN_FILENO);
    dup2(high_output, STDOUT_FILENO);
    dup2(high_output, STDERR_FILENO);
    dup3(high_channel, kChannel, O_CLOEXEC);
    close_range(kChannel + 1, ~0u, 0);
}

// As fork: twice the same program, in the child in namespaces of its own.
long clone_host(uint64_t more_flags, uint64_t exit_signal) {
    clone_args wanted{};
    wanted.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | more_flags;
    wanted.exit_signal = exit_signal;
    return syscall(SYS_clone3, &wanted, sizeof wanted);
}

// The same in the user namespace of `first`. Only a process of its own can go there, and it leaves the new one to us.
long clone_into(pid_t first) {
    const auto space = open_file("/proc/" + std::to_string(first) + "/ns/user", O_RDONLY);
    int ends[2];
    if (!space || pipe2(ends, O_CLOEXEC) != 0) return -1;
    const Fd reading(ends[0]), writing(ends[1]);
    const pid_t between = fork();
    if (between < 0) return -1;
    if (between == 0) {
        long pid = setns(space->get(), CLONE_NEWUSER) == 0 ? clone_host(CLONE_PARENT, 0) : -1;
        if (pid == 0) return 0;
        if (pid < 0) pid = -errno;
        _exit(write(writing.get(), &pid, sizeof pid) == sizeof pid ? 0 : 1);
    }
    waitpid(between, nullptr, 0);
    long pid = -EIO;
    fcntl(reading.get(), F_SETFL, O_NONBLOCK);
    if (read(reading.get(), &pid, sizeof pid) != sizeof pid) pid = -EIO;
    if (pid < 0) errno = static_cast<int>(-pid);
    return pid < 0 ? -1 : pid;
}

}  // namespace

void remember_arguments(int argc, char** argv) {
    arguments = argv[0];
    arguments_size = static_cast<size_t>(argv[argc - 1] - argv[0]) + std::strlen(argv[argc - 1]);
}

Result<HostProcess> start_host(const LaunchSpec& spec, int host, pid_t first, Trace trace) {
    int pair[2], output[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return error_from_errno("cannot make a socket pair");
    HostProcess process;
    process.channel.reset(pair[0]);
    const Fd inner_channel(pair[1]);
    if (pipe2(output, O_CLOEXEC) != 0) return error_from_errno("cannot make a pipe");
    process.output.reset(output[0]);
    const Fd inner_output(output[1]);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    fcntl(output[0], F_SETPIPE_SZ, kPipeBytes);  // refused beyond the user's share: then the pipe stays small

    const uid_t user = geteuid();
    const gid_t group = getegid();
    const bool joins = spec.user_namespace && first > 0;
    const long pid = joins ? clone_into(first) : clone_host(spec.user_namespace ? CLONE_NEWUSER : 0, SIGCHLD);
    if (pid < 0) return error_from_errno("cannot make namespaces");
    if (pid == 0) {
        take_descriptors(inner_channel.get(), inner_output.get());
        live(spec, host, trace, user, group);
    }
    process.pid = static_cast<pid_t>(pid);
    process.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!process.pidfd) return error_from_errno("cannot watch a host");
    return process;
}

}  // namespace millwright::launcher
