#include "script_mode/remote_shell.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <memory>
#include <string_view>
#include <thread>

#include "base/files.h"
#include "base/strings.h"
#include "script_mode/peer.h"
#include "script_mode/value.h"

extern char** environ;

namespace millwright::script_mode {
namespace {

enum class Kind : char { Start = 'S', Input = 'I', Close = 'C', Output = 'O', Error = 'E', Exit = 'X' };
constexpr size_t kHeader = 5;
constexpr size_t kMaxFrame = 256 * 1024;
constexpr size_t kMaxSessions = 128;
constexpr int kUnreachable = 255;  // as ssh

std::string frame(Kind kind, std::string_view data) {
    const auto size = static_cast<uint32_t>(data.size());
    std::string result = {static_cast<char>(kind), static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                          static_cast<char>(size >> 8), static_cast<char>(size)};
    return result.append(data);
}

// The sockets here do not block, so that a listener can be polled; writing waits.
bool send_frame(int fd, Kind kind, std::string_view data) {
    const std::string text = frame(kind, data);
    for (size_t sent = 0; sent < text.size();) {
        const ssize_t count = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (count >= 0) {
            sent += static_cast<size_t>(count);
        } else if (errno == EAGAIN) {
            pollfd wait{fd, POLLOUT, 0};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

// Collects bytes until frames are whole.
class FrameReader {
  public:
    // False at the end of the stream, or when what comes is not frames.
    bool fill(int fd) {
        char buffer[65536];
        const ssize_t count = recv(fd, buffer, sizeof buffer, 0);
        if (count < 0) return errno == EAGAIN || errno == EINTR;
        if (count == 0) return false;
        pending_.append(buffer, static_cast<size_t>(count));
        return pending_.size() < kHeader || length() <= kMaxFrame;
    }
    bool next(Kind& kind, std::string& data) {
        if (pending_.size() < kHeader || length() > kMaxFrame || pending_.size() < kHeader + length()) return false;
        const size_t size = length();
        kind = static_cast<Kind>(pending_[0]);
        data = pending_.substr(kHeader, size);
        pending_.erase(0, kHeader + size);
        return true;
    }

  private:
    size_t length() const {
        size_t result = 0;
        for (size_t i = 1; i < kHeader; ++i) result = result << 8 | static_cast<unsigned char>(pending_[i]);
        return result;
    }
    std::string pending_;
};

struct Pipe {
    Fd read, write;
};

bool make_pipe(Pipe& made) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    made = {Fd(ends[0]), Fd(ends[1])};
    return true;
}

struct Child {
    pid_t pid = -1;
    Fd input, output, error;
};

// In a process group of its own, so that all of it can be ended.
bool start_shell(const std::string& command, Child& child) {
    Pipe input, output, error;
    if (!make_pipe(input) || !make_pipe(output) || !make_pipe(error)) return false;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input.read.get(), 0);
    posix_spawn_file_actions_adddup2(&actions, output.write.get(), 1);
    posix_spawn_file_actions_adddup2(&actions, error.write.get(), 2);
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGTERM);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const char* arguments[] = {"/bin/sh", "-c", command.c_str(), nullptr};
    const int failure =
        posix_spawn(&child.pid, arguments[0], &actions, &attributes, const_cast<char**>(arguments), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    child.input = std::move(input.write);
    child.output = std::move(output.read);
    child.error = std::move(error.read);
    return failure == 0;
}

// Passes on what can be read; closes the pipe at its end.
bool pass_on(int socket, Kind kind, Fd& pipe) {
    char buffer[65536];
    const ssize_t count = read(pipe.get(), buffer, sizeof buffer);
    if (count <= 0) return pipe.reset(), true;
    return send_frame(socket, kind, std::string_view(buffer, static_cast<size_t>(count)));
}

// Frames of the client for a running command.
void give_input(FrameReader& reader, Child& child) {
    Kind kind{};
    std::string data;
    while (reader.next(kind, data)) {
        if (kind == Kind::Input && child.input) {
            if (!write_all(child.input.get(), data)) child.input.reset();
        } else if (kind == Kind::Close) {
            child.input.reset();
        }
    }
}

// Until the command has ended and its output is passed on, or the client is gone. False: the client is gone.
bool serve_command(int socket, FrameReader& reader, Child& child) {
    give_input(reader, child);  // what came together with the command
    while (child.output || child.error) {
        std::array<pollfd, 3> wait = {pollfd{socket, POLLIN, 0},
                                      pollfd{child.output ? child.output.get() : -1, POLLIN, 0},
                                      pollfd{child.error ? child.error.get() : -1, POLLIN, 0}};
        if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) return false;
        if (wait[0].revents != 0) {
            const bool alive = reader.fill(socket);
            give_input(reader, child);
            if (!alive) return false;
        }
        if (wait[1].revents != 0 && !pass_on(socket, Kind::Output, child.output)) return false;
        if (wait[2].revents != 0 && !pass_on(socket, Kind::Error, child.error)) return false;
    }
    return true;
}

bool has_ended(pid_t pid) {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

void end_group(pid_t leader) {
    kill(-leader, SIGTERM);
    for (int tenth = 0; tenth < 20 && !has_ended(leader); ++tenth) usleep(100'000);
    kill(-leader, SIGKILL);
}

bool read_start(int socket, FrameReader& reader, std::string& command) {
    Kind kind{};
    for (;;) {
        if (reader.next(kind, command)) return kind == Kind::Start;
        pollfd wait{socket, POLLIN, 0};
        if (poll(&wait, 1, 10'000) != 1 || !reader.fill(socket)) return false;
    }
}

void serve_session(const Fd& socket) {
    FrameReader reader;
    std::string command;
    Child child;
    if (!read_start(socket.get(), reader, command)) return;
    if (!start_shell(command, child)) {
        send_frame(socket.get(), Kind::Exit, "126");
        return;
    }
    const bool complete = serve_command(socket.get(), reader, child);
    if (!complete) end_group(child.pid);
    int status = 0;
    waitpid(child.pid, &status, 0);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (complete) send_frame(socket.get(), Kind::Exit, std::to_string(code));
}

bool is_in_hosts_file(const in_addr& peer) {
    const auto text = read_file("/etc/hosts", 1 << 20);
    if (!text) return false;
    for (const std::string_view line : split(*text, '\n')) {
        const std::string first(line.substr(0, line.find_first_of(" \t")));
        in_addr known{};
        if (inet_pton(AF_INET, first.c_str(), &known) == 1 && known.s_addr == peer.s_addr) return true;
    }
    return false;
}

// The hosts of this job: those of /etc/hosts, and, where an engine's resolver knows them instead, those of
// resourceconfig.json. Loopback is the host itself.
bool is_of_the_job(const in_addr& peer) {
    if (ntohl(peer.s_addr) >> 24 == 127 || is_in_hosts_file(peer)) return true;
    const char* base = std::getenv("SAGEMAKER_BASE_DIR");
    const auto text =
        read_file(std::string(base == nullptr ? "/opt/ml" : base) + "/input/config/resourceconfig.json", 1 << 20);
    const auto resources = text ? Value::parse(*text) : Result<Value>(Value());
    if (!resources) return false;
    for (const std::string& host : (*resources)["hosts"].string_items())
        for (const in_addr& address : addresses_of(host))
            if (address.s_addr == peer.s_addr) return true;
    return false;
}

Fd accept_peer(int listener) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    Fd accepted(accept4(listener, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!accepted || !is_of_the_job(peer.sin_addr)) return {};
    const int yes = 1;
    setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return accepted;
}

// One of the descriptors of the client: false when the command's end was reached, with its code.
bool take_frames(FrameReader& reader, int& code) {
    Kind kind{};
    std::string data;
    while (reader.next(kind, data)) {
        if (kind == Kind::Output && !write_all(STDOUT_FILENO, data)) return false;
        if (kind == Kind::Error && !write_all(STDERR_FILENO, data)) return false;
        if (kind == Kind::Exit) return code = static_cast<int>(parse_int(data).value_or(kUnreachable)), false;
    }
    return true;
}

int relay(int socket, bool no_input) {
    FrameReader reader;
    int code = kUnreachable;
    bool input = !no_input;
    if (no_input) send_frame(socket, Kind::Close, "");
    for (;;) {
        std::array<pollfd, 2> wait = {pollfd{socket, POLLIN, 0}, pollfd{input ? STDIN_FILENO : -1, POLLIN, 0}};
        if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) return kUnreachable;
        if (wait[0].revents != 0) {
            const bool alive = reader.fill(socket);
            if (!take_frames(reader, code) || !alive) return code;
        }
        if (wait[1].revents == 0) continue;
        char buffer[65536];
        const ssize_t count = read(STDIN_FILENO, buffer, sizeof buffer);
        const bool sent = count > 0 ? send_frame(socket, Kind::Input, {buffer, static_cast<size_t>(count)})
                                    : send_frame(socket, Kind::Close, "");
        if (count <= 0) input = false;
        if (!sent) return code;
    }
}

}  // namespace

std::string runner_program() {
    char path[4096];
    const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
    return size > 0 ? std::string(path, static_cast<size_t>(size)) : "millwright-runner";
}

RemoteCommand read_remote_command(const std::vector<std::string>& arguments) {
    constexpr std::string_view kWithValue = "BbcDEeFIiJLlmOopQRSWw";
    RemoteCommand result;
    size_t at = 0;
    for (; at < arguments.size() && arguments[at].size() > 1 && arguments[at][0] == '-'; ++at) {
        const std::string& option = arguments[at];
        if (option == "--") {
            ++at;
            break;
        }
        for (size_t letter = 1; letter < option.size(); ++letter) {
            if (option[letter] == 'n') result.no_input = true;
            if (kWithValue.find(option[letter]) == std::string_view::npos) continue;
            if (letter + 1 == option.size()) ++at;  // the value is the next argument
            break;
        }
    }
    if (at >= arguments.size()) return result;
    const std::string& target = arguments[at];
    result.host = target.substr(target.find('@') == std::string::npos ? 0 : target.find('@') + 1);
    std::vector<std::string> words(arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1, arguments.end());
    if (!words.empty() && words.front() == "--") words.erase(words.begin());
    result.command = join(words, " ");
    return result;
}

int run_remote_shell(const RemoteCommand& command, int limit_s) {
    if (command.host.empty() || command.command.empty()) {
        std::fprintf(stderr, "usage: ssh [options] HOST COMMAND...   (between the hosts of a job; no terminals)\n");
        return kUnreachable;
    }
    signal(SIGPIPE, SIG_IGN);
    const Result<Fd> socket = connect_with_patience(command.host, kRemoteShellPort, limit_s);
    if (!socket) {
        std::fprintf(stderr, "%s: %s\n", socket.error().message.c_str(), socket.error().detail.c_str());
        return kUnreachable;
    }
    if (!send_frame(socket->get(), Kind::Start, command.command)) return kUnreachable;
    return relay(socket->get(), command.no_input);
}

int serve_remote_shell(uint16_t port) {
    signal(SIGPIPE, SIG_IGN);
    const Result<Fd> listener = listen_on(port);
    if (!listener) {
        std::fprintf(stderr, "%s: %s\n", listener.error().message.c_str(), listener.error().detail.c_str());
        return 1;
    }
    std::list<std::pair<std::jthread, std::shared_ptr<std::atomic<bool>>>> sessions;
    for (;;) {
        pollfd wait{listener->get(), POLLIN, 0};
        if (poll(&wait, 1, -1) < 0 && errno != EINTR) return 1;
        std::erase_if(sessions, [](const auto& session) { return session.second->load(); });
        if (sessions.size() >= kMaxSessions) {
            usleep(10'000);
            continue;
        }
        Fd accepted = accept_peer(listener->get());
        if (!accepted) continue;
        auto done = std::make_shared<std::atomic<bool>>(false);
        sessions.emplace_back(std::jthread([socket = std::move(accepted), done] {
                                  serve_session(socket);
                                  done->store(true);
                              }),
                              done);
    }
}

}  // namespace millwright::script_mode
