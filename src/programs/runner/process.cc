#include "programs/runner/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace millwright::runner {
namespace {

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
constexpr int kPipeBytes = 1 << 20;
constexpr size_t kMaxVariable = (128 << 10) - 1;  // the kernel's MAX_ARG_STRLEN, with the final NUL
// What is still passed on when the command has ended but others write to its pipe.
constexpr size_t kMaxLateBytes = 4 << 20;

volatile sig_atomic_t foreground = 0;
volatile sig_atomic_t stop = 0;

void pass_signal_on(int signal) {
    const int before = errno;
    if (signal != SIGUSR1 && signal != SIGUSR2) stop = 1;
    if (foreground > 0) kill(foreground, signal);
    errno = before;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

std::vector<std::string> environment_of(const Variables& variables) {
    std::vector<std::string> out;
    for (const auto& [name, value] : variables) {
        if (name.size() + 1 + value.size() > kMaxVariable) {
            std::string note = "millwright-runner: the variable " + name + " is left out: it is longer than 128 KiB\n";
            static_cast<void>(write_all(STDERR_FILENO, note).has_value());
            continue;
        }
        out.push_back(name + "=" + value);
    }
    return out;
}

std::string why_not_executed(const std::string& path, int failure) {
    if (failure == E2BIG) return "its arguments and environment are larger than the system allows";
    const auto text = read_file(path, 256);
    const bool script = failure == ENOENT && text && text->starts_with("#!");
    if (script) {
        const std::string line = text->substr(2, text->find('\n') - 2);
        return "its first line names a program that does not exist: " +
               (line.ends_with('\r') ? std::string(trim(line)) + " with a carriage return (Windows line ends)" : line);
    }
    return std::strerror(failure);
}

class SpawnSettings {
  public:
    SpawnSettings(const std::string& folder, int error_output) {
        posix_spawn_file_actions_init(&actions_);
        posix_spawnattr_init(&attributes_);
        if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str());
        if (error_output >= 0) posix_spawn_file_actions_adddup2(&actions_, error_output, STDERR_FILENO);
        sigset_t none;
        sigemptyset(&none);
        posix_spawnattr_setsigmask(&attributes_, &none);
        sigset_t usual;
        sigemptyset(&usual);
        sigaddset(&usual, SIGPIPE);
        posix_spawnattr_setsigdefault(&attributes_, &usual);
        posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    ~SpawnSettings() {
        posix_spawn_file_actions_destroy(&actions_);
        posix_spawnattr_destroy(&attributes_);
    }
    SpawnSettings(const SpawnSettings&) = delete;
    SpawnSettings& operator=(const SpawnSettings&) = delete;

    int spawn(pid_t& child, const std::string& program, const std::vector<std::string>& arguments,
              const std::vector<std::string>& environment) const {
        return posix_spawn(&child, program.c_str(), &actions_, &attributes_, pointers(arguments).data(),
                           pointers(environment).data());
    }

  private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

Result<pid_t> spawn(const Command& command, int error_output) {
    const std::string program = find_program(command.arguments[0], command.variables, command.folder);
    if (program.empty()) return not_found("cannot execute " + command.arguments[0] + ": there is no such program");
    const std::vector<std::string> environment = environment_of(command.variables);
    const SpawnSettings settings(command.folder, error_output);
    pid_t child = 0;
    int failure = settings.spawn(child, program, command.arguments, environment);
    if (failure == ENOEXEC) {  // a script without a first line "#!…", as a shell would run it
        std::vector<std::string> arguments = command.arguments;
        arguments[0] = program;
        arguments.insert(arguments.begin(), "/bin/sh");
        failure = settings.spawn(child, "/bin/sh", arguments, environment);
    }
    if (failure == 0) return child;
    const std::string path = program.starts_with('/') ? program : command.folder + "/" + program;
    return not_found("cannot execute " + command.arguments[0] + ": " + why_not_executed(path, failure));
}

Fd open_pidfd(pid_t pid) { return Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

Exit exit_of(int status) {
    if (WIFSIGNALED(status)) return {128 + WTERMSIG(status), WTERMSIG(status)};
    return {WEXITSTATUS(status), 0};
}

Exit wait_for(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return exit_of(status);
}

// Holds back the signals that are passed on: between a fork and the note of whose turn it is, none may get lost.
class SignalsHeld {
  public:
    SignalsHeld() {
        sigset_t held;
        sigemptyset(&held);
        for (const int signal : kForwarded) sigaddset(&held, signal);
        sigprocmask(SIG_BLOCK, &held, &before_);
    }
    ~SignalsHeld() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;

  private:
    sigset_t before_{};
};

// Listens until the command ends, or one of the others in a way that matters.
Exit attend(pid_t child, const Fd& pidfd, ErrorPipe& errors, script_mode::ErrorTail& tail,
            const std::vector<const Background*>& essential) {
    std::vector<pollfd> waits = {{pidfd.get(), POLLIN, 0}, {errors.reading_end(), POLLIN, 0}};
    for (const Background* process : essential) waits.push_back({process->pidfd().get(), POLLIN, 0});
    for (;;) {
        if (poll(waits.data(), waits.size(), -1) < 0) continue;  // a signal
        if (waits[1].revents != 0 && !errors.pass_on(tail)) waits[1].fd = -1;
        if (waits[0].revents != 0) return wait_for(child);
        for (size_t i = 2; i < waits.size(); ++i) {
            if (waits[i].revents == 0) continue;
            waits[i].fd = -1;
            siginfo_t about{};
            waitid(P_PID, static_cast<id_t>(essential[i - 2]->pid()), &about, WEXITED | WNOWAIT);
            const bool killed = about.si_code != CLD_EXITED;
            if (about.si_status == 0 && !killed) continue;
            kill(child, SIGKILL);
            wait_for(child);
            return killed ? Exit{128 + about.si_status, about.si_status} : Exit{about.si_status, 0};
        }
    }
}

}  // namespace

void forward_signals() {
    struct sigaction action {};
    action.sa_handler = pass_signal_on;
    for (const int signal : kForwarded) sigaction(signal, &action, nullptr);
    signal(SIGPIPE, SIG_IGN);  // who reads our standard error may go before the script ends
}

bool stop_requested() { return stop != 0; }

std::string find_program(const std::string& name, const Variables& variables, const std::string& folder) {
    if (name.find('/') != std::string::npos) {
        const std::string path = name.starts_with('/') ? name : folder + "/" + name;
        return file_exists(path) ? name : "";
    }
    const auto path = variables.find("PATH");
    if (path == variables.end()) return "";
    for (const std::string_view place : split(path->second, ':')) {
        const std::string candidate = std::string(place) + "/" + name;
        if (access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return "";
}

Result<Background> Background::start(const Command& command, int error_output) {
    const pid_t pid = TRY(spawn(command, error_output));
    return Background(pid, open_pidfd(pid));
}

Background::Background(Background&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}

void Background::end(std::chrono::milliseconds grace) {
    if (pid_ == 0) return;
    kill(pid_, SIGTERM);
    pollfd wait = {pidfd_.get(), POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(grace.count())) != 1) kill(pid_, SIGKILL);
    wait_for(std::exchange(pid_, 0));
}

Result<ErrorPipe> ErrorPipe::make() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return error_from_errno("cannot make a pipe");
    ErrorPipe out{Fd(ends[0]), Fd(ends[1])};
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[0], F_SETPIPE_SZ, kPipeBytes);  // refused beyond the user's share: then the pipe stays small
    return out;
}

bool ErrorPipe::pass_on(script_mode::ErrorTail& tail) {
    static char buffer[256 << 10];
    const ssize_t count = read(reading_.get(), buffer, sizeof buffer);
    if (count == 0) return false;
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    const std::string_view bytes(buffer, static_cast<size_t>(count));
    tail.add(bytes);
    static_cast<void>(write_all(STDERR_FILENO, bytes).has_value());  // who reads it may have gone; the script goes on
    return true;
}

Result<Exit> run_in_foreground(const Command& command, ErrorPipe& errors, script_mode::ErrorTail& tail,
                               const std::vector<const Background*>& essential) {
    Fd pidfd;
    {
        const SignalsHeld held;
        if (stop_requested()) return Error{ErrorKind::Conflict, "the job is to stop", ""};
        const pid_t child = TRY(spawn(command, errors.writing_end()));
        pidfd = open_pidfd(child);
        foreground = child;
    }
    errors.close_writing_end();
    const Exit exit = attend(foreground, pidfd, errors, tail, essential);
    foreground = 0;
    pollfd more = {errors.reading_end(), POLLIN, 0};
    for (size_t late = 0; late < kMaxLateBytes && poll(&more, 1, 0) == 1; late += 64 << 10)
        if (!errors.pass_on(tail)) break;
    tail.finish();
    return exit;
}

}  // namespace millwright::runner
