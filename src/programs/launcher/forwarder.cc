#include "programs/launcher/forwarder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "programs/launcher/channel.h"

namespace millwright::launcher {
namespace {

constexpr size_t kMaxConnections = 256;
constexpr size_t kPipeBytes = size_t{1} << 16;
constexpr int64_t kRetryMs = 50;
constexpr int64_t kServerAbsenceMs = 60000;

int64_t monotonic_ms() { return now().monotonic_ns / 1000000; }

// One direction: from a socket through a pipe to the other socket.
struct Flow {
    Fd in, out;  // the pipe
    size_t held = 0;
    bool ended = false;     // the source has no more
    bool finished = false;  // and the sink knows it

    bool open_pipe() {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
        out.reset(ends[0]);
        in.reset(ends[1]);
        return true;
    }
    // False when the connection is broken.
    bool move(int from, int to) {
        for (;;) {
            bool progress = false;
            if (!ended && held < kPipeBytes) {
                const ssize_t got =
                    splice(from, nullptr, in.get(), nullptr, kPipeBytes - held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
                if (got == 0) ended = true;
                if (got > 0) held += static_cast<size_t>(got), progress = true;
                if (got < 0 && errno != EAGAIN && errno != EINTR) return false;
            }
            if (held > 0) {
                const ssize_t put = splice(out.get(), nullptr, to, nullptr, held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
                if (put > 0) held -= static_cast<size_t>(put), progress = true;
                if (put < 0 && errno != EAGAIN && errno != EINTR) return false;
            }
            if (ended && held == 0 && !finished) {
                finished = true;
                shutdown(to, SHUT_WR);
            }
            if (!progress) return true;
        }
    }
};

Result<Fd> connect_to_address(const sockaddr_in& target) {
    Fd outside(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!outside) return error_from_errno("cannot make a socket");
    const int on = 1;
    setsockopt(outside.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(outside.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0 && errno != EINPROGRESS)
        return not_found("nobody listens");
    return outside;
}

// Paths of sockets are short; that of a descriptor always fits.
Result<Fd> connect_to_path(const std::string& path) {
    Fd outside(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!outside) return error_from_errno("cannot make a socket");
    const size_t slash = path.rfind('/');
    const Fd folder = TRY(open_file(path.substr(0, slash + 1), O_PATH | O_DIRECTORY));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder.get(),
                  path.c_str() + slash + 1);
    if (connect(outside.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return not_found("nobody listens");
    return outside;
}

}  // namespace

struct Forwarder::Connection {
    Fd inside, outside;
    Flow request, reply;
    bool connected = false;
    int64_t retry_at_ms = -1;  // waiting for the server
    int64_t give_up_at_ms = 0;
};

Result<std::unique_ptr<Forwarder>> Forwarder::make(EventLoop& loop, const std::string& address) {
    Settings settings{{}, kServerAbsenceMs, kMaxConnections};
    if (address.starts_with("/")) {
        settings.connect = [address] { return connect_to_path(address); };
        return std::make_unique<Forwarder>(loop, std::move(settings));
    }
    const size_t colon = address.rfind(':');
    sockaddr_in target{};
    target.sin_family = AF_INET;
    uint16_t port = 0;
    if (colon == std::string::npos || inet_pton(AF_INET, address.substr(0, colon).c_str(), &target.sin_addr) != 1 ||
        std::from_chars(address.data() + colon + 1, address.data() + address.size(), port).ptr !=
            address.data() + address.size())
        return invalid_input("not an address to forward to: " + address);
    target.sin_port = htons(port);
    settings.connect = [target] { return connect_to_address(target); };
    return std::make_unique<Forwarder>(loop, std::move(settings));
}

Forwarder::Forwarder(EventLoop& loop, Settings settings) : loop_(loop), settings_(std::move(settings)) {}

Forwarder::~Forwarder() {
    while (!connections_.empty()) finish(*connections_.front());
    for (const Fd& listener : listeners_) loop_.forget(listener.get());
}

void Forwarder::serve(Fd listener) {
    const int fd = listener.get();
    listeners_.push_back(std::move(listener));
    loop_.watch(fd, EPOLLIN, [this, fd](uint32_t) { accept_from(fd); });
}

void Forwarder::accept_from(int listener) {
    while (connections_.size() < settings_.max_connections) {
        Fd inside(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!inside) return;
        const int on = 1;
        setsockopt(inside.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        auto connection = std::make_unique<Connection>();
        connection->inside = std::move(inside);
        connection->give_up_at_ms = monotonic_ms() + settings_.patience_ms;
        if (!connection->request.open_pipe() || !connection->reply.open_pipe()) continue;
        Connection& kept = *connections_.emplace_back(std::move(connection));
        // Until the server is there only the client's end matters.
        loop_.watch(kept.inside.get(), 0, [this, &kept](uint32_t) { handle_inside(kept); });
        connect(kept);
    }
    pause_listeners(true);  // the rest waits in the kernel's queue
}

void Forwarder::pause_listeners(bool paused) {
    if (paused == paused_) return;
    paused_ = paused;
    for (const Fd& listener : listeners_) loop_.change(listener.get(), paused ? 0u : uint32_t{EPOLLIN});
}

void Forwarder::connect(Connection& connection) {
    connection.retry_at_ms = -1;
    auto outside = settings_.connect();
    if (!outside && outside.error().kind != ErrorKind::Unavailable) return wait_for_listener(connection);
    if (!outside) {
        connection.retry_at_ms = monotonic_ms() + kRetryMs;
        return;
    }
    connection.outside = std::move(*outside);
    loop_.watch(connection.outside.get(), EPOLLOUT, [this, &connection](uint32_t) { handle_outside(connection); });
}

void Forwarder::wait_for_listener(Connection& connection) {
    if (monotonic_ms() >= connection.give_up_at_ms) return finish(connection);
    connection.retry_at_ms = monotonic_ms() + kRetryMs;
}

void Forwarder::handle_outside(Connection& connection) {
    if (!connection.connected) {
        int failure = 0;
        socklen_t size = sizeof failure;
        getsockopt(connection.outside.get(), SOL_SOCKET, SO_ERROR, &failure, &size);
        if (failure != 0) {
            loop_.forget(connection.outside.get());
            connection.outside.reset();
            return wait_for_listener(connection);
        }
        connection.connected = true;
    }
    pump(connection);
}

void Forwarder::handle_inside(Connection& connection) {
    if (connection.connected)
        pump(connection);
    else
        finish(connection);  // the client hung up before the server was there
}

void Forwarder::pump(Connection& connection) {
    const int inside = connection.inside.get();
    const int outside = connection.outside.get();
    if (!connection.request.move(inside, outside) || !connection.reply.move(outside, inside)) return finish(connection);
    if (connection.request.finished && connection.reply.finished) return finish(connection);
    update_interest(connection);
}

void Forwarder::update_interest(Connection& connection) {
    const Flow& request = connection.request;
    const Flow& reply = connection.reply;
    const auto interest = [](const Flow& read_by, const Flow& written_by) {
        uint32_t events = 0;
        if (!read_by.ended && read_by.held < kPipeBytes) events |= EPOLLIN;
        if (written_by.held > 0) events |= EPOLLOUT;
        return events;
    };
    loop_.forget(connection.inside.get());
    loop_.forget(connection.outside.get());
    // A socket without interest is not watched at all: its hang-up would be reported again and again.
    if (const uint32_t events = interest(request, reply); events != 0)
        loop_.watch(connection.inside.get(), events, [this, &connection](uint32_t) { handle_inside(connection); });
    if (const uint32_t events = interest(reply, request); events != 0)
        loop_.watch(connection.outside.get(), events, [this, &connection](uint32_t) { handle_outside(connection); });
}

void Forwarder::finish(Connection& connection) {
    loop_.forget(connection.inside.get());
    if (connection.outside) loop_.forget(connection.outside.get());
    connections_.remove_if([&](const auto& other) { return other.get() == &connection; });
    pause_listeners(false);
}

int Forwarder::next_timeout_ms() const {
    int64_t first = -1;
    for (const auto& connection : connections_)
        if (connection->retry_at_ms >= 0)
            first = first < 0 ? connection->retry_at_ms : std::min(first, connection->retry_at_ms);
    if (first < 0) return -1;
    return static_cast<int>(std::max<int64_t>(0, first - monotonic_ms()));
}

void Forwarder::poll() {
    const int64_t time = monotonic_ms();
    std::vector<Connection*> due;
    for (const auto& connection : connections_)
        if (connection->retry_at_ms >= 0 && connection->retry_at_ms <= time) due.push_back(connection.get());
    for (Connection* connection : due) connect(*connection);
}

void Forwarder::retry() {
    for (const auto& connection : connections_)
        if (connection->retry_at_ms > 0) connection->retry_at_ms = 0;
    poll();
}

}  // namespace millwright::launcher
