// `millwright-runner helper …`: what plans start besides the script.
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/files.h"
#include "base/strings.h"
#include "script_mode/distribution.h"
#include "script_mode/peer.h"
#include "script_mode/remote_shell.h"

extern char** environ;

namespace millwright::script_mode {
namespace {

using Names = std::vector<std::string>;

constexpr int kPeerSeconds = 900;  // as long as the toolkits wait for other hosts
constexpr int kShellSeconds = 60;
constexpr size_t kMaxFollowers = 256;

std::vector<char*> argument_array(const Names& command) {
    std::vector<char*> result;
    for (const std::string& word : command) result.push_back(const_cast<char*>(word.c_str()));
    result.push_back(nullptr);
    return result;
}

int complain(const Error& error, int code) {
    std::fprintf(stderr, "millwright-runner: %s: %s\n", error.message.c_str(), error.detail.c_str());
    return code;
}

// Keeps connections open for as long as it lives; says nothing.
int announce(uint16_t port) {
    const Result<Fd> listener = listen_on(port);
    if (!listener) return complain(listener.error(), 1);
    std::vector<Fd> followers;
    for (;;) {
        pollfd wait{listener->get(), POLLIN, 0};
        if (poll(&wait, 1, -1) < 0 && errno != EINTR) return 1;
        Fd accepted(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (accepted && followers.size() < kMaxFollowers) followers.push_back(std::move(accepted));
    }
}

pid_t running_child = 0;

void pass_signal(int signal) {
    if (running_child > 0) kill(running_child, signal);
}

// The exit code of `command`, as of a shell; signals that would end us go to it.
int run_child(const Names& command) {
    auto arguments = argument_array(command);
    struct sigaction action {};
    action.sa_handler = pass_signal;
    sigset_t ending, before;
    sigemptyset(&ending);
    for (const int number : {SIGTERM, SIGINT}) sigaddset(&ending, number);
    sigprocmask(SIG_BLOCK, &ending, &before);
    for (const int number : {SIGTERM, SIGINT}) sigaction(number, &action, nullptr);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &before);
    posix_spawnattr_setsigdefault(&attributes, &ending);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int failure = posix_spawnp(&running_child, arguments[0], nullptr, &attributes, arguments.data(), environ);
    posix_spawnattr_destroy(&attributes);
    if (failure != 0) {
        std::fprintf(stderr, "%s: %s\n", command[0].c_str(), std::strerror(failure));
        return failure == ENOENT ? 127 : 126;
    }
    sigprocmask(SIG_SETMASK, &before, nullptr);
    int status = 0;
    while (waitpid(running_child, &status, 0) < 0 && errno == EINTR) continue;
    running_child = 0;
    for (const int number : {SIGTERM, SIGINT}) signal(number, SIG_DFL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Connected before the command runs: a master that has ended by the time the script does is noticed, too.
int follow(const std::string& master, uint16_t port, const Names& command) {
    const Result<Fd> connection = connect_with_patience(master, port, kPeerSeconds);
    if (!connection) return complain(connection.error(), 1);
    if (!command.empty()) {
        const int code = run_child(command);
        if (code != 0) return code;
    }
    for (;;) {
        pollfd wait{connection->get(), POLLIN, 0};
        if (poll(&wait, 1, -1) < 0 && errno != EINTR) return 1;
        char byte;
        if (recv(connection->get(), &byte, 1, MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR)) return 0;
    }
}

// PyTorch's names for what Open MPI tells each process.
void set_torch_variables() {
    constexpr const char* kNames[][2] = {{"OMPI_COMM_WORLD_RANK", "RANK"},
                                         {"OMPI_COMM_WORLD_SIZE", "WORLD_SIZE"},
                                         {"OMPI_COMM_WORLD_LOCAL_RANK", "LOCAL_RANK"},
                                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "LOCAL_WORLD_SIZE"}};
    for (const auto& [from, to] : kNames)
        if (const char* value = std::getenv(from)) setenv(to, value, 1);
}

// mpi4py's own launcher makes one rank's exception the end of all; without it the others would wait for ever.
bool has_mpi4py(const std::string& python) {
    const size_t slash = python.rfind("/bin/");
    if (slash == std::string::npos) return false;
    const std::string library = python.substr(0, slash) + "/lib";
    DIR* folder = opendir(library.c_str());
    if (folder == nullptr) return false;
    bool found = false;
    while (const dirent* entry = readdir(folder)) {
        const std::string_view name = entry->d_name;
        if (name.starts_with("python3"))
            found = found || file_exists(library + "/" + entry->d_name + "/site-packages/mpi4py/__main__.py");
    }
    closedir(folder);
    return found;
}

int run_rank(bool torch, Names command) {
    if (torch) set_torch_variables();
    const std::string name = command[0].substr(command[0].rfind('/') + 1);
    if (name.starts_with("python") && has_mpi4py(command[0])) command.insert(command.begin() + 1, {"-m", "mpi4py"});
    auto arguments = argument_array(command);
    execvp(arguments[0], arguments.data());
    return complain(error_from_errno("cannot run " + command[0]), 127);
}

// What drivers start as /usr/sbin/sshd: our own shell for mpirun, and SSH itself for who speaks it.
int serve_ssh() {
    const char* arguments[] = {"python3", "/opt/millwright/python/millwright_sshd.py", nullptr};
    pid_t server = -1;
    const int failure = posix_spawnp(&server, arguments[0], nullptr, nullptr, const_cast<char**>(arguments), environ);
    if (failure != 0) std::fprintf(stderr, "sshd: cannot run python3: %s\n", std::strerror(failure));
    return serve_remote_shell(kRemoteShellPort);
}

}  // namespace

int run_helper(const Names& arguments) {
    const size_t count = arguments.size();
    const std::string what = count > 0 ? arguments[0] : "";
    const auto port_at = [&](size_t at) { return static_cast<uint16_t>(parse_int(arguments[at]).value_or(0)); };
    const auto after = [&](size_t at) {
        return Names(arguments.begin() + static_cast<std::ptrdiff_t>(std::min(at, count)), arguments.end());
    };
    if (what == "rsh") return run_remote_shell(read_remote_command(after(1)), kShellSeconds);
    if (what == "rshd" && count == 1) return serve_remote_shell(kRemoteShellPort);
    if (what == "sshd") return serve_ssh();
    if (what == "announce" && count == 2) return announce(port_at(1));
    if (what == "follow" && count >= 4 && arguments[3] == "--") return follow(arguments[1], port_at(2), after(4));
    if (what == "rank" && count >= 4 && arguments[2] == "--") return run_rank(arguments[1] == "torch", after(3));
    std::fprintf(stderr,
                 "usage: millwright-runner helper rsh [ssh options] HOST COMMAND… | rshd | sshd | announce PORT |\n"
                 "       follow HOST PORT -- [COMMAND…] | rank plain|torch -- COMMAND…\n");
    return 2;
}

}  // namespace millwright::script_mode
