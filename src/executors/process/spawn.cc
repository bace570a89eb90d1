#include "executors/process/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include <cerrno>

#include "base/files.h"
#include "executors/process/launch_spec.h"

namespace millwright::executors {

Result<pid_t> spawn(const SpawnRequest& request) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    // Copied out of the way first: the current numbers may be those that are wanted.
    const int high_control = request.control >= 0 ? fcntl(request.control, F_DUPFD_CLOEXEC, 64) : -1;
    const int high_lock = request.lock >= 0 ? fcntl(request.lock, F_DUPFD_CLOEXEC, 64) : -1;
    const int high_output = request.output >= 0 ? fcntl(request.output, F_DUPFD_CLOEXEC, 64) : -1;
    const Fd copies[] = {Fd(high_control), Fd(high_lock), Fd(high_output)};
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (high_output >= 0)
        posix_spawn_file_actions_adddup2(&actions, high_output, 1);
    else
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (high_control >= 0)
        posix_spawn_file_actions_adddup2(&actions, high_control, kInheritedControl);
    else
        posix_spawn_file_actions_addclose(&actions, kInheritedControl);
    if (high_lock >= 0)
        posix_spawn_file_actions_adddup2(&actions, high_lock, kInheritedLock);
    else
        posix_spawn_file_actions_addclose(&actions, kInheritedLock);
    posix_spawn_file_actions_addclosefrom_np(&actions, kInheritedLock + 1);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    std::vector<char*> arguments;
    for (const std::string& argument : request.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    char* environment[] = {nullptr};
    pid_t pid = -1;
    const int failure = posix_spawn(&pid, arguments[0], &actions, &attributes, arguments.data(), environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    errno = failure;
    if (failure != 0) return error_from_errno("cannot run " + request.arguments[0]);
    return pid;
}

}  // namespace millwright::executors
