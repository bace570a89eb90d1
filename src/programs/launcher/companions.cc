#include "programs/launcher/companions.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "programs/launcher/channel.h"
#include "programs/launcher/execution.h"

namespace millwright::launcher {
namespace {

constexpr int64_t kGraceNs = 2'000'000'000;
constexpr const char* kLog = "companion.log";

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
    const Fd null = TRY(open_file("/dev/null", O_RDONLY));
    companion.pid = TRY(spawn({.path = command[0],
                               .arguments = command,
                               .environment = {},
                               .standard = {.in = null.get(), .out = log, .err = log},
                               .dies_with_us = true},
                              "the companion " + command[0]));
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
