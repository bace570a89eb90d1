#include "programs/launcher/spare.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "programs/launcher/channel.h"
#include "programs/launcher/root.h"
#include "programs/launcher/sandbox.h"

namespace millwright::launcher {
namespace {

using executors::LaunchSpec;

constexpr off_t kMaxWorkBytes = off_t{1} << 20;

Result<Fd> own_mount_namespace() { return open_file("/proc/self/ns/mnt", O_RDONLY); }

Result<std::string> read_all(const Fd& file) {
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return error_from_errno("cannot read the work");
    std::string text(static_cast<size_t>(std::min(status.st_size, kMaxWorkBytes)), '\0');
    const ssize_t size = pread(file.get(), text.data(), text.size(), 0);
    if (size < 0) return error_from_errno("cannot read the work");
    text.resize(static_cast<size_t>(size));
    return text;
}

// True when `wanted` is among those that ended.
bool reap(pid_t wanted) {
    for (;;) {
        const pid_t ended = waitpid(-1, nullptr, WNOHANG);
        if (ended <= 0) return false;
        if (ended == wanted) return true;
    }
}

[[noreturn]] void become_interpreter(char* const* arguments, char* const* environment) {
    const int null = open("/dev/null", O_RDWR);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, fd);
    close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    if (!drop_privileges()) _exit(126);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    setsid();
    execve(arguments[0], arguments, environment);
    _exit(127);
}

}  // namespace

Result<MachineView> keep_machine_view() {
    MachineView view;
    view.space = TRY(own_mount_namespace());
    view.root = TRY(open_file("/", O_PATH | O_DIRECTORY));
    if (unshare(CLONE_NEWNS) != 0) return error_from_errno("cannot make a second mount namespace");
    return view;
}

Result<pid_t> start_interpreter(const LaunchSpec& spec, int host) {
    std::vector<std::string> variables = spec.environment;
    variables.push_back("HOSTNAME=" + executors::host_name(host));
    const auto pointers = [](const std::vector<std::string>& texts) {
        std::vector<char*> out;
        for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
        out.push_back(nullptr);
        return out;
    };
    const std::vector<char*> arguments = pointers(spec.command);
    const std::vector<char*> environment = pointers(variables);
    const pid_t child = fork();
    if (child < 0) return error_from_errno("cannot make a process");
    if (child == 0) become_interpreter(arguments.data(), environment.data());
    return child;
}

Result<LaunchSpec> await_work(const LaunchSpec& spec, pid_t interpreter, int channel, int signals) {
    for (;;) {
        pollfd wait[2] = {{signals, POLLIN, 0}, {channel, POLLIN, 0}};
        poll(wait, 2, -1);
        if ((wait[0].revents & POLLIN) != 0) {
            signalfd_siginfo got;
            while (read(signals, &got, sizeof got) == sizeof got) continue;
            if (reap(interpreter)) return not_found("the interpreter that stood ready has ended");
        }
        if (wait[1].revents == 0) continue;
        const auto message = receive_message(channel, 0);
        if (!message && message.error().kind == ErrorKind::NotFound) _exit(1);  // no supervisor, no run
        if (!message || message->kind != 'W' || message->files.empty()) continue;
        const std::string text = TRY(read_all(message->files[0]));
        LaunchSpec work = TRY(executors::decode_launch_spec(text));
        if (work.id != spec.id) return invalid_input("the work is for another run");
        return work;
    }
}

Result<void> attach_work(const LaunchSpec& spec, const LaunchSpec& work, int host, const MachineView& machine) {
    const Fd inside = TRY(own_mount_namespace());
    if (setns(machine.space.get(), CLONE_NEWNS) != 0 || fchdir(machine.root.get()) != 0 || chroot(".") != 0)
        return error_from_errno("cannot see the machine again");
    std::vector<PreparedMount> mounts;
    mounts.push_back(TRY(prepare_ml(work, host)));
    std::vector<PreparedMount> late =
        TRY(prepare_mounts(work, executors::late_mounts(spec, work), host, spec.mounts.size()));
    for (PreparedMount& mount : late) mounts.push_back(std::move(mount));
    if (setns(inside.get(), CLONE_NEWNS) != 0) return error_from_errno("cannot return to the private root");
    return attach_mounts(mounts);
}

}  // namespace millwright::launcher
