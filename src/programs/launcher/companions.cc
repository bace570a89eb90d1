#include "programs/launcher/companions.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "programs/launcher/channel.h"

namespace millwright::launcher {
namespace {

constexpr int64_t kGraceNs = 2'000'000'000;
constexpr const char* kLog = "companion.log";

// The child shares our memory until it executes the program, so its errno is ours to read.
Result<pid_t> execute(const std::vector<std::string>& command, int log) {
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    char* environment[] = {nullptr};
    const Fd null = TRY(open_file("/dev/null", O_RDONLY));
    const pid_t parent = getpid();
    volatile int failure = 0;
    const pid_t child = vfork();
    if (child < 0) return error_from_errno("cannot make a process");
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, nullptr);
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(127);
        dup2(null.get(), STDIN_FILENO);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        execve(arguments[0], arguments.data(), environment);
        failure = errno;
        _exit(127);
    }
    if (failure == 0) return child;
    waitpid(child, nullptr, 0);
    return not_found("cannot execute the companion " + command[0] + ": " + std::strerror(failure));
}

}  // namespace

Result<std::unique_ptr<Companions>> Companions::start(EventLoop& loop, const executors::LaunchSpec& spec) {
    std::unique_ptr<Companions> companions(new Companions(loop));
    if (spec.companions.empty()) return companions;
    const Fd log = TRY(open_file(spec.folder + "/" + kLog, O_WRONLY | O_CREAT | O_APPEND, 0600));
    for (const std::vector<std::string>& command : spec.companions) TRY(companions->add(command, log.get()));
    return companions;
}

Companions::~Companions() { end(); }

Result<void> Companions::add(const std::vector<std::string>& command, int log) {
    Companion companion;
    companion.pid = TRY(execute(command, log));
    companion.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, companion.pid, 0)));
    const int fd = companion.pidfd.get();
    running_.push_back(std::move(companion));
    if (fd < 0) return error_from_errno("cannot watch a companion");
    loop_.watch(fd, EPOLLIN, [this, fd](uint32_t) { ended(fd); });
    return {};
}

void Companions::ended(int pidfd) {
    const auto found = std::find_if(running_.begin(), running_.end(),
                                    [&](const Companion& companion) { return companion.pidfd.get() == pidfd; });
    if (found == running_.end()) return;
    loop_.forget(pidfd);
    kill(-found->pid, SIGKILL);  // what it started; not waited for yet, so the number is still its own
    waitpid(found->pid, nullptr, 0);
    running_.erase(found);
}

void Companions::end() {
    for (const Companion& companion : running_) kill(-companion.pid, SIGTERM);
    const int64_t deadline_ns = now().monotonic_ns + kGraceNs;
    while (!running_.empty()) {
        const Companion& companion = running_.back();
        const int64_t left_ms = (deadline_ns - now().monotonic_ns) / 1000000;
        pollfd wait{companion.pidfd.get(), POLLIN, 0};
        const bool gone = companion.pidfd && left_ms > 0 && poll(&wait, 1, static_cast<int>(left_ms)) > 0;
        if (!gone) kill(-companion.pid, SIGKILL);
        if (companion.pidfd) {
            ended(companion.pidfd.get());
        } else {
            waitpid(companion.pid, nullptr, 0);
            running_.pop_back();
        }
    }
}

}  // namespace millwright::launcher
