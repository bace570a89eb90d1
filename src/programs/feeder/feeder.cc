#include "programs/feeder/feeder.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "programs/feeder/channel_source.h"
#include "programs/feeder/stream.h"

namespace millwright::feeder {
namespace {

using executors::FeedSpec;
using Steady = std::chrono::steady_clock;

constexpr size_t kMaxThreads = 4;
constexpr int kRetry_ms = 500;      // after a FIFO could not be made
constexpr int kLookAround_ms = 10;  // for readers, where the kernel has no watches left

// The first one counts; the server reads it when the run has ended.
void report_failure(const std::string& folder, const Error& error) {
    std::fprintf(stderr, "%s %s\n", error.message.c_str(), error.detail.c_str());
    const auto file = open_file(folder + "/" + executors::kFeedFailure, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file) return;
    const std::string kind = error.kind == ErrorKind::InvalidInput ? "ClientError: " : "InternalServerError: ";
    static_cast<void>(write_all(file->get(), kind + error.message));
}

// One thread's streams.
class Loop {
  public:
    static Result<std::unique_ptr<Loop>> make(std::string folder) {
        std::unique_ptr<Loop> loop(new Loop(std::move(folder)));
        loop->epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
        if (!loop->epoll_) return error_from_errno("cannot wait for events");
        loop->inotify_ = Fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = nullptr;
        if (loop->inotify_ && epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->inotify_.get(), &event) != 0)
            return error_from_errno("cannot wait for events");
        return loop;
    }
    void add(std::unique_ptr<Stream> stream) { streams_.push_back(std::move(stream)); }
    void run() {
        for (auto& stream : streams_) offer(*stream);
        for (;;) turn();
    }

  private:
    explicit Loop(std::string folder) : folder_(std::move(folder)) {}

    void turn();
    int patience() const;
    void offer(Stream& stream);
    void look_around();
    void read_events();
    void begin_if_opened(Stream& stream, bool was_opened);
    void pump(Stream::Flow& flow);

    const std::string folder_;
    Steady::time_point looked_{};  // around
    Fd epoll_, inotify_;
    std::vector<std::unique_ptr<Stream>> streams_;
    std::map<int, Stream*> watched_;
    std::vector<Stream*> unwatched_, to_retry_;
};

int Loop::patience() const {
    if (!unwatched_.empty()) return kLookAround_ms;
    return to_retry_.empty() ? -1 : kRetry_ms;
}

void Loop::turn() {
    std::array<epoll_event, 64> events;
    const int pause_ms = patience();
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), pause_ms);
    for (int i = 0; i < count; ++i) {
        void* what = events[static_cast<size_t>(i)].data.ptr;
        if (what) {
            pump(*static_cast<Stream::Flow*>(what));
        } else {
            read_events();
        }
    }
    // Also when pipes that are always ready leave no pause.
    const auto now = Steady::now();
    if (pause_ms < 0 || now - looked_ < std::chrono::milliseconds(pause_ms)) return;
    looked_ = now;
    look_around();
}

void Loop::look_around() {
    for (Stream* stream : std::exchange(to_retry_, {})) offer(*stream);
    for (Stream* stream : std::exchange(unwatched_, {})) {
        unwatched_.push_back(stream);
        begin_if_opened(*stream, false);
    }
}

void Loop::offer(Stream& stream) {
    switch (stream.offer(inotify_ ? inotify_.get() : -1)) {
        case Stream::Offer::None:
        case Stream::Offer::Blocked:
            return;
        case Stream::Offer::Failed:
            to_retry_.push_back(&stream);
            return;
        case Stream::Offer::Made:
            break;
    }
    const int watch = stream.waiting()->watch;
    if (watch < 0 || !watched_.emplace(watch, &stream).second) {
        // The second case: one FIFO under two names. Looking at it now and then does for what nobody should do.
        stream.waiting()->watch = -1;
        unwatched_.push_back(&stream);
    }
    begin_if_opened(stream, false);
}

void Loop::read_events() {
    alignas(inotify_event) std::array<char, 4096> bytes;
    const auto got = ::read(inotify_.get(), bytes.data(), bytes.size());
    for (ssize_t at = 0; at < got;) {
        const auto* event = reinterpret_cast<const inotify_event*>(bytes.data() + at);
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
        if (event->mask & IN_Q_OVERFLOW) {
            for (auto& stream : streams_) begin_if_opened(*stream, false);
            continue;
        }
        const auto found = watched_.find(event->wd);
        if (found != watched_.end()) begin_if_opened(*found->second, event->mask & IN_CLOSE_NOWRITE);
    }
}

void Loop::begin_if_opened(Stream& stream, bool was_opened) {
    if (!stream.waiting() || (!was_opened && !has_reader(*stream.waiting()))) return;
    const int watch = stream.waiting()->watch;
    if (watch >= 0) {
        watched_.erase(watch);
        inotify_rm_watch(inotify_.get(), watch);
    } else {
        std::erase(unwatched_, &stream);
    }
    auto& flow = stream.begin();
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.ptr = &flow;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, flow.fifo.write_end.get(), &event) != 0) {
        report_failure(folder_, error_from_errno("cannot wait for the reader of channel " + stream.channel()));
        stream.end(flow);
    }
    offer(stream);
}

void Loop::pump(Stream::Flow& flow) {
    const auto pumped = flow.epoch.pump(flow.fifo.write_end.get());
    if (pumped && (*pumped == Pumped::Blocked || *pumped == Pumped::More)) return;
    if (!pumped) report_failure(folder_, pumped.error());
    Stream& stream = *flow.stream;
    stream.end(flow);
    // It had stopped offering when too many flowed.
    const bool retrying = std::find(to_retry_.begin(), to_retry_.end(), &stream) != to_retry_.end();
    if (!stream.waiting() && !retrying) offer(stream);
}

void allow_many_files() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<void> feed(const FeedSpec& spec) {
    allow_many_files();
    std::vector<ChannelSource> sources;
    sources.reserve(spec.channels.size());
    size_t streams = 0;
    for (size_t i = 0; i < spec.channels.size(); ++i) {
        auto source = TRY(ChannelSource::open(spec.channels[i], executors::feed_folder(spec.folder, i)));
        streams += spec.channels[i].hosts.size();
        sources.push_back(std::move(source));
    }
    std::vector<std::unique_ptr<Loop>> loops;
    const size_t threads = std::clamp<size_t>((streams + 3) / 4, 1, kMaxThreads);
    for (size_t i = 0; i < threads; ++i) {
        auto loop = TRY(Loop::make(spec.folder));
        loops.push_back(std::move(loop));
    }
    size_t next = 0;
    for (const auto& source : sources) {
        for (size_t rank = 0; rank < source.channel().hosts.size(); ++rank) {
            auto folder = TRY(open_input_folder(spec.folder, source.channel().hosts[rank]));
            loops[next++ % threads]->add(std::make_unique<Stream>(source, rank, std::move(folder)));
        }
    }
    std::vector<std::jthread> others;
    for (size_t i = 1; i < threads; ++i) others.emplace_back([&loop = *loops[i]] { loop.run(); });
    loops[0]->run();
    return {};
}

}  // namespace millwright::feeder
