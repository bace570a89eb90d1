#include "programs/launcher/execution.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace millwright::launcher {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

std::string_view path_of(const std::vector<std::string>& environment) {
    for (const std::string& variable : environment)
        if (variable.starts_with("PATH=")) return std::string_view(variable).substr(5);
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

// As execvp does it, but before the fork.
std::string find_command(const std::string& name, const std::vector<std::string>& environment) {
    if (name.find('/') != std::string::npos) return name;
    std::string_view path = path_of(environment);
    while (!path.empty()) {
        const size_t end = path.find(':');
        const std::string candidate = std::string(path.substr(0, end)) + "/" + name;
        if (access(candidate.c_str(), X_OK) == 0) return candidate;
        if (end == std::string_view::npos) break;
        path.remove_prefix(end + 1);
    }
    return name;
}

// In the child that shares our memory: 0, 1 and 2 may be given in any order, so each goes out of the way first.
void take_standard(const Standard& standard) {
    if (standard.terminal) ioctl(standard.in, TIOCSCTTY, 0);
    if (standard.in == 0 && standard.out == 1 && standard.err == 2) return;
    const int in = fcntl(standard.in, F_DUPFD_CLOEXEC, 10), out = fcntl(standard.out, F_DUPFD_CLOEXEC, 10),
              err = fcntl(standard.err, F_DUPFD_CLOEXEC, 10);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
}

// In the child that shares our memory, so by bare calls. With the last one it loses all capabilities.
bool become(const ImageUser& user) {
    return syscall(SYS_setgroups, user.groups.size(), user.groups.data()) == 0 &&
           syscall(SYS_setresgid, user.group, user.group, user.group) == 0 &&
           syscall(SYS_setresuid, user.user, user.user, user.user) == 0;
}

void add_missing(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
    const auto named = [&](const std::string& variable) { return variable.starts_with(name + "="); };
    if (std::none_of(environment.begin(), environment.end(), named)) environment.push_back(name + "=" + value);
}

}  // namespace

// The child shares our memory until it executes the program, so its errno is ours to read.
Result<pid_t> spawn(const Program& program, const std::string& name) {
    std::vector<char*> arguments = pointers(program.arguments), variables = pointers(program.environment);
    const pid_t parent = getpid();
    volatile int failure = 0;
    const pid_t child = vfork();
    if (child < 0) return error_from_errno("cannot make a process");
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, nullptr);
        setsid();
        if (program.dies_with_us) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) _exit(127);
        }
        take_standard(program.standard);
        if (!program.user || become(*program.user)) execve(program.path.c_str(), arguments.data(), variables.data());
        failure = errno;
        _exit(127);
    }
    if (failure == 0) return child;
    waitpid(child, nullptr, 0);
    return not_found("cannot execute " + name + ": " + std::strerror(failure));
}

Result<pid_t> execute(const std::vector<std::string>& command, std::vector<std::string> environment, int host,
                      const Standard& standard, const ImageUser* user) {
    const std::string path = find_command(command[0], environment);
    add_missing(environment, "HOSTNAME", executors::host_name(host));
    if (user) add_missing(environment, "HOME", user->home);
    return spawn(
        {.path = path, .arguments = command, .environment = std::move(environment), .standard = standard, .user = user},
        command[0]);
}

}  // namespace millwright::launcher
