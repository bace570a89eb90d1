#include "programs/launcher/enter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "executors/process/enter.h"
#include "executors/process/launch_spec.h"
#include "executors/process/run_folder.h"
#include "programs/launcher/channel.h"
#include "programs/launcher/supervisor.h"

namespace millwright::launcher {
namespace {

using executors::LaunchSpec;

constexpr int kPatienceMs = 120000;
constexpr size_t kMaxLaunchBytes = size_t{1} << 20;
constexpr int kMaxConnectAttempts = 20;

volatile sig_atomic_t resized = 0;
void note_resize(int) { resized = 1; }

// The caller's terminal passes every key on while the shell lasts.
class RawTerminal {
  public:
    explicit RawTerminal(int fd) : fd_(fd) {
        if (tcgetattr(fd_, &before_) != 0) return;
        termios raw = before_;
        cfmakeraw(&raw);
        changed_ = tcsetattr(fd_, TCSANOW, &raw) == 0;
    }
    ~RawTerminal() {
        if (changed_) tcsetattr(fd_, TCSANOW, &before_);
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

  private:
    int fd_;
    termios before_{};
    bool changed_ = false;
};

// A supervisor of our own for a run that has ended, or the connection to the one that lives.
struct Access {
    Fd control;
    Fd lock;  // of a run that has ended: nobody removes it meanwhile
    pid_t supervisor = -1;
};

Result<Fd> connect_control(const std::string& folder) {
    Fd control(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!control) return error_from_errno("cannot make a socket");
    const Fd place = TRY(open_file(folder, O_PATH | O_DIRECTORY));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", place.get(),
                  executors::kControlSocket);
    if (connect(control.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return error_from_errno("cannot reach the supervisor of the run");
    return control;
}

Result<LaunchSpec> read_spec(const std::string& path) {
    const std::string text = TRY(read_file(path, kMaxLaunchBytes));
    LaunchSpec spec = TRY(executors::decode_launch_spec(text));
    if (spec.version != executors::kLaunchVersion)
        return invalid_input("the run was started by another version of the server");
    return spec;
}

// As it was started; a spare's work counts, not what it did before, but what its mounts changed lies where they did.
Result<LaunchSpec> read_run(const std::string& folder) {
    LaunchSpec launched = TRY(read_spec(folder + "/" + executors::kLaunchFile));
    const std::string work_file = folder + "/" + executors::kWorkFile;
    if (!launched.spare || !file_exists(work_file)) return launched;
    LaunchSpec work = TRY(read_spec(work_file));
    std::vector<executors::LaunchMount> late = executors::late_mounts(launched, work);
    executors::number_layers(launched.mounts, 0);
    executors::number_layers(late, launched.mounts.size());
    work.mounts = std::move(launched.mounts);
    work.mounts.insert(work.mounts.end(), late.begin(), late.end());
    return work;
}

// The same surroundings around a command that only waits. What the machine no longer has is left out and named.
void make_idle(LaunchSpec& spec) {
    spec.id += "-enter-" + std::to_string(getpid());
    spec.command = {"/bin/sleep", "infinity"};
    spec.spare = false;
    spec.companions.clear();
    spec.max_runtime_s = -1;
    spec.max_disk_bytes = 0;  // it may be what ended the run
    spec.working_folder = "/";
    for (std::string& file : spec.log_files) file = "/dev/null";
    std::erase_if(spec.mounts, [&](const executors::LaunchMount& mount) {
        const bool gone = mount.source.find("{host}") == std::string::npos && !file_exists(mount.source);
        if (gone) std::fprintf(stderr, "without %s: %s is gone\n", mount.target.c_str(), mount.source.c_str());
        return gone;
    });
    std::erase_if(spec.control_groups.parents, [](const executors::ControlGroupParent& parent) {
        return access(parent.folder.substr(0, parent.folder.rfind('/')).c_str(), W_OK) != 0;
    });
}

Result<Access> set_up_again(const std::string& folder) {
    Access access;
    access.lock = TRY(executors::lock_run(folder));
    LaunchSpec spec = TRY(read_run(folder));
    make_idle(spec);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return error_from_errno("cannot make a socket pair");
    access.control.reset(pair[0]);
    Fd inner(pair[1]);
    access.supervisor = fork();
    if (access.supervisor < 0) return error_from_errno("cannot make a process");
    if (access.supervisor == 0) {
        setsid();  // the terminal's signals are for the shell
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        access.control.reset();
        fcntl(inner.get(), F_SETFL, O_NONBLOCK);
        const std::string failure = supervise_unrecorded(std::move(spec), std::move(inner));
        if (!failure.empty()) std::fprintf(stderr, "%s\n", failure.c_str());
        _exit(failure.empty() ? 0 : 1);
    }
    inner.reset();
    const auto started = receive_message(access.control.get(), kPatienceMs);
    if (!started || started->kind != 's') return Error{ErrorKind::Unavailable, "the run could not be set up again", ""};
    return access;
}

Result<Access> open_run(const std::string& folder) {
    for (int attempt = 0; executors::owner_of_run(folder) && attempt < kMaxConnectAttempts; ++attempt) {
        Access access;
        auto control = connect_control(folder);
        if (control) {
            access.control = std::move(*control);
            return access;
        }
        usleep(50000);  // at its first or last steps
    }
    return set_up_again(folder);
}

void copy_size(int from, int to) {
    winsize size{};
    if (ioctl(from, TIOCGWINSZ, &size) == 0) ioctl(to, TIOCSWINSZ, &size);
}

// Copies what is there; false at the end.
bool pass(int from, int to) {
    char buffer[16384];
    const ssize_t got = read(from, buffer, sizeof buffer);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got <= 0) return false;
    return write_all(to, std::string_view(buffer, static_cast<size_t>(got))).has_value();
}

std::optional<int> ended_status(const Result<Message>& message) {
    if (!message || message->kind != 'e') return std::nullopt;
    int status = 0;
    constexpr std::string_view kRest = "nded ";
    if (!message->payload.starts_with(kRest)) return std::nullopt;
    std::from_chars(message->payload.data() + kRest.size(), message->payload.data() + message->payload.size(), status);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

struct Route {
    int from, to;
    bool open = true;
};

// Passes everything on until the shell has ended and its last words are here.
int relay(int control, std::vector<Route> routes, int terminal) {
    std::optional<int> status;
    for (;;) {
        if (resized != 0 && terminal >= 0) {
            resized = 0;
            copy_size(STDIN_FILENO, terminal);
        }
        std::vector<pollfd> wanted = {{status ? -1 : control, POLLIN, 0}};
        for (const Route& route : routes) wanted.push_back({route.open ? route.from : -1, POLLIN, 0});
        const int ready = poll(wanted.data(), wanted.size(), status ? 100 : -1);
        if (ready == 0 && status) return *status;
        if (ready < 0) continue;
        for (size_t i = 0; i < routes.size(); ++i)
            if (wanted[i + 1].revents != 0) routes[i].open = pass(routes[i].from, routes[i].to);
        if (wanted[0].revents == 0) continue;
        const auto message = receive_message(control, 0);
        status = ended_status(message);
        if (!message && message.error().kind == ErrorKind::NotFound) {
            std::fprintf(stderr, "the run has ended\r\n");
            return executors::kCannotEnter;
        }
    }
}

// "begun", with the terminal if there is one.
Result<Message> ask(int control, int host, const std::vector<std::string>& command, const std::vector<int>& standard) {
    const char* term = std::getenv("TERM");
    std::string request = "enter " + std::to_string(host) + '\0' + "TERM=" + (term != nullptr ? term : "dumb") + '\0';
    for (const std::string& argument : command) request += argument + '\0';
    if (request.size() > 3000) return Error{ErrorKind::LimitExceeded, "the command is too long", ""};
    TRY(send_message(control, request[0], std::string_view(request).substr(1), standard));
    for (;;) {
        auto answer = receive_message(control, kPatienceMs);
        if (!answer) return internal_error("the run does not answer");
        if (answer->kind == 'b') return answer;
        if (answer->kind == 'r') return not_found(answer->payload.substr(std::min<size_t>(7, answer->payload.size())));
    }
}

int run_on_terminal(int control, int host, const std::vector<std::string>& command) {
    const auto begun = ask(control, host, command, {});
    if (!begun || begun->files.empty()) {
        std::fprintf(stderr, "%s\n", begun ? "the run has no terminal" : begun.error().message.c_str());
        return executors::kCannotEnter;
    }
    const int terminal = begun->files[0].get();
    struct sigaction action {};
    action.sa_handler = note_resize;
    sigaction(SIGWINCH, &action, nullptr);
    copy_size(STDIN_FILENO, terminal);
    const RawTerminal raw(STDIN_FILENO);
    return relay(control, {{STDIN_FILENO, terminal}, {terminal, STDOUT_FILENO}}, terminal);
}

// A terminal is never handed in: programs inside could type on it.
int run_on_pipes(int control, int host, const std::vector<std::string>& command) {
    std::vector<Fd> given;
    std::vector<Fd> kept;
    std::vector<Route> routes;
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        int ends[2];
        if (fd == STDIN_FILENO || isatty(fd) == 0) {
            given.emplace_back(dup(fd));
        } else if (pipe2(ends, O_CLOEXEC) == 0) {
            kept.emplace_back(ends[0]);
            given.emplace_back(ends[1]);
            routes.push_back({ends[0], fd});
        }
    }
    std::vector<int> standard;
    for (const Fd& fd : given) standard.push_back(fd.get());
    const auto begun = ask(control, host, command, standard);
    if (!begun) {
        std::fprintf(stderr, "%s\n", begun.error().message.c_str());
        return executors::kCannotEnter;
    }
    given.clear();
    return relay(control, routes, -1);
}

void leave(Access& access) {
    access.control.reset();
    if (access.supervisor <= 0) return;
    // It ends with its last connection; the hosts are killed and their control groups removed.
    while (waitpid(access.supervisor, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace

int enter(const std::string& folder, const std::string& host, const std::vector<std::string>& command) {
    int number = 0;
    const std::string_view prefix = "algo-";
    if (host.starts_with(prefix)) std::from_chars(host.data() + prefix.size(), host.data() + host.size(), number);
    signal(SIGPIPE, SIG_IGN);
    auto access = number > 0 ? open_run(folder) : Result<Access>(not_found("there is no host " + host));
    if (!access) {
        std::fprintf(stderr, "cannot enter the run: %s\n", access.error().message.c_str());
        return executors::kCannotEnter;
    }
    const int control = access->control.get();
    const int status = isatty(STDIN_FILENO) != 0 ? run_on_terminal(control, number - 1, command)
                                                 : run_on_pipes(control, number - 1, command);
    leave(*access);
    return status;
}

}  // namespace millwright::launcher
