#include "programs/launcher/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <list>
#include <map>
#include <optional>

#include "executors/process/control_groups.h"
#include "executors/process/run_folder.h"
#include "programs/launcher/channel.h"
#include "programs/launcher/companions.h"
#include "programs/launcher/disk_meter.h"
#include "programs/launcher/event_loop.h"
#include "programs/launcher/exit_record.h"
#include "programs/launcher/forwarder.h"
#include "programs/launcher/host.h"
#include "programs/launcher/log_pace.h"
#include "programs/launcher/log_writer.h"
#include "programs/launcher/network.h"
#include "programs/launcher/served_port.h"
#include "programs/launcher/session.h"

namespace millwright::launcher {
namespace {

using executors::LaunchSpec;

constexpr int kPreparationMs = 120000;      // copying instead of an overlay may take its time
constexpr int kRecordAttempts = 24 * 3600;  // a second apart
constexpr size_t kMaxControlConnections = 16;
constexpr const char* kRoomFile = "room";
constexpr off_t kRoomBytes = 64 * 1024;
constexpr size_t kReadBytes = size_t{1} << 20;
constexpr int64_t kSpareWithoutServerNs = 600LL * 1000000000;

struct Host {
    HostProcess process;
    std::optional<LogWriter> log;
    Fd netlink;
    std::unique_ptr<ServedPort> served;
    bool started = false;
    LogPace pace;
    bool output_waits = false;
    std::string excess;  // why it was killed for its use of the disk
    std::optional<ExitReport> report;
    std::optional<HostRecord> record;  // set once the host is gone
};

class Supervisor {
  public:
    Supervisor(LaunchSpec spec, EventLoop loop, Trace trace)
        : spec_(std::move(spec)), loop_(std::move(loop)), trace_(trace), buffer_(new char[kReadBytes]) {}
    ~Supervisor();

    // `inherited`: a connection that is there from the start, or none.
    Result<void> open_control(Fd inherited);
    // A connection without which the run is killed.
    void depend_on(Fd control);
    // To the end of the run; never fails, what goes wrong is in the record.
    ExitRecord run();
    const std::vector<std::string>& trace() const { return traced_; }

  private:
    Result<void> launch();
    Result<void> hold_layers();
    Result<void> start_hosts();
    Result<Message> expect(Host& host, char kind);
    Result<void> prepare_network();
    Result<void> make_control_groups();

    void watch_host(size_t host);
    void read_channel(size_t host);
    void handle_message(Host& host, const Message& message);
    void read_output(size_t host);
    void host_ended(size_t host);
    void all_started();
    void measure_disk();
    void stop_excesses();
    void accept_control();
    void keep_control(Fd socket);
    void announce_start(int socket);
    void serve_control(int socket);
    void begin_session(int socket, std::string_view request, const std::vector<Fd>& files);
    void answer_session(const Message& message);
    void drop_sessions(int socket);
    void read_signals(int fd);

    bool waits_for_work() const { return spec_.spare; }
    void take_work();
    Result<void> hand_out_work();

    void stop(Cause cause, const std::string& message);
    void kill_all();
    int next_timeout_ms() const;
    void check_deadlines();
    bool all_ended() const;
    std::vector<Forwarder*> forwarders() const;
    void clean_up();

    LaunchSpec spec_;
    EventLoop loop_;
    Trace trace_;
    std::unique_ptr<char[]> buffer_;  // left uninitialised: touching it all would cost more than starting a host
    std::vector<Host> hosts_;
    std::unique_ptr<Forwarder> forwarder_, egress_;
    std::vector<Fd> layers_;  // locks of the image's layers
    std::unique_ptr<Companions> companions_;
    std::unique_ptr<DiskMeter> disk_;
    Fd control_listener_, signals_;
    std::list<Fd> control_;
    struct Session {
        int socket = -1;
        size_t host = 0;
    };
    std::map<int32_t, Session> sessions_;  // by ticket
    int32_t next_session_ = 1;
    int lifeline_ = -1;
    std::vector<std::string> traced_;
    ExitRecord record_;
    bool started_ = false;
    bool stopping_ = false;
    int64_t runtime_deadline_ns_ = -1, kill_deadline_ns_ = -1, spare_deadline_ns_ = -1;
};

Supervisor::~Supervisor() {
    forwarder_.reset();  // these use the loop
    egress_.reset();
    for (Host& host : hosts_) host.served.reset();
    companions_.reset();
    disk_.reset();
}

std::string text_of(const Error& error) {
    return error.message + (error.detail.empty() ? "" : " (" + error.detail + ")");
}

Result<void> Supervisor::open_control(Fd inherited) {
    control_listener_.reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // Paths of sockets are short; that of a descriptor always fits.
    const Fd folder = TRY(open_file(spec_.folder, O_PATH | O_DIRECTORY));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder.get(),
                  executors::kControlSocket);
    unlink(address.sun_path);
    const mode_t before = umask(0177);
    const int bound = bind(control_listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    umask(before);
    if (bound != 0 || listen(control_listener_.get(), 16) != 0)
        return error_from_errno("cannot open the control socket");
    loop_.watch(control_listener_.get(), EPOLLIN, [this](uint32_t) { accept_control(); });
    if (inherited) keep_control(std::move(inherited));
    return {};
}

void Supervisor::depend_on(Fd control) {
    lifeline_ = control.get();
    keep_control(std::move(control));
}

ExitRecord Supervisor::run() {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    signals_.reset(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    loop_.watch(signals_.get(), EPOLLIN, [this](uint32_t) { read_signals(signals_.get()); });
    record_.id = spec_.id;
    record_.started = record_.ended = now();
    const auto launched = launch();
    if (!launched) stop(Cause::LaunchFailed, text_of(launched.error()));
    while (!all_ended()) {
        loop_.run_once(next_timeout_ms());
        check_deadlines();
    }
    clean_up();
    if (waits_for_work()) record_.cause = Cause::Unused;
    if (record_.cause == Cause::LaunchFailed || record_.cause == Cause::Unused) return record_;
    for (const Host& host : hosts_) {
        record_.hosts.push_back(*host.record);
        if (host.record->ended.monotonic_ns > record_.ended.monotonic_ns || &host == &hosts_.front())
            record_.ended = host.record->ended;
    }
    return record_;
}

Result<void> Supervisor::launch() {
    if (!spec_.isolated && !spec_.forward_to.empty()) forwarder_ = TRY(Forwarder::make(loop_, spec_.forward_to));
    if (!spec_.isolated && !spec_.egress_socket.empty()) egress_ = TRY(Forwarder::make(loop_, spec_.egress_socket));
    TRY(hold_layers());
    TRY(start_hosts());
    TRY(make_control_groups());  // while the hosts build their roots
    TRY(prepare_network());
    for (Host& host : hosts_) TRY(expect(host, 'R'));
    if (!spec_.spare) companions_ = TRY(Companions::start(loop_, spec_));
    for (size_t i = 0; i < hosts_.size(); ++i) {
        const auto groups = TRY(executors::open_control_group(
            spec_.control_groups, executors::control_group_name(spec_.id, static_cast<int>(i))));
        std::vector<int> files;
        for (const Fd& group : groups) files.push_back(group.get());
        TRY(send_message(hosts_[i].process.channel.get(), 'G', "", files));
    }
    return {};
}

// A layer that somebody holds is not removed. Folders that nobody removes have no lock.
Result<void> Supervisor::hold_layers() {
    for (const std::string& layer : spec_.image_layers) {
        const std::string path = layer.substr(0, layer.rfind('/')) + "/" + executors::kLayerLock;
        if (!file_exists(layer)) return not_found("a layer of the image is gone: " + layer);
        if (!file_exists(path)) continue;
        Fd file = TRY(open_file(path, O_RDONLY));
        struct flock lock {};
        lock.l_type = F_RDLCK;
        lock.l_whence = SEEK_SET;
        if (fcntl(file.get(), F_OFD_SETLK, &lock) != 0)
            return Error{ErrorKind::Unavailable, "a layer of the image is being removed: " + layer, ""};
        layers_.push_back(std::move(file));
    }
    return {};
}

Result<void> Supervisor::start_hosts() {
    hosts_.reserve(static_cast<size_t>(spec_.hosts));
    for (int i = 0; i < spec_.hosts; ++i) {
        Host host;
        if (!spec_.spare) host.log = TRY(LogWriter::open(spec_.log_files[static_cast<size_t>(i)], spec_.max_log_bytes));
        host.process = TRY(start_host(spec_, i, i == 0 ? -1 : hosts_[0].process.pid, trace_));
        if (spec_.served_port != 0)
            host.served = TRY(ServedPort::open(loop_, spec_.folder + "/" + executors::host_name(i), spec_.served_port,
                                               host.process.channel.get()));
        hosts_.push_back(std::move(host));
        watch_host(hosts_.size() - 1);
        if (i == 0) TRY(expect(hosts_[0], 'U'));
    }
    return {};
}

void Supervisor::watch_host(size_t host) {
    loop_.watch(hosts_[host].process.output.get(), EPOLLIN, [this, host](uint32_t) { read_output(host); });
    loop_.watch(hosts_[host].process.channel.get(), EPOLLIN, [this, host](uint32_t) { read_channel(host); });
    loop_.watch(hosts_[host].process.pidfd.get(), EPOLLIN, [this, host](uint32_t) { host_ended(host); });
}

// During the preparation the hosts speak one after the other; traces come in between.
Result<Message> Supervisor::expect(Host& host, char kind) {
    for (;;) {
        auto message = receive_message(host.process.channel.get(), kPreparationMs);
        if (!message) return message;
        if (message->kind == kind) return message;
        if (message->kind == 'T')
            traced_.push_back(message->payload);
        else if (message->kind == 'U')
            continue;
        else if (message->kind == 'E')
            return internal_error(message->payload);
        else
            return internal_error("unexpected message of a host");
    }
}

Result<void> Supervisor::make_control_groups() {
    for (int host = 0; host < spec_.hosts; ++host) {
        const executors::LaunchLimits& of_host = spec_.limits_of(host);
        const executors::ControlGroupLimits limits{of_host.cpus, of_host.memory_bytes, of_host.max_processes};
        TRY(executors::make_control_group(spec_.control_groups, executors::control_group_name(spec_.id, host), limits));
    }
    return {};
}

Result<void> Supervisor::prepare_network() {
    std::vector<int> netlink;
    std::vector<pid_t> init;
    for (Host& host : hosts_) {
        Message message = TRY(expect(host, 'N'));
        if (message.files.empty()) return internal_error("a host has no network");
        host.netlink = std::move(message.files[0]);
        size_t listener = 1;  // in the order of the two forwarders
        for (Forwarder* forwarder : {forwarder_.get(), egress_.get()})
            if (forwarder != nullptr && listener < message.files.size())
                forwarder->serve(std::move(message.files[listener++]));
        netlink.push_back(host.netlink.get());
        init.push_back(host.process.pid);
    }
    const auto joined = join_hosts(netlink, init);
    if (trace_ == Trace::On)
        traced_.push_back(joined ? "ok joined network" : "no joined network: " + text_of(joined.error()));
    return joined;
}

void Supervisor::read_channel(size_t index) {
    auto message = receive_message(hosts_[index].process.channel.get(), 0);
    if (message && message->kind == 'P' && hosts_[index].served)
        hosts_[index].served->take_sockets(std::move(*message));
    else if (message)
        handle_message(hosts_[index], *message);
    else if (message.error().kind == ErrorKind::NotFound)
        loop_.forget(hosts_[index].process.channel.get());
}

void Supervisor::handle_message(Host& host, const Message& message) {
    if (message.kind == 'T') traced_.push_back(message.payload);
    if (message.kind == 'E') stop(Cause::LaunchFailed, message.payload);
    if (message.kind == 'M' || message.kind == 'F' || message.kind == 'Q') return answer_session(message);
    ExitReport report;
    if (message.kind == 'X' && read_struct(message, report)) host.report = report;
    Moment moment;
    if (message.kind != 'S' || !read_struct(message, moment)) return;
    const bool first = std::none_of(hosts_.begin(), hosts_.end(), [](const Host& other) { return other.started; });
    if (first || moment.monotonic_ns < record_.started.monotonic_ns) record_.started = moment;
    host.started = true;
    if (host.served) host.served->begin();
    if (std::all_of(hosts_.begin(), hosts_.end(), [](const Host& other) { return other.started; })) all_started();
}

void Supervisor::all_started() {
    started_ = true;
    measure_disk();
    if (spec_.max_runtime_s >= 0 && !stopping_)
        runtime_deadline_ns_ = record_.started.monotonic_ns + spec_.max_runtime_s * 1000000000;
    for (const Fd& socket : control_) announce_start(socket.get());
}

// A machine that cannot be measured does not keep a run from working.
void Supervisor::measure_disk() {
    std::vector<pid_t> inits;
    for (const Host& host : hosts_) inits.push_back(host.process.pid);
    auto meter = DiskMeter::start(spec_, std::move(inits));
    if (!meter) {
        std::fprintf(stderr, "%s\n", text_of(meter.error()).c_str());
        return;
    }
    disk_ = std::move(*meter);
    loop_.watch(disk_->event(), EPOLLIN, [this](uint32_t) { stop_excesses(); });
}

// Without grace: it would go on writing.
void Supervisor::stop_excesses() {
    for (const DiskMeter::Excess& excess : disk_->take_excesses()) {
        Host& host = hosts_[static_cast<size_t>(excess.host)];
        if (host.record) continue;
        host.excess = executors::host_name(excess.host) + " " + excess.reason;
        syscall(SYS_pidfd_send_signal, host.process.pidfd.get(), SIGKILL, nullptr, 0);
    }
}

void Supervisor::read_output(size_t index) {
    Host& host = hosts_[index];
    const ssize_t got = read(host.process.output.get(), buffer_.get(), kReadBytes);
    if (got > 0) {
        const Moment time = now();
        if (host.log) host.log->feed(std::string_view(buffer_.get(), static_cast<size_t>(got)), time.wall_ms);
        host.pace.took(static_cast<size_t>(got), host.log && !host.log->is_full(), time.monotonic_ns);
        // Not watched at all: a hang-up would be reported again and again.
        host.output_waits = host.pace.next_ns() > time.monotonic_ns;
        if (host.output_waits) loop_.forget(host.process.output.get());
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        loop_.forget(host.process.output.get());
    }
}

void Supervisor::host_ended(size_t index) {
    Host& host = hosts_[index];
    while (!host.report) {  // what it said last
        const auto message = receive_message(host.process.channel.get(), 0);
        if (!message) break;
        handle_message(host, *message);
    }
    int status = 0;
    waitpid(host.process.pid, &status, 0);
    loop_.forget(host.process.pidfd.get());
    loop_.forget(host.process.channel.get());
    const ExitReport report = host.report.value_or(ExitReport{status, false, now()});
    HostRecord record;
    record.signal = WIFSIGNALED(report.status) ? WTERMSIG(report.status) : 0;
    record.exit_code = record.signal != 0 ? 128 + record.signal : WEXITSTATUS(report.status);
    record.ended = report.moment;
    const auto kills = executors::count_memory_kills(spec_.control_groups,
                                                     executors::control_group_name(spec_.id, static_cast<int>(index)));
    record.out_of_memory = record.exit_code != 0 && (report.over_memory || kills > 0);
    record.out_of_disk = !host.excess.empty() ||
                         (record.exit_code != 0 && !record.out_of_memory && disk_ != nullptr && disk_->disk_was_full());
    host.record = record;
    if (waits_for_work()) return stop(Cause::Unused, "what stood ready has ended");
    if (record.exit_code == 0) return;
    if (!host.started && !stopping_) return stop(Cause::LaunchFailed, "a host ended before it executed the command");
    if (!stopping_) {
        record_.first_failure = static_cast<int>(index);
        const std::string name = executors::host_name(static_cast<int>(index));
        stop(Cause::Exited,
             !host.excess.empty() ? host.excess : name + " ended with " + std::to_string(record.exit_code));
    }
}

void Supervisor::accept_control() {
    Fd socket(accept4(control_listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    if (control_.size() >= kMaxControlConnections) {
        drop_sessions(control_.front().get());
        loop_.forget(control_.front().get());
        control_.pop_front();
    }
    const int fd = socket.get();
    keep_control(std::move(socket));
    if (started_) announce_start(fd);
}

void Supervisor::keep_control(Fd socket) {
    const int fd = socket.get();
    spare_deadline_ns_ = -1;
    control_.push_back(std::move(socket));
    loop_.watch(fd, EPOLLIN, [this, fd](uint32_t) { serve_control(fd); });
}

void Supervisor::announce_start(int socket) {
    const std::string news = "started " + std::to_string(record_.started.wall_ms);
    static_cast<void>(send(socket, news.data(), news.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

void Supervisor::serve_control(int socket) {
    const auto message = receive_message(socket, 0);
    if (!message && message.error().kind != ErrorKind::NotFound) return;
    if (!message) {
        drop_sessions(socket);
        if (socket == lifeline_) {
            if (!stopping_) stop(Cause::StopRequested, "");
            kill_all();
        }
        loop_.forget(socket);
        control_.remove_if([&](const Fd& other) { return other.get() == socket; });
        if (waits_for_work() && control_.empty()) spare_deadline_ns_ = now().monotonic_ns + kSpareWithoutServerNs;
        return;
    }
    const std::string word = message->kind + message->payload;
    if (word.starts_with("enter ")) begin_session(socket, std::string_view(word).substr(6), message->files);
    if (word == "work") take_work();
    if (word == "stop" && !stopping_) stop(Cause::StopRequested, "");
    if (word == "kill") {
        if (!stopping_) stop(Cause::StopRequested, "");
        kill_all();
    }
}

// "enter <host> NUL TERM=… NUL [command NUL …]", with three descriptors or, for a terminal, none. The answers are
// "begun" (with the terminal), "refused <text>" and "ended <status>".
void Supervisor::begin_session(int socket, std::string_view request, const std::vector<Fd>& files) {
    const size_t border = std::min(request.find('\0'), request.size());
    size_t host = hosts_.size();
    std::from_chars(request.data(), request.data() + border, host);
    if (!started_ || host >= hosts_.size() || hosts_[host].record) {
        static_cast<void>(send_message(socket, 'r', "efused this host does not run").has_value());
        return;
    }
    const SessionHead head{next_session_++, 0};
    std::string payload(bytes_of(head));
    payload += request.substr(std::min(border + 1, request.size()));
    std::vector<int> standard;
    for (const Fd& file : files) standard.push_back(file.get());
    if (!send_message(hosts_[host].process.channel.get(), 'H', payload, standard)) return;
    sessions_[head.ticket] = {socket, host};
}

void Supervisor::answer_session(const Message& message) {
    SessionHead head;
    if (message.payload.size() < sizeof head) return;
    __builtin_memcpy(&head, message.payload.data(), sizeof head);
    const auto found = sessions_.find(head.ticket);
    if (found == sessions_.end()) return;
    std::string word = "begun";
    if (message.kind == 'F') word = "refused " + message.payload.substr(sizeof head);
    if (message.kind == 'Q') word = "ended " + std::to_string(head.status);
    std::vector<int> files;
    for (const Fd& file : message.files) files.push_back(file.get());
    static_cast<void>(send_message(found->second.socket, word[0], std::string_view(word).substr(1), files).has_value());
    if (message.kind != 'M') sessions_.erase(found);
}

// Whoever wanted the shell is gone.
void Supervisor::drop_sessions(int socket) {
    for (auto session = sessions_.begin(); session != sessions_.end();) {
        const SessionHead head{session->first, 0};
        if (session->second.socket != socket) {
            ++session;
            continue;
        }
        const int channel = hosts_[session->second.host].process.channel.get();
        static_cast<void>(send_message(channel, 'K', bytes_of(head)).has_value());
        session = sessions_.erase(session);
    }
}

// SIGTERM stops and SIGQUIT kills, for people and for service managers; all else is ignored.
void Supervisor::read_signals(int fd) {
    signalfd_siginfo got;
    while (read(fd, &got, sizeof got) == sizeof got) {
        if ((got.ssi_signo == SIGTERM || got.ssi_signo == SIGQUIT) && !stopping_) stop(Cause::StopRequested, "");
        if (got.ssi_signo == SIGQUIT) kill_all();
    }
}

// Asked for by a server that has recorded the work as begun: one that is not there was never written.
void Supervisor::take_work() {
    if (!waits_for_work() || stopping_) return;
    if (!file_exists(spec_.folder + "/" + executors::kWorkFile)) return stop(Cause::Unused, "there is no work");
    if (const auto given = hand_out_work(); !given) {
        spec_.spare = false;
        stop(Cause::LaunchFailed, text_of(given.error()));
    }
}

Result<void> Supervisor::hand_out_work() {
    const std::string path = spec_.folder + "/" + executors::kWorkFile;
    const Fd file = TRY(open_file(path, O_RDONLY));
    const std::string text = TRY(read_file(path, kReadBytes));
    LaunchSpec work = TRY(executors::decode_launch_spec(text));
    if (work.id != spec_.id || work.folder != spec_.folder || work.hosts != spec_.hosts || work.spare ||
        work.isolated != spec_.isolated || work.forward_to != spec_.forward_to ||
        work.egress_socket != spec_.egress_socket)
        return invalid_input("the work does not belong to this spare");
    spec_ = std::move(work);
    companions_ = TRY(Companions::start(loop_, spec_));
    for (size_t i = 0; i < hosts_.size(); ++i) {
        hosts_[i].log = TRY(LogWriter::open(spec_.log_files[i], spec_.max_log_bytes));
        TRY(send_message(hosts_[i].process.channel.get(), 'W', "", {file.get()}));
    }
    return {};
}

// A launch that failed and a spare have nothing to end gracefully.
void Supervisor::stop(Cause cause, const std::string& message) {
    if (cause == Cause::LaunchFailed && started_) cause = Cause::Exited;
    if (waits_for_work()) cause = Cause::Unused;
    if (!stopping_ || cause == Cause::LaunchFailed) {
        record_.cause = cause;
        record_.message = message;
    }
    stopping_ = true;
    runtime_deadline_ns_ = -1;
    if (cause == Cause::LaunchFailed || cause == Cause::Unused) return kill_all();
    kill_deadline_ns_ = now().monotonic_ns + spec_.stop_grace_s * 1000000000;
    const int signal = SIGTERM;
    for (Host& host : hosts_)
        if (!host.record)
            static_cast<void>(send_message(host.process.channel.get(), 'Y', bytes_of(signal)).has_value());
}

void Supervisor::kill_all() {
    kill_deadline_ns_ = -1;
    for (Host& host : hosts_)
        if (!host.record) syscall(SYS_pidfd_send_signal, host.process.pidfd.get(), SIGKILL, nullptr, 0);
}

int Supervisor::next_timeout_ms() const {
    int64_t timeout = -1;
    const auto consider = [&](int64_t milliseconds) {
        milliseconds = std::clamp<int64_t>(milliseconds, 0, 3600000);
        timeout = timeout < 0 ? milliseconds : std::min(timeout, milliseconds);
    };
    const int64_t time = now().monotonic_ns;
    for (const int64_t deadline : {runtime_deadline_ns_, kill_deadline_ns_, spare_deadline_ns_})
        if (deadline >= 0) consider((deadline - time + 999999) / 1000000);
    for (const Host& host : hosts_)
        if (host.output_waits) consider((host.pace.next_ns() - time + 999999) / 1000000);
    for (const Forwarder* forwarder : forwarders())
        if (forwarder->next_timeout_ms() >= 0) consider(forwarder->next_timeout_ms());
    return static_cast<int>(timeout);
}

void Supervisor::check_deadlines() {
    const int64_t time = now().monotonic_ns;
    if (runtime_deadline_ns_ >= 0 && time >= runtime_deadline_ns_) stop(Cause::MaxRuntime, "");
    if (kill_deadline_ns_ >= 0 && time >= kill_deadline_ns_) kill_all();
    for (size_t i = 0; i < hosts_.size(); ++i) {
        if (!hosts_[i].output_waits || time < hosts_[i].pace.next_ns()) continue;
        hosts_[i].output_waits = false;
        loop_.watch(hosts_[i].process.output.get(), EPOLLIN, [this, i](uint32_t) { read_output(i); });
    }
    if (spare_deadline_ns_ >= 0 && time >= spare_deadline_ns_ && waits_for_work())
        stop(Cause::Unused, "no server has asked for the spare");
    if (!waits_for_work()) spare_deadline_ns_ = -1;
    for (Forwarder* forwarder : forwarders()) forwarder->poll();
}

std::vector<Forwarder*> Supervisor::forwarders() const {
    std::vector<Forwarder*> found;
    for (Forwarder* forwarder : {forwarder_.get(), egress_.get()})
        if (forwarder != nullptr) found.push_back(forwarder);
    for (const Host& host : hosts_)
        if (host.served) found.push_back(&host.served->forwarder());
    return found;
}

bool Supervisor::all_ended() const {
    return std::all_of(hosts_.begin(), hosts_.end(), [](const Host& host) { return host.record.has_value(); });
}

void Supervisor::clean_up() {
    if (companions_ != nullptr) companions_->end();
    if (disk_ != nullptr) loop_.forget(disk_->event());
    disk_.reset();
    for (size_t i = 0; i < hosts_.size(); ++i) {
        // Everything that could write is dead; what the pipe still holds is the end of the log.
        for (;;) {
            const ssize_t got = read(hosts_[i].process.output.get(), buffer_.get(), kReadBytes);
            if (got <= 0) break;
            if (hosts_[i].log)
                hosts_[i].log->feed(std::string_view(buffer_.get(), static_cast<size_t>(got)), now().wall_ms);
        }
        if (hosts_[i].log) hosts_[i].log->finish(now().wall_ms);
    }
    for (int host = 0; host < spec_.hosts; ++host) {
        const auto removed =
            executors::remove_control_group(spec_.control_groups, executors::control_group_name(spec_.id, host));
        if (!removed) std::fprintf(stderr, "%s\n", text_of(removed.error()).c_str());
    }
}

// By the locked descriptor: closing another one would give the lock away.
Result<std::string> read_launch_file(int file) {
    struct stat status {};
    if (fstat(file, &status) != 0) return error_from_errno("cannot read the launch file");
    std::string text(static_cast<size_t>(status.st_size), '\0');
    const ssize_t size = pread(file, text.data(), text.size(), 0);
    if (size < 0) return error_from_errno("cannot read the launch file");
    text.resize(static_cast<size_t>(size));
    return text;
}

// For this process and the run: where CPU and disk are short the server and its other clients come first. A run may not
// raise it again.
void yield_to_the_server() {
    constexpr int kNice = 5;
    constexpr int kProcess = 1, kBestEffort = 2, kLowest = 7, kClassShift = 13;
    setpriority(PRIO_PROCESS, 0, kNice);
    syscall(SYS_ioprio_set, kProcess, 0, kBestEffort << kClassShift | kLowest);
}

// Keeps room for the record, because a run that fills the disk is the one whose end has to be recorded.
void keep_room(const std::string& folder) {
    const auto file = open_file(folder + "/" + kRoomFile, O_WRONLY | O_CREAT, 0600);
    if (file) posix_fallocate(file->get(), 0, kRoomBytes);
}

// A full disk gets time to be emptied: without a record the run would count as lost.
Result<void> write_record(const std::string& folder, const std::string& text) {
    unlink((folder + "/" + kRoomFile).c_str());
    for (int attempt = 0;; ++attempt) {
        auto written = replace_file_durably(folder + "/" + executors::kExitRecord, text);
        if (written || written.error().kind != ErrorKind::LimitExceeded || attempt == kRecordAttempts) return written;
        sleep(1);
    }
}

}  // namespace

Result<void> supervise(const std::string& folder, Fd control, Fd lock) {
    if (!lock) lock = TRY(executors::lock_run(folder));
    TRY(executors::show_owner(lock.get()));
    if (file_exists(folder + "/" + executors::kExitRecord))
        return Error{ErrorKind::Conflict, "the run has ended already", folder};
    const std::string text = TRY(read_launch_file(lock.get()));
    LaunchSpec spec = TRY(executors::decode_launch_spec(text));
    if (spec.version != executors::kLaunchVersion)
        return invalid_input("the launch file was written by another version of the server");
    Supervisor supervisor(std::move(spec), TRY(EventLoop::make()), Trace::Off);
    yield_to_the_server();
    keep_room(folder);
    TRY(supervisor.open_control(std::move(control)));
    const ExitRecord record = supervisor.run();
    TRY(write_record(folder, to_json(record)));
    unlink((folder + "/" + executors::kControlSocket).c_str());
    return {};
}

std::string supervise_unrecorded(LaunchSpec spec, Fd control) {
    auto loop = EventLoop::make();
    if (!loop) return text_of(loop.error());
    Supervisor supervisor(std::move(spec), std::move(*loop), Trace::Off);
    supervisor.depend_on(std::move(control));
    const ExitRecord record = supervisor.run();
    return record.cause == Cause::StopRequested ? "" : record.message;
}

int probe(const std::string& scratch, bool user_namespace) {
    LaunchSpec spec;
    spec.id = "probe";
    spec.folder = scratch;
    spec.hosts = 2;
    spec.user_namespace = user_namespace;
    spec.overlay = true;
    spec.forward_to = "127.0.0.1:9";
    spec.command = {"/bin/true"};
    spec.limits = {{1, uint64_t{1} << 26, 0, uint64_t{1} << 26}};
    spec.stop_grace_s = 1;
    spec.max_runtime_s = 10;
    spec.log_files = {scratch + "/algo-1.log", scratch + "/algo-2.log"};
    const auto attempt = [&](bool overlay, int hosts) {
        spec.overlay = overlay;
        spec.hosts = hosts;
        spec.mounts.clear();
        if (overlay) spec.mounts.push_back({'o', scratch + "/lower", "/opt/ml/overlay"});
        auto loop = EventLoop::make();
        if (!loop) return ExitRecord{};
        Supervisor supervisor(spec, std::move(*loop), Trace::On);
        const ExitRecord record = supervisor.run();
        for (const std::string& line : supervisor.trace()) std::printf("%s\n", line.c_str());
        const bool good = record.cause == Cause::Exited && !record.hosts.empty() && record.hosts[0].exit_code == 0;
        std::printf("%s %s%s%s\n", good ? "ok" : "no",
                    overlay     ? "run with overlay"
                    : hosts > 1 ? "run with two hosts"
                                : "run",
                    good ? "" : ": ", good ? "" : record.message.c_str());
        return record;
    };
    const auto works = [](const ExitRecord& record) {
        return record.cause == Cause::Exited && !record.hosts.empty() && record.hosts[0].exit_code == 0;
    };
    const bool plain = works(attempt(false, 1));
    if (!plain) return 1;
    attempt(false, 2);
    attempt(true, 1);
    return 0;
}

}  // namespace millwright::launcher
