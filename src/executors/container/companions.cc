#include "executors/container/companions.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

constexpr int kGraceMs = 2000;

// Field 22 of /proc/<pid>/stat, behind a name that may hold anything; 0: there is no such process.
uint64_t start_ticks(int64_t pid) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
    const size_t name = text ? text->rfind(')') : std::string::npos;
    if (name == std::string::npos) return 0;
    const auto fields = split(std::string_view(*text).substr(name + 2), ' ');
    return fields.size() > 19 ? static_cast<uint64_t>(parse_int(fields[19]).value_or(0)) : 0;
}

Result<CompanionRecord> start_one(const std::vector<std::string>& command, const std::string& log) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> arguments;
    for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    char* environment[] = {nullptr};
    pid_t pid = -1;
    const int failure = posix_spawn(&pid, arguments[0], &actions, &attributes, arguments.data(), environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    errno = failure;
    if (failure != 0) return error_from_errno("cannot run " + command[0]);
    return CompanionRecord{pid, start_ticks(pid)};
}

// Names the process, so that from here on it cannot be mistaken.
Fd open_companion(const CompanionRecord& companion) {
    Fd process(static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(companion.pid), 0)));
    if (process && start_ticks(companion.pid) != companion.start_ticks) process.reset();
    return process;
}

}  // namespace

Result<std::vector<CompanionRecord>> start_companions(const std::vector<std::vector<std::string>>& commands,
                                                      const std::string& folder) {
    std::vector<CompanionRecord> started;
    for (const auto& command : commands) {
        if (command.empty()) return invalid_input("a companion is the absolute path of a program and its arguments");
        const auto one = start_one(command, folder + "/companion.log");
        if (!one) {
            end_companions(started);
            return one.error();
        }
        started.push_back(*one);
    }
    return started;
}

void end_companions(const std::vector<CompanionRecord>& companions) {
    for (const auto& companion : companions) {
        const Fd process = open_companion(companion);
        if (!process) continue;
        syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0);
        pollfd ended{process.get(), POLLIN, 0};
        if (poll(&ended, 1, kGraceMs) == 0) {
            syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
            poll(&ended, 1, kGraceMs);
        }
        siginfo_t ignored;  // not ours after an adoption
        waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process.get()), &ignored, WEXITED | WNOHANG);
    }
}

}  // namespace millwright::executors
