#include "script_mode/warm_interpreter.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/files.h"

extern char** environ;

namespace millwright::script_mode {
namespace {

// It may still be loading modules, which a new interpreter would have to do from the beginning.
constexpr int kPatienceMs = 60'000;
constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

std::string on_path(const std::string& name) {
    const char* path = std::getenv("PATH");
    if (name.find('/') != std::string::npos || path == nullptr) return name;
    std::string_view rest = path;
    for (;;) {
        const size_t end = rest.find(':');
        const std::string candidate = std::string(rest.substr(0, end)) + "/" + name;
        if (access(candidate.c_str(), X_OK) == 0) return candidate;
        if (end == std::string_view::npos) return name;
        rest.remove_prefix(end + 1);
    }
}

std::string encode_request(const std::vector<std::string>& command) {
    char folder[4096];
    std::string text = getcwd(folder, sizeof folder) == nullptr ? "/" : folder;
    text += '\0' + std::to_string(command.size()) + '\0';
    for (const std::string& argument : command) text += argument + '\0';
    const std::string own = std::string(kWarmVariable) + "=";
    for (char** variable = environ; *variable != nullptr; ++variable) {
        if (std::string_view(*variable).find('=') == std::string_view::npos) continue;
        if (!std::string_view(*variable).starts_with(own)) text += std::string(*variable) + '\0';
    }
    return text;
}

Fd connect_to_interpreter() {
    Fd connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, kWarmSocket, sizeof address.sun_path - 1);
    if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
    return connection;
}

bool send_request(const Fd& connection, const std::string& payload) {
    unsigned char size[4];
    for (size_t i = 0; i < 4; ++i) size[i] = static_cast<unsigned char>(payload.size() >> (24 - 8 * i));
    const int standard[3] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof standard)] = {};
    iovec part{size, sizeof size};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof standard);
    std::memcpy(CMSG_DATA(rights), standard, sizeof standard);
    if (sendmsg(connection.get(), &header, MSG_NOSIGNAL) != sizeof size) return false;
    return write_all(connection.get(), payload).has_value();
}

// One line without its end; nothing when the other side has ended or `timeout_ms` (-1: none) is over.
std::optional<std::string> read_line(const Fd& connection, int timeout_ms) {
    std::string line;
    for (;;) {
        pollfd wait{connection.get(), POLLIN, 0};
        char letter = 0;
        if (poll(&wait, 1, timeout_ms) <= 0 || read(connection.get(), &letter, 1) != 1) return std::nullopt;
        if (letter == '\n') return line;
        line += letter;
    }
}

// The script's process id, or nothing: then the command is to be executed instead.
std::optional<pid_t> begin(const Fd& connection, const std::vector<std::string>& command) {
    if (!connection || !send_request(connection, encode_request(command))) return std::nullopt;
    const auto answer = read_line(connection, kPatienceMs);
    if (answer && answer->starts_with("refused "))
        std::printf("Millwright: a new interpreter is started, because the one that stood ready does not fit: %s\n",
                    answer->substr(8).c_str());
    if (answer != "ready" || write(connection.get(), "g", 1) != 1) return std::nullopt;
    const auto started = read_line(connection, -1);
    if (!started || !started->starts_with("started ")) return std::nullopt;
    return static_cast<pid_t>(std::strtol(started->c_str() + 8, nullptr, 10));
}

// As the script ended; without a word of its end it was killed together with its parent.
int end_as(const std::optional<std::string>& word) {
    const int status =
        word && word->starts_with("ended ") ? static_cast<int>(std::strtol(word->c_str() + 6, nullptr, 10)) : SIGKILL;
    if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
    const int number = WTERMSIG(status);
    prctl(PR_SET_DUMPABLE, 0);  // the dump, if any, was the script's
    signal(number, SIG_DFL);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, nullptr);
    raise(number);
    return 128 + number;
}

int attend(const Fd& connection, pid_t script, int signals) {
    for (;;) {
        pollfd wait[2] = {{signals, POLLIN, 0}, {connection.get(), POLLIN, 0}};
        if (poll(wait, 2, -1) < 0) continue;
        if ((wait[0].revents & POLLIN) != 0) {
            signalfd_siginfo got;
            if (read(signals, &got, sizeof got) == sizeof got) kill(script, static_cast<int>(got.ssi_signo));
        }
        if (wait[1].revents != 0) return end_as(read_line(connection, -1));
    }
}

}  // namespace

void dismiss_warm_interpreter() { const Fd hung_up = connect_to_interpreter(); }

int run_on_warm_interpreter(const std::vector<std::string>& command) {
    if (command.empty()) return 2;
    std::vector<std::string> resolved = command;
    resolved[0] = on_path(command[0]);
    sigset_t forwarded, before;
    sigemptyset(&forwarded);
    for (const int number : kForwarded) sigaddset(&forwarded, number);
    sigprocmask(SIG_BLOCK, &forwarded, &before);
    {
        const Fd signals(signalfd(-1, &forwarded, SFD_CLOEXEC));
        const Fd connection = connect_to_interpreter();
        if (const auto script = begin(connection, resolved)) return attend(connection, *script, signals.get());
    }
    std::fflush(stdout);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    unsetenv(kWarmVariable);
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    execv(resolved[0].c_str(), arguments.data());
    std::fprintf(stderr, "cannot execute %s: %s\n", command[0].c_str(), std::strerror(errno));
    return 127;
}

}  // namespace millwright::script_mode
