#include "executors/container/host_watch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "base/time.h"
#include "executors/container/log_follower.h"
#include "net/http_client.h"

namespace millwright::executors {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{50}, kLongestPause{1000};
// Podman's engine says that a log has ended only a while after its container.
constexpr milliseconds kLogPatience{300};
constexpr int kHighestSignal = 64;
// An engine that is told to end closes its doors first and ends its containers then.
constexpr int64_t kAwayMarginMs = 1000;
constexpr milliseconds kPingPatience{5000};

int64_t time_of(const std::string& text) {
    if (text.empty() || text.starts_with("0001-")) return 0;
    // More digits than milliseconds need.
    std::string shorter = text;
    const size_t dot = text.find('.');
    if (dot != std::string::npos) {
        const size_t end = std::min(text.find_first_not_of("0123456789", dot + 1), text.size());
        shorter = text.substr(0, std::min(end, dot + 4)) + text.substr(end);
    }
    const auto time = parse_iso8601(shorter);
    return time ? to_epoch_milliseconds(*time) : 0;
}

// The kernel's log names the control group, which has the name of the container. Engines miss the event on some
// kernels.
bool kernel_tells_of_memory(const std::string& container) {
    const auto log = open_file("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    if (!log) return false;
    char record[8192];
    for (;;) {
        const ssize_t got = read(log->get(), record, sizeof record);
        if (got < 0 && errno == EPIPE) continue;  // overwritten while we read
        if (got <= 0) return false;
        const std::string_view text(record, static_cast<size_t>(got));
        if (text.find("oom-kill:") != std::string_view::npos && text.find(container) != std::string_view::npos)
            return true;
    }
}

// Connections from before go on being answered while an engine ends, and so do its containers. A new one is refused,
// or, where the socket is systemd's, waits for the next engine.
bool is_ending(const std::string& socket, bool by_signal) {
    const Fd fresh(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.copy(address.sun_path, sizeof address.sun_path - 1);
    const int connected = connect(fresh.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (connected != 0 && (errno == ECONNREFUSED || errno == ENOENT)) return true;
    if (!by_signal) return false;
    const auto answer = net::HttpClient::unix_socket(socket)->call("GET", "/_ping", {}, "", kPingPatience, 4096);
    return !answer;
}

class Watch final : public HostWatch {
  public:
    Watch(EngineClient& engine, Settings settings, std::function<void()> news)
        : engine_(engine), settings_(std::move(settings)), news_(std::move(news)) {
        log_thread_ = std::jthread([this] { follow_log(); });
        end_thread_ = std::jthread([this] { follow_end(); });
    }
    ~Watch() override;

    int64_t started_ms() const override {
        const MutexLock lock(mutex_);
        return started_ms_;
    }
    std::optional<HostEnd> end() const override {
        const MutexLock lock(mutex_);
        return end_;
    }

  private:
    std::string path(std::string_view rest) const { return "/containers/" + settings_.container + std::string(rest); }
    bool pause(milliseconds& longest, bool until_ended);
    bool over() const {
        const MutexLock lock(mutex_);
        return shutdown_;
    }

    void follow_log();
    Result<void> read_log(LogFollower& follower, bool follow);
    void complete_log(LogFollower& follower);
    void follow_end();
    Result<void> wait_for_end();
    bool look();  // true: it has ended, and end_ says how
    void wait_for_log();
    void note_engines_end(const Json& container);
    HostEnd end_of(const Json& container) const;

    EngineClient& engine_;
    const Settings settings_;
    const std::function<void()> news_;
    net::Interrupt log_interrupt_, end_interrupt_;
    mutable Mutex mutex_;
    Condition changed_;
    bool shutdown_ GUARDED_BY(mutex_) = false;
    bool container_ended_ GUARDED_BY(mutex_) = false;
    bool log_complete_ GUARDED_BY(mutex_) = false;
    int64_t started_ms_ GUARDED_BY(mutex_) = 0;
    int64_t away_ms_ GUARDED_BY(mutex_) = 0;  // when the engine was first found to be away; 0: never
    std::optional<HostEnd> end_ GUARDED_BY(mutex_);
    std::optional<HostEnd> found_;  // of the end's thread, before the log is complete
    std::jthread log_thread_, end_thread_;
};

Watch::~Watch() {
    {
        const MutexLock lock(mutex_);
        shutdown_ = true;
        changed_.notify_all();
    }
    log_interrupt_.interrupt();
    end_interrupt_.interrupt();
    log_thread_.join();
    end_thread_.join();
}

// Between two requests to an engine that is away; false: no more of them.
bool Watch::pause(milliseconds& longest, bool until_ended) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + longest;
    longest = std::min(longest * 2, kLongestPause);
    while (!shutdown_ && !(until_ended && container_ended_) && std::chrono::steady_clock::now() < deadline)
        changed_.wait_until(mutex_, deadline);
    return !shutdown_ && !(until_ended && container_ended_);
}

Result<void> Watch::read_log(LogFollower& follower, bool follow) {
    std::string target = path("/logs?stdout=1&stderr=1&timestamps=1");
    if (follow) target += "&follow=1";
    if (follower.since() > 0) target += "&since=" + std::to_string(follower.since());
    follower.begin();
    Result<void> failed;
    auto read = engine_.stream(
        "GET", target, {},
        [&](std::string_view piece) {
            const auto wanted = follower.feed(piece);
            if (!wanted) failed = wanted.error();
            return wanted && *wanted;
        },
        follow ? &log_interrupt_ : nullptr);
    if (!failed) return failed;
    return read;
}

void Watch::follow_log() {
    auto follower = LogFollower::open(settings_.log_file, settings_.position_file, settings_.max_log_bytes);
    if (!follower) log::error("a container's log cannot be kept", follower.error());
    for (milliseconds wait = kFirstPause; follower && !follower->is_full();) {
        const auto read = read_log(*follower, true);
        if (!read && read.error().kind != ErrorKind::Unavailable && read.error().kind != ErrorKind::NotFound)
            log::warning("following a container's log", read.error());
        if (!pause(wait, true)) break;
    }
    if (follower) {
        {
            const MutexLock lock(mutex_);
            while (!container_ended_ && !shutdown_) changed_.wait(mutex_);
        }
        if (over()) return;
        complete_log(*follower);
    }
    const MutexLock lock(mutex_);
    log_complete_ = true;
    changed_.notify_all();
}

// What the followed log had not said yet; beyond the limit the last lines.
void Watch::complete_log(LogFollower& follower) {
    std::string tail;
    if (!follower.is_full()) {
        const auto read = read_log(follower, false);
        if (!read && read.error().kind != ErrorKind::NotFound) log::warning("reading a container's log", read.error());
    }
    if (follower.is_full()) {
        constexpr size_t kMaxTail = size_t{1} << 20;
        const auto read = engine_.stream("GET", path("/logs?stdout=1&stderr=1&timestamps=1&tail=400"), {},
                                         [&](std::string_view piece) {
                                             tail += piece;
                                             return tail.size() < kMaxTail;
                                         });
        if (!read) log::warning("reading the end of a container's log", read.error());
    }
    if (const auto done = follower.finish(tail); !done) log::error("a container's log cannot be kept", done.error());
}

Result<void> Watch::wait_for_end() {
    const auto about = TRY(engine_.about());
    // Podman looks for the end itself, four times a second unless told otherwise.
    const bool podman = about.kind == EngineKind::Podman;
    const auto target = podman ? "/v4.0.0/libpod" + path("/wait?condition=exited&condition=stopped&interval=25ms")
                               : path("/wait?condition=not-running");
    return engine_.stream(
        "POST", target, {}, [](std::string_view) { return true; }, &end_interrupt_);
}

void Watch::follow_end() {
    bool ended = look();
    for (milliseconds wait = kFirstPause; !ended && !over();) {
        if (const auto waited = wait_for_end(); !waited && !over()) {
            const MutexLock lock(mutex_);
            if (away_ms_ == 0) away_ms_ = to_epoch_milliseconds(system_clock().now());
        }
        if (over()) return;
        ended = look();
        if (!ended && !pause(wait, false)) return;
    }
    if (over()) return;
    wait_for_log();
    {
        const MutexLock lock(mutex_);
        if (shutdown_) return;
        end_ = found_;
    }
    news_();
}

void Watch::wait_for_log() {
    const MutexLock lock(mutex_);
    container_ended_ = true;
    changed_.notify_all();
    const auto deadline = std::chrono::steady_clock::now() + kLogPatience;
    while (!log_complete_ && !shutdown_ && std::chrono::steady_clock::now() < deadline)
        changed_.wait_until(mutex_, deadline);
    if (!log_complete_) log_interrupt_.interrupt();
    while (!log_complete_ && !shutdown_) changed_.wait(mutex_);
}

bool Watch::look() {
    const auto container = engine_.get(path("/json"));
    if (!container && container.error().kind == ErrorKind::NotFound) {
        found_ = HostEnd{{}, to_epoch_milliseconds(system_clock().now()), true, "its container is gone"};
        return true;
    }
    const int64_t now = to_epoch_milliseconds(system_clock().now());
    if (!container) {
        const MutexLock lock(mutex_);
        if (away_ms_ == 0) away_ms_ = now;
        return false;
    }
    bool news = false;
    {
        const MutexLock lock(mutex_);
        news = started_ms_ == 0;
        started_ms_ = started_ms_of(*container);
        news = news && started_ms_ > 0;
    }
    const auto& state = (*container)["State"];
    const bool ended = !state["Running"].bool_or(false) && !state["Restarting"].bool_or(false);
    if (ended && settings_.ends_with_engine) note_engines_end(*container);
    if (ended) found_ = end_of(*container);
    if (news && !ended) news_();
    return ended;
}

void Watch::note_engines_end(const Json& container) {
    const auto code = container["State"]["ExitCode"].int_or(0);
    if (!is_ending(engine_.socket(), code == 128 + SIGTERM || code == 128 + SIGKILL)) return;
    const MutexLock lock(mutex_);
    if (away_ms_ == 0) away_ms_ = ended_ms_of(container);
}

HostEnd Watch::end_of(const Json& container) const {
    const auto& state = container["State"];
    HostEnd end;
    end.outcome.exit_code = static_cast<int>(state["ExitCode"].int_or(0));
    const int signal = end.outcome.exit_code - 128;
    if (signal > 0 && signal <= kHighestSignal) end.outcome.signal = signal;
    end.outcome.out_of_memory = end.outcome.exit_code != 0 && state["OOMKilled"].bool_or(false);
    if (end.outcome.signal == SIGKILL && !end.outcome.out_of_memory)
        end.outcome.out_of_memory = kernel_tells_of_memory(settings_.container);
    end.ended_ms = ended_ms_of(container);
    const MutexLock lock(mutex_);
    end.ended_ms = std::max(end.ended_ms, started_ms_);
    if (settings_.ends_with_engine && away_ms_ > 0 && end.ended_ms >= away_ms_ - kAwayMarginMs &&
        !end.outcome.out_of_memory) {
        end.lost = true;
        end.lost_reason = "the container engine restarted and ended it";
    }
    return end;
}

}  // namespace

int64_t started_ms_of(const Json& container) { return time_of(container["State"]["StartedAt"].string_or("")); }
int64_t ended_ms_of(const Json& container) { return time_of(container["State"]["FinishedAt"].string_or("")); }

std::unique_ptr<HostWatch> HostWatch::begin(EngineClient& engine, Settings settings, std::function<void()> news) {
    return std::make_unique<Watch>(engine, std::move(settings), std::move(news));
}

}  // namespace millwright::executors
