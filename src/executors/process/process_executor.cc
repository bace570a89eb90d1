#include "executors/process/process_executor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>

#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "executors/process/launch_spec.h"
#include "executors/process/run_folder.h"
#include "executors/process/spawn.h"
#include "executors/process/usage.h"
#include "executors/process/usage_file.h"

namespace millwright::executors {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t kMaxLaunchBytes = size_t{1} << 20;
constexpr size_t kMaxImageLayers = 127;  // what images may have everywhere else, too
constexpr int kLeftoverEndMs = 5000;
constexpr int kAdoptionAttempts = 200;  // 10 ms apart, while a launcher is between two of its first steps

// A run that is being watched.
struct Watched {
    std::string id, folder;
    RunListener* listener = nullptr;
    Fd pidfd;    // of the launcher; none when it had ended before the adoption
    Fd control;  // connection to the launcher
    bool started_reported = false;
};

// Two events per run: the launcher said something, the launcher has ended.
enum class Source : uint64_t { Control = 0, End = 1 };

bool is_plain_id(std::string_view id) {
    return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    });
}

bool is_absolute(const std::string& path) { return path.starts_with("/") && path.find('\n') == std::string::npos; }

// Launch files end fields with NUL and mounts with LF.
bool has_nul(const std::string& text) { return text.find('\0') != std::string::npos; }

std::vector<Limits> limits_of(const RunSpec& spec) {
    return spec.host_limits.empty() ? std::vector<Limits>{spec.limits} : spec.host_limits;
}

// With an image: entry point and arguments, by the rules of executor.h.
std::vector<std::string> command_of(const RunSpec& spec) {
    if (!spec.image) return spec.command;
    const RunImage& image = *spec.image;
    std::vector<std::string> command = image.entrypoint ? *image.entrypoint : image.config.entrypoint;
    const std::vector<std::string>& arguments =
        !spec.command.empty() || image.entrypoint ? spec.command : image.config.command;
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
}

Result<void> check_image(const RunImage& image) {
    if (image.layers.empty())
        return invalid_input("the image " + image.reference + " is not unpacked: " +
                             (image.engine_image.empty() ? "it has no layers" : "it is for a container engine"));
    if (image.layers.size() > kMaxImageLayers)
        return invalid_input("the image " + image.reference + " has more than " + std::to_string(kMaxImageLayers) +
                             " layers");
    for (const std::string& layer : image.layers)
        if (!is_absolute(layer) || has_nul(layer)) return invalid_input("a layer of the image is not an absolute path");
    if (!image.config.working_folder.empty() && !is_absolute(image.config.working_folder))
        return invalid_input("the working folder of the image " + image.reference + " is not an absolute path");
    return {};
}

Result<void> check(const RunSpec& spec, const Probe& probe) {
    if (probe.tier == Tier::None)
        return Error{ErrorKind::Denied, "this machine does not let Millwright run jobs as processes: " + probe.missing,
                     ""};
    if (!is_plain_id(spec.id)) return invalid_input("a run needs an id of letters, digits and dashes");
    if (!is_absolute(spec.folder) || !file_exists(spec.folder))
        return invalid_input("the folder of the run does not exist");
    if (spec.hosts < 1 || spec.hosts > kMaxHosts) return invalid_input("a run has 1 to 64 hosts");
    if (spec.hosts > 1 && !probe.network)
        return Error{ErrorKind::Denied, "several hosts cannot be joined by a network on this machine", ""};
    if (spec.image) TRY(check_image(*spec.image));
    if (command_of(spec).empty())
        return invalid_input(spec.image ? "the image has neither an entry point nor a command"
                                        : "a run needs a command");
    if (spec.log_files.size() != static_cast<size_t>(spec.hosts))
        return invalid_input("a run needs one log file per host");
    for (const Limits& limits : limits_of(spec))
        if (!(limits.cpus > 0) || limits.memory_bytes < (1u << 20))
            return invalid_input("the limits of the run are too small");
    if (!spec.host_limits.empty() && spec.host_limits.size() != static_cast<size_t>(spec.hosts))
        return invalid_input("a run needs limits for each host or for none");
    if (!is_absolute(spec.working_folder) || has_nul(spec.working_folder))
        return invalid_input("the working folder of a run is an absolute path");
    if (has_nul(spec.egress_socket)) return invalid_input("bad path of the egress socket");
    for (const std::vector<std::string>& companion : spec.companions)
        if (companion.empty() || !is_absolute(companion[0]) || std::any_of(companion.begin(), companion.end(), has_nul))
            return invalid_input("a companion is the absolute path of a program and its arguments");
    for (const std::string& argument : command_of(spec))
        if (has_nul(argument)) return invalid_input("an argument of the command holds a NUL");
    for (const auto& [name, value] : spec.environment)
        if (name.empty() || name.find('=') != std::string::npos || has_nul(name) || has_nul(value))
            return invalid_input("bad environment variable " + name);
    for (const Mount& mount : spec.mounts)
        if (!is_absolute(mount.source) || !is_absolute(mount.target) || has_nul(mount.source) || has_nul(mount.target))
            return invalid_input("mounts need absolute paths: " + mount.source + " at " + mount.target);
    return {};
}

bool is_below(std::string_view path, std::string_view folder) {
    return path == folder || (path.starts_with(folder) && (folder.ends_with("/") || path[folder.size()] == '/'));
}

bool is_visible_anyway(const RunSpec& spec, const std::string& path) {
    for (const char* folder : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu"})
        if (is_below(path, folder)) return true;
    return std::any_of(spec.mounts.begin(), spec.mounts.end(),
                       [&](const Mount& mount) { return is_below(path, mount.target); });
}

// What has to be seen so that the program at `path` works: its folder; for an interpreter in a "bin" its whole prefix
// (a virtual environment, a private Python). Only the file itself where the folder would show too much.
std::string part_to_show(const RunSpec& spec, const std::string& path) {
    const size_t slash = path.rfind('/');
    std::string folder = path.substr(0, slash);
    const size_t parent = folder.rfind('/');
    if (path.compare(slash + 1, 6, "python") == 0 && folder.ends_with("/bin") && parent != 0) folder.resize(parent);
    const auto depth = std::count(folder.begin(), folder.end(), '/');
    if (folder.empty() || depth < 2 || (folder.starts_with("/home/") && depth < 3) || is_below(spec.folder, folder))
        return path;
    return folder;
}

std::vector<LaunchMount> command_mounts(const RunSpec& spec) {
    std::set<std::string> shown;
    if (spec.image || !spec.command[0].starts_with("/")) return {};
    const std::string& command = spec.command[0];
    char resolved[PATH_MAX];
    std::vector<std::string> paths = {command};
    if (realpath(command.c_str(), resolved) != nullptr) paths.emplace_back(resolved);
    for (const std::string& path : paths)
        if (!is_visible_anyway(spec, path) && file_exists(path)) shown.insert(part_to_show(spec, path));
    std::vector<LaunchMount> mounts;
    for (const std::string& path : shown) mounts.push_back({'r', path, path});
    return mounts;
}

std::vector<std::string> environment_of(const RunSpec& spec, bool has_user) {
    std::map<std::string, std::string> variables = {{"PATH", kDefaultPath}};
    if (!has_user) variables["HOME"] = "/root";  // else the launcher knows better
    for (const std::string& variable : spec.image ? spec.image->config.environment : std::vector<std::string>{})
        if (const size_t border = variable.find('='); border != std::string::npos && border > 0 && !has_nul(variable))
            variables[variable.substr(0, border)] = variable.substr(border + 1);
    for (const auto& [name, value] : spec.environment) variables[name] = value;
    std::vector<std::string> out;
    for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
    return out;
}

LaunchSpec launch_spec_of(const RunSpec& spec, const ProcessSettings& settings) {
    LaunchSpec launch;
    launch.id = spec.id;
    launch.folder = spec.folder;
    launch.hosts = spec.hosts;
    launch.user_namespace = settings.probe.tier == Tier::T1;
    launch.overlay = settings.probe.overlay;
    launch.isolated = spec.network_isolation;
    launch.forward_to = spec.forward_to;
    launch.egress_socket = spec.egress_socket;
    launch.working_folder = spec.working_folder;
    launch.companions = spec.companions;
    if (spec.image) {
        launch.image_layers = spec.image->layers;
        const std::string& folder = spec.image->config.working_folder;
        launch.working_folder = folder.empty() ? "/" : folder;
        // A user namespace of tier T1 has one user, who is root inside.
        if (!launch.user_namespace && !has_nul(spec.image->config.user)) launch.user = spec.image->config.user;
    }
    launch.served_port = spec.served_port;
    launch.command = command_of(spec);
    launch.environment = environment_of(spec, !launch.user.empty());
    launch.mounts = command_mounts(spec);
    for (const Mount& mount : spec.mounts) {
        const char mode = mount.mode == Mount::Mode::ReadOnly ? 'r' : mount.mode == Mount::Mode::Writable ? 'w' : 'o';
        launch.mounts.push_back({mode, mount.source, mount.target, mount.through_links, mount.hosts});
    }
    launch.log_files = spec.log_files;
    if (!spec.image) launch.hidden = settings.hidden_paths;
    launch.control_groups = settings.probe.control_groups;
    for (const Limits& limits : limits_of(spec))
        launch.limits.push_back(
            {limits.cpus, limits.memory_bytes, limits.max_processes,
             limits.shared_memory_bytes > 0 ? limits.shared_memory_bytes : limits.memory_bytes / 2});
    launch.max_disk_bytes = spec.max_disk_bytes;
    launch.disk_reserve_bytes = settings.disk_reserve_bytes;
    launch.max_log_bytes = spec.max_log_bytes;
    if (spec.max_runtime) launch.max_runtime_s = spec.max_runtime->count();
    launch.stop_grace_s = spec.stop_grace.count();
    return launch;
}

RunOutcome outcome_of(const Json& record) {
    RunOutcome outcome;
    const std::string cause = record["cause"].string_or("");
    if (cause == "Exited")
        outcome.cause = RunOutcome::Cause::Exited;
    else if (cause == "StopRequested")
        outcome.cause = RunOutcome::Cause::StopRequested;
    else if (cause == "MaxRuntime")
        outcome.cause = RunOutcome::Cause::MaxRuntime;
    else
        outcome.cause = RunOutcome::Cause::LaunchFailed;
    outcome.message = record["message"].string_or("");
    outcome.first_failure = static_cast<int>(record["first_failure"].int_or(-1));
    outcome.started = from_epoch_milliseconds(record["started_ms"].int_or(0));
    outcome.ended = from_epoch_milliseconds(record["ended_ms"].int_or(0));
    outcome.ran = std::chrono::milliseconds(
        (record["ended_monotonic_ns"].int_or(0) - record["started_monotonic_ns"].int_or(0)) / 1000000);
    for (const Json& host : record["hosts"].items())
        outcome.hosts.push_back({static_cast<int>(host["exit_code"].int_or(0)),
                                 static_cast<int>(host["signal"].int_or(0)), host["out_of_memory"].bool_or(false),
                                 host["out_of_disk"].bool_or(false)});
    return outcome;
}

// Work that a spare could not begin may be begun without one, so it counts as never begun.
bool is_unused_spare(const std::string& folder, const Json& record) {
    const std::string cause = record["cause"].string_or("");
    return cause == "Unused" || (cause == "LaunchFailed" && file_exists(folder + "/" + kWorkFile));
}

RunOutcome read_outcome(const std::string& folder) {
    const auto text = read_file(folder + "/" + kExitRecord, kMaxLaunchBytes);
    if (text) {
        const auto record = Json::parse(*text);
        if (record && (*record)["version"].int_or(0) == 1 && !is_unused_spare(folder, *record))
            return outcome_of(*record);
    }
    RunOutcome lost;
    lost.cause = RunOutcome::Cause::Lost;
    if (file_exists(folder + "/" + kExitRecord)) {
        lost.message = "the spare ended before it began its work";
        return lost;
    }
    lost.message = "the process that supervised the run ended without a record";
    const auto last_words = read_file(folder + "/" + kLauncherLog, size_t{1} << 16);
    if (last_words && !trim(*last_words).empty()) lost.message += ": " + std::string(trim(*last_words));
    return lost;
}

Result<Fd> connect_control(const std::string& folder) {
    Fd control(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!control) return error_from_errno("cannot make a socket");
    const Fd place = TRY(open_file(folder, O_PATH | O_DIRECTORY));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", place.get(), kControlSocket);
    if (connect(control.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return error_from_errno("cannot reach the launcher of " + folder);
    return control;
}

class ProcessExecutor : public Executor {
  public:
    explicit ProcessExecutor(ProcessSettings settings)
        : settings_(std::move(settings)),
          epoll_(epoll_create1(EPOLL_CLOEXEC)),
          wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        CHECK(epoll_ && wake_);
        add_to_epoll(wake_.get(), 0);
        thread_ = std::jthread([this](std::stop_token stop) { loop(stop); });
    }
    ~ProcessExecutor() override {
        thread_.request_stop();
        wake();
        thread_.join();
        remove_empty_parents(settings_.probe.control_groups);
    }

    Result<void> start(const RunSpec& spec, RunListener& listener) override;
    Result<void> start_spare(const RunSpec& spec, RunListener& listener) override {
        if (spec.image || spec.served_port != 0) return invalid_input("a spare has no image and serves nothing");
        return start_new(spec, listener, true);
    }
    Result<void> adopt_spare(const std::string& id, const std::string& folder, RunListener& listener) override {
        return adopt_run(id, folder, listener);
    }
    Result<void> end_leftover(const std::string& folder) override;
    Result<void> adopt(const std::string& id, const std::string& folder, RunListener& listener) override;
    Result<void> request_stop(const std::string& id) override { return command(id, "stop", SIGTERM); }
    Result<void> kill(const std::string& id) override { return command(id, "kill", SIGQUIT); }
    void clean_up(const std::string& id, const std::string& folder) override;
    Result<std::vector<HostUsage>> usage(const std::string& id) override;
    Result<std::string> served_at(const std::string& id, int host) override;
    Json describe() const override;

  private:
    Result<void> start_new(const RunSpec& spec, RunListener& listener, bool spare);
    Result<void> start_on_spare(const RunSpec& spec, RunListener& listener);
    Result<void> adopt_run(const std::string& id, const std::string& folder, RunListener& listener);
    Result<void> launch(const RunSpec& spec, bool spare, Watched& run);
    Result<Fd> find_launcher(const std::string& folder);
    Result<void> command(const std::string& id, std::string_view word, int signal);
    Result<void> watch(Watched run);

    void loop(std::stop_token stop);
    void wake() { eventfd_write(wake_.get(), 1); }
    void add_to_epoll(int fd, uint64_t data);
    void read_control(uint64_t ticket);
    void launcher_ended(uint64_t ticket);

    const ProcessSettings settings_;
    Fd epoll_, wake_;
    Mutex mutex_;
    uint64_t next_ticket_ GUARDED_BY(mutex_) = 1;
    std::map<uint64_t, Watched> runs_ GUARDED_BY(mutex_);
    std::map<std::string, uint64_t> tickets_ GUARDED_BY(mutex_);
    std::vector<uint64_t> ended_before_ GUARDED_BY(mutex_);  // adopted after their end; reported by the thread
    std::jthread thread_;
};

void ProcessExecutor::add_to_epoll(int fd, uint64_t data) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = data;
    CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

Result<void> ProcessExecutor::start(const RunSpec& spec, RunListener& listener) {
    return spec.on_spare ? start_on_spare(spec, listener) : start_new(spec, listener, false);
}

// The launcher reads the work when it is told to, here or by the next server's adopt(). What ends meanwhile is reported
// to whom it belongs by then.
Result<void> ProcessExecutor::start_on_spare(const RunSpec& spec, RunListener& listener) {
    TRY(check(spec, settings_.probe));
    for (int host = 0; host < spec.hosts; ++host) TRY(make_directories(spec.folder + "/" + host_name(host) + "/ml"));
    const std::string text = encode_launch_spec(launch_spec_of(spec, settings_));
    if (text.size() > kMaxLaunchBytes)
        return Error{ErrorKind::LimitExceeded, "command and environment are too large", ""};
    const std::string path = spec.folder + "/" + kWorkFile;
    TRY(write_file(path + ".new", text, 0600));
    if (rename((path + ".new").c_str(), path.c_str()) != 0) return error_from_errno("cannot write " + path);
    {
        MutexLock lock(mutex_);
        const auto found = tickets_.find(spec.id);
        if (found != tickets_.end()) runs_.at(found->second).listener = &listener;
        if (found != tickets_.end() && runs_.at(found->second).control) {
            const int control = runs_.at(found->second).control.get();
            static_cast<void>(send(control, "work", 4, MSG_NOSIGNAL | MSG_DONTWAIT));  // fails when it ends
            return {};
        }
        if (found != tickets_.end()) return {};
    }
    Watched ended;
    ended.id = spec.id;
    ended.folder = spec.folder;
    ended.listener = &listener;
    return watch(std::move(ended));
}

Result<void> ProcessExecutor::start_new(const RunSpec& spec, RunListener& listener, bool spare) {
    TRY(check(spec, settings_.probe));
    if (file_exists(spec.folder + "/" + kLaunchFile) || file_exists(spec.folder + "/" + kExitRecord))
        return Error{ErrorKind::AlreadyExists, "the run has been started before", spec.folder};
    for (int host = 0; host < spec.hosts; ++host) TRY(make_directories(spec.folder + "/" + host_name(host) + "/ml"));
    // Files that root makes inside are root's outside as well, set-id bits included.
    if (chmod(spec.folder.c_str(), 0700) != 0) return error_from_errno("cannot close " + spec.folder + " to others");
    Watched run;
    run.id = spec.id;
    run.folder = spec.folder;
    run.listener = &listener;
    TRY(launch(spec, spare, run));
    return watch(std::move(run));
}

Result<void> ProcessExecutor::launch(const RunSpec& spec, bool spare, Watched& run) {
    LaunchSpec wanted = launch_spec_of(spec, settings_);
    wanted.spare = spare;
    const std::string text = encode_launch_spec(wanted);
    if (text.size() > kMaxLaunchBytes)
        return Error{ErrorKind::LimitExceeded, "command and environment are too large", ""};
    const std::string path = spec.folder + "/" + kLaunchFile;
    TRY(write_file(path, text, 0600));  // holds the environment, which may hold secrets
    const Fd log = TRY(open_file(spec.folder + "/" + kLauncherLog, O_WRONLY | O_CREAT | O_APPEND, 0600));
    const auto lock = lock_run(spec.folder);
    if (!lock) return lock.error();
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return error_from_errno("cannot make a socket pair");
    run.control.reset(pair[0]);
    const Fd inner(pair[1]);
    SpawnRequest request;
    request.arguments = {settings_.launcher, spec.folder};
    request.output = log.get();
    request.control = inner.get();
    request.lock = lock->get();
    const auto launcher = spawn(request);
    if (!launcher) {
        unlink(path.c_str());
        return launcher.error();
    }
    // Our child until we wait for it, so the number cannot mean another process.
    run.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, *launcher, 0)));
    if (!run.pidfd) {
        const Error failure = error_from_errno("cannot watch the launcher");
        ::kill(*launcher, SIGKILL);
        waitpid(*launcher, nullptr, 0);
        return failure;
    }
    return {};
}

Result<void> ProcessExecutor::watch(Watched run) {
    MutexLock lock(mutex_);
    if (tickets_.contains(run.id)) return Error{ErrorKind::AlreadyExists, "the run is watched already", run.id};
    const uint64_t ticket = next_ticket_++;
    tickets_[run.id] = ticket;
    const int pidfd = run.pidfd.get();
    const int control = run.control.get();
    runs_.emplace(ticket, std::move(run));
    if (control >= 0) add_to_epoll(control, ticket * 2 + static_cast<uint64_t>(Source::Control));
    if (pidfd >= 0) {
        add_to_epoll(pidfd, ticket * 2 + static_cast<uint64_t>(Source::End));
    } else {
        ended_before_.push_back(ticket);
        wake();
    }
    return {};
}

Result<void> ProcessExecutor::adopt(const std::string& id, const std::string& folder, RunListener& listener) {
    TRY(adopt_run(id, folder, listener));
    return command(id, "work", 0);  // a spare may not have heard of it; others do not listen to this
}

Result<void> ProcessExecutor::end_leftover(const std::string& folder) {
    if (!file_exists(folder + "/" + kLaunchFile)) return {};
    const Fd launcher = TRY(find_launcher(folder));
    if (!launcher || syscall(SYS_pidfd_send_signal, launcher.get(), SIGKILL, nullptr, 0) != 0) return {};
    pollfd ended{launcher.get(), POLLIN, 0};
    const bool gone = poll(&ended, 1, kLeftoverEndMs) == 1;
    // A host that it was just making may still hold a copy of the lock, for an instant.
    for (int attempt = 0; gone && attempt < kAdoptionAttempts && owner_of_run(folder); ++attempt)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (gone) return {};
    return Error{ErrorKind::Unavailable, "a launcher does not end", folder};
}

Result<void> ProcessExecutor::adopt_run(const std::string& id, const std::string& folder, RunListener& listener) {
    Watched run;
    run.id = id;
    run.folder = folder;
    run.listener = &listener;
    run.pidfd = TRY(find_launcher(folder));
    for (int attempt = 0; run.pidfd && attempt < kAdoptionAttempts; ++attempt) {
        auto control = connect_control(folder);
        if (control) {
            run.control = std::move(*control);
            break;
        }
        if (!owner_of_run(folder)) break;  // it has ended in between; its pidfd says so
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return watch(std::move(run));
}

// The launcher that owns the run, or none. A run that nobody owns cannot begin any more afterwards.
Result<Fd> ProcessExecutor::find_launcher(const std::string& folder) {
    for (int attempt = 0; attempt < kAdoptionAttempts; ++attempt) {
        const auto owner = owner_of_run(folder);
        if (owner && owner->pid > 0) {
            Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, owner->pid, 0)));
            const auto again = owner_of_run(folder);
            if (pidfd && again && again->pid == owner->pid) return pidfd;
        }
        if (!owner) {
            const auto lock = lock_run(folder);
            if (lock && !file_exists(folder + "/" + kExitRecord)) unlink((folder + "/" + kLaunchFile).c_str());
            if (lock || lock.error().kind == ErrorKind::NotFound) return Fd();
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return Error{ErrorKind::Unavailable, "the launcher of the run does not show itself", folder};
}

Result<void> ProcessExecutor::command(const std::string& id, std::string_view word, int signal) {
    MutexLock lock(mutex_);
    const auto found = tickets_.find(id);
    if (found == tickets_.end()) return {};  // it has ended
    const Watched& run = runs_.at(found->second);
    if (run.control && send(run.control.get(), word.data(), word.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
    if (!run.pidfd) return {};
    if (syscall(SYS_pidfd_send_signal, run.pidfd.get(), signal, nullptr, 0) == 0 || errno == ESRCH) return {};
    return error_from_errno("cannot reach the launcher of run " + id);
}

void ProcessExecutor::loop(std::stop_token stop) {
    while (!stop.stop_requested()) {
        epoll_event events[64];
        const int count = epoll_wait(epoll_.get(), events, 64, -1);
        for (int i = 0; i < count; ++i) {
            const uint64_t ticket = events[i].data.u64 / 2;
            if (events[i].data.u64 == 0) {
                eventfd_t ignored = 0;
                eventfd_read(wake_.get(), &ignored);
            } else if (events[i].data.u64 % 2 == static_cast<uint64_t>(Source::Control)) {
                read_control(ticket);
            } else {
                launcher_ended(ticket);
            }
        }
        std::vector<uint64_t> ended;
        {
            MutexLock lock(mutex_);
            ended.swap(ended_before_);
        }
        for (const uint64_t ticket : ended) launcher_ended(ticket);
    }
}

// "started <ms>"; the end of the connection is followed by the end of the launcher.
void ProcessExecutor::read_control(uint64_t ticket) {
    RunListener* listener = nullptr;
    std::string id;
    int64_t started_ms = 0;
    {
        MutexLock lock(mutex_);
        const auto found = runs_.find(ticket);
        if (found == runs_.end() || !found->second.control) return;
        Watched& run = found->second;
        char text[64];
        const ssize_t got = recv(run.control.get(), text, sizeof text, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) {
            run.control.reset();
            return;
        }
        const std::string_view word(text, static_cast<size_t>(got));
        if (!word.starts_with("started ") || run.started_reported) return;
        started_ms = parse_int(word.substr(8)).value_or(0);
        run.started_reported = true;
        listener = run.listener;
        id = run.id;
    }
    listener->run_started(id, from_epoch_milliseconds(started_ms));
}

void ProcessExecutor::launcher_ended(uint64_t ticket) {
    read_control(ticket);  // a short run says "started" and ends at once
    Watched run;
    {
        MutexLock lock(mutex_);
        const auto found = runs_.find(ticket);
        if (found == runs_.end()) return;
        run = std::move(found->second);
        runs_.erase(found);
        tickets_.erase(run.id);
    }
    if (run.pidfd) {
        siginfo_t ignored;
        waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(run.pidfd.get()), &ignored,
               WEXITED | WNOHANG);  // not ours after an adoption
    }
    const RunOutcome outcome = read_outcome(run.folder);
    const bool unused = file_exists(run.folder + "/" + kExitRecord);  // a spare
    if (outcome.cause == RunOutcome::Cause::Lost && !unused)
        log::warning("run " + run.id + " is lost: " + outcome.message);
    run.listener->run_ended(run.id, outcome);
}

void ProcessExecutor::clean_up(const std::string& id, const std::string& folder) {
    int hosts = kMaxHosts;
    ControlGroups groups = settings_.probe.control_groups;
    if (const auto text = read_file(folder + "/" + kLaunchFile, kMaxLaunchBytes)) {
        if (const auto spec = decode_launch_spec(*text)) {
            hosts = spec->hosts;
            groups = spec->control_groups;  // the server may run elsewhere in the hierarchy now
        }
    }
    for (int host = 0; host < hosts; ++host) {
        const auto removed = remove_control_group(groups, control_group_name(id, host));
        if (!removed) log::warning("cannot clean up after run " + id, removed.error());
    }
    unlock_folders(folder, hosts);
}

Result<std::string> ProcessExecutor::served_at(const std::string& id, int host) {
    std::string folder;
    {
        MutexLock lock(mutex_);
        const auto found = tickets_.find(id);
        if (found == tickets_.end()) return not_found("the run has ended or is not known");
        folder = runs_.at(found->second).folder;
    }
    const std::string text = TRY(read_file(folder + "/" + kLaunchFile, kMaxLaunchBytes));
    const LaunchSpec spec = TRY(decode_launch_spec(text));
    if (spec.served_port == 0 || host < 0 || host >= spec.hosts)
        return not_found("host " + std::to_string(host) + " of run " + id + " serves no port");
    return "unix:" + folder + "/" + host_name(host) + "/" + kServedSocket;
}

Result<std::vector<HostUsage>> ProcessExecutor::usage(const std::string& id) {
    std::string folder;
    {
        MutexLock lock(mutex_);
        const auto found = tickets_.find(id);
        if (found == tickets_.end()) return not_found("the run has ended or is not known");
        folder = runs_.at(found->second).folder;
    }
    // A spare that has begun its work keeps its groups and its processes.
    const std::string text = TRY(read_file(folder + "/" + kLaunchFile, kMaxLaunchBytes));
    const LaunchSpec spec = TRY(decode_launch_spec(text));
    std::vector<PublishedUsage> published;
    if (const auto file = read_file(folder + "/" + kUsageFile, kMaxLaunchBytes)) published = TRY(decode_usage(*file));
    published.resize(static_cast<size_t>(spec.hosts));
    std::vector<HostUsage> hosts(published.size());
    for (int host = 0; host < spec.hosts; ++host) {
        const PublishedUsage& known = published[static_cast<size_t>(host)];
        HostUsage& usage = hosts[static_cast<size_t>(host)];
        measure_host(spec.control_groups, control_group_name(id, host), known.init, usage);
        usage.memory_limit_bytes = spec.limits.empty() ? 0 : spec.limits_of(host).memory_bytes;
        usage.disk_bytes = known.disk_bytes;
        usage.disk_limit_bytes = known.disk_limit_bytes;
    }
    return hosts;
}

Json ProcessExecutor::describe() const {
    Json out = settings_.probe.report;
    out.set("executor", "process");
    out.set("launcher", settings_.launcher);
    out.set("overlay_mounts", settings_.probe.overlay ? "overlayfs" : "copies: overlayfs is refused here");
    out.set("internet",
            "by the server's proxy only: runs reach each other's hosts and, unless isolated, 169.254.170.2");
    return out;
}

}  // namespace

std::unique_ptr<Executor> make_process_executor(ProcessSettings settings) {
    return std::make_unique<ProcessExecutor>(std::move(settings));
}

}  // namespace millwright::executors
