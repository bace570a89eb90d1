// A connection is owned by exactly one party at a time:
//
//   parked:  in the epoll set of its pool, armed for one event; `deadline` says until when it may stay there
//   busy:    with the worker that took the event; `deadline` is kBusy
//   doomed:  the sweeper found the deadline passed and shut the socket down; the event this causes makes a
//   worker drop it
//
// The change parked -> busy or doomed is one atomic exchange, so sweeper and worker never act on the same
// connection. A connection changes pools by being armed in the other pool's set for "writable", which is true
// at once: the kernel's ready list is the queue.
//
// A connection begins Unknown where TLS is on: its first byte tells a TLS handshake (0x16) from a request. A handshake
// is one more thing that is collected piece by piece, under the deadline of a head.
#include "net/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <exception>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/mutex.h"
#include "net/http_body.h"
#include "net/http_parser.h"
#include "net/http_writer.h"
#include "net/socket.h"
#include "net/socket_address.h"
#include "net/workers.h"

#ifdef __SANITIZE_THREAD__
// ThreadSanitizer takes epoll_ctl(2) as a release after the call, when another worker can already have the
// connection. The order is kept by Connection::deadline: stored before, exchanged by whoever gets the event.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:epoll_ctl\n"; }
#endif

namespace millwright::net {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kBusy = 0;
constexpr int64_t kDoomed = -1;
constexpr char kTlsHandshake = 0x16;
// A body up to this size is collected before a worker is bound to the request.
constexpr uint64_t kSmallBody = 16 * 1024;
// Pipelined requests answered in a row before other connections get their turn.
constexpr int kTurn = 64;
constexpr int kMaxEmptyLines = 8;  // before a request
// Descriptors that connections leave to the rest of the process.
constexpr size_t kReservedDescriptors = 1024;
// Between two looks at workers of whom nobody listens.
constexpr int kLook = 5;
constexpr milliseconds kDrainPatience{1000};
constexpr milliseconds kLinger{2000};
constexpr uint64_t kLingerLimit = 64 << 20;

int64_t now_ms() {
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

enum class Stage { Unknown, Handshake, Open };

struct Connection {
    Socket socket;
    Stage stage = Stage::Open;
    std::string peer;
    ReceiveBuffer input;
    HeadScanner scanner;
    std::optional<MessageHead> head;  // of the request being collected
    int empty_lines = 0;              // skipped before it
    int64_t message_started = 0;      // when its first byte came
    int64_t lingers_until = 0;        // not 0: answered for the last time, see start_lingering
    uint64_t lingered_bytes = 0;
    Pool pool = Pool::Control;
    std::atomic<int64_t> deadline{kBusy};
};

enum class Arrival { Incomplete, Complete, Lingering, Gone };

class Server : public HttpServer {
  public:
    Server(const ServerSettings& settings, std::function<Pool(const Request&)> choose_pool, Handler handler)
        : settings_(settings), choose_pool_(std::move(choose_pool)), handler_(std::move(handler)) {}
    ~Server() override;

    Result<void> open();
    uint16_t port() const override { return port_; }

  private:
    // The front thread: new connections, passed deadlines, workers that are stuck.
    void run_front();
    bool look_after_workers();
    void accept_all();
    void admit(Fd fd, std::string peer);
    void sweep();

    // Workers.
    void run_worker(Pool pool);
    void serve(Connection& connection);
    Arrival secure(Connection& connection);
    Arrival collect(Connection& connection);
    Arrival parse_input(Connection& connection);
    Arrival refuse(Connection& connection, int status, std::string_view text);
    Arrival refuse(Connection& connection, const Error& failure);
    Arrival answer_connect(Connection& connection);
    Arrival answer(Connection& connection, Request& request);
    void call_handler(Request& request, HttpWriter& writer);
    Arrival start_lingering(Connection& connection);
    Arrival linger(Connection& connection);
    void rest(Connection& connection, Arrival arrival);

    void park(Connection& connection, milliseconds patience, uint32_t events, int operation = EPOLL_CTL_MOD);
    void move_to(Connection& connection, Pool pool);
    void drop(Connection& connection);
    int epoll_of(Pool pool) const { return epolls_[static_cast<size_t>(pool)].get(); }

    const ServerSettings settings_;
    const std::function<Pool(const Request&)> choose_pool_;
    const Handler handler_;

    Fd listener_, stop_event_, look_event_, front_epoll_;
    std::array<Fd, 3> epolls_;
    uint16_t port_ = 0;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> looking_{false};

    Mutex mutex_;
    std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_ GUARDED_BY(mutex_);

    std::array<std::unique_ptr<Workers>, 3> workers_;
    size_t max_connections_ = 0;
    std::jthread front_;
};

// What a peer does not take would stay in the kernel's memory long after the connection was closed.
void reset_on_close(int fd) {
    const linger at_once{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

Result<void> add_to_epoll(int epoll, int fd, void* tag) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = tag;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return error_from_errno("cannot watch a descriptor");
    return {};
}

// So many connections as the process can have open beside its files.
size_t possible_connections(size_t wanted) {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
    const size_t files = limit.rlim_cur;
    return std::min(wanted, files > 2 * kReservedDescriptors ? files - kReservedDescriptors : files / 2);
}

Result<void> Server::open() {
    listener_ = TRY(settings_.unix_path.empty() ? listen_tcp(settings_.address, settings_.port)
                                                : listen_unix(settings_.unix_path));
    if (settings_.unix_path.empty()) port_ = local_port(listener_.get());
    stop_event_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!stop_event_) return error_from_errno("cannot create an event");
    front_epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    look_event_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!look_event_) return error_from_errno("cannot create an event");
    TRY(add_to_epoll(front_epoll_.get(), stop_event_.get(), nullptr));
    TRY(add_to_epoll(front_epoll_.get(), look_event_.get(), &look_event_));
    TRY(add_to_epoll(front_epoll_.get(), listener_.get(), this));
    const std::array<int, 3> sizes{settings_.control_threads, settings_.data_threads, settings_.inference_threads};
    for (size_t i = 0; i < epolls_.size(); ++i) {
        epolls_[i] = Fd(epoll_create1(EPOLL_CLOEXEC));
        TRY(add_to_epoll(epolls_[i].get(), stop_event_.get(), nullptr));
        // More than are needed cost address space only.
        workers_[i] = std::make_unique<Workers>(
            std::max(sizes[i], 1), std::max(settings_.max_threads, sizes[i]),
            [this, i] { run_worker(static_cast<Pool>(i)); },
            [this] {
                if (!looking_.exchange(true)) eventfd_write(look_event_.get(), 1);
            });
    }
    for (const auto& pool : workers_) pool->start();
    max_connections_ = possible_connections(settings_.max_connections);
    front_ = std::jthread([this] { run_front(); });
    return {};
}

Server::~Server() {
    stopping_ = true;
    [[maybe_unused]] const int signalled = stop_event_ ? eventfd_write(stop_event_.get(), 1) : 0;
    {
        // Handlers waiting for more of a body see its end; answers still go out.
        const MutexLock lock(mutex_);
        for (const auto& [pointer, connection] : connections_) ::shutdown(connection->socket.fd(), SHUT_RD);
    }
    if (front_.joinable()) front_.join();
    for (const auto& pool : workers_)
        if (pool) pool->stop();
    if (!settings_.unix_path.empty() && listener_) ::unlink(settings_.unix_path.c_str());
}

void Server::run_front() {
    const auto shortest = std::min({settings_.header_deadline, settings_.body_idle_deadline, settings_.keep_alive});
    const int period = static_cast<int>(std::clamp<int64_t>(shortest.count() / 4, 10, 500));
    auto next_sweep = now_ms() + period, next_look = now_ms();
    while (!stopping_) {
        std::array<epoll_event, 3> events;
        const int64_t pause =
            std::max<int64_t>((looking_ ? std::min(next_look, next_sweep) : next_sweep) - now_ms(), 0);
        const int count = epoll_wait(front_epoll_.get(), events.data(), events.size(), static_cast<int>(pause));
        for (int i = 0; i < count; ++i) {
            const void* tag = events[static_cast<size_t>(i)].data.ptr;
            eventfd_t calls = 0;
            if (tag == this) accept_all();
            if (tag == &look_event_) eventfd_read(look_event_.get(), &calls);
        }
        if (looking_ && now_ms() >= next_look) {
            // First, so that who calls meanwhile is heard.
            looking_ = false;
            if (look_after_workers()) looking_ = true;
            next_look = now_ms() + kLook;
        }
        if (now_ms() >= next_sweep) {
            sweep();
            for (const auto& pool : workers_) pool->join_retired();
            next_sweep = now_ms() + period;
        }
    }
}

// Whether to look again soon.
bool Server::look_after_workers() {
    bool again = false;
    for (size_t i = 0; i < workers_.size(); ++i) {
        const auto work_waits = [&] {
            pollfd events{epolls_[i].get(), POLLIN, 0};
            return ::poll(&events, 1, 0) > 0;
        };
        again = workers_[i]->look_after(work_waits) || again;
    }
    return again;
}

void Server::accept_all() {
    for (;;) {
        sockaddr_storage address{};
        socklen_t size = sizeof address;
        Fd fd(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (fd) {
            admit(std::move(fd), to_text(address));
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            // The connection stays in the backlog; without a pause this loop would spin until a descriptor is
            // free.
            log::warning("cannot accept connections", error_from_errno("accept"));
            std::this_thread::sleep_for(milliseconds(20));
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

void Server::admit(Fd fd, std::string peer) {
    const int on = 1;
    if (settings_.unix_path.empty()) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto owned = std::make_unique<Connection>();
    Connection& connection = *owned;
    connection.socket = Socket(std::move(fd));
    connection.peer = std::move(peer);
    if (settings_.tls) connection.stage = Stage::Unknown;
    bool full;
    {
        const MutexLock lock(mutex_);
        full = connections_.size() >= max_connections_;
        if (!full) connections_.emplace(&connection, std::move(owned));
    }
    if (full) {
        Pace pace(milliseconds(1));
        constexpr std::string_view kBusyAnswer =
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: "
            "close\r\n\r\n";
        [[maybe_unused]] const auto sent = connection.socket.send(kBusyAnswer, "", pace);
        return;
    }
    park(connection, settings_.keep_alive, EPOLLIN, EPOLL_CTL_ADD);
}

void Server::sweep() {
    const int64_t now = now_ms();
    const MutexLock lock(mutex_);
    for (const auto& [pointer, connection] : connections_) {
        int64_t deadline = connection->deadline.load(std::memory_order_relaxed);
        if (deadline > 0 && deadline < now && connection->deadline.compare_exchange_strong(deadline, kDoomed))
            ::shutdown(connection->socket.fd(), SHUT_RDWR);
    }
}

void Server::park(Connection& connection, milliseconds patience, uint32_t events, int operation) {
    connection.input.release_if_empty();
    epoll_event event{};
    event.events = events | EPOLLONESHOT;
    event.data.ptr = &connection;
    const int epoll = epoll_of(connection.pool), fd = connection.socket.fd();
    connection.deadline = now_ms() + std::max<int64_t>(patience.count(), 1);
    // Armed, it may belong to another worker before this call returns.
    if (epoll_ctl(epoll, operation, fd, &event) == 0) return;
    // The sweeper may have doomed it meanwhile, but without an event nobody else will come for it.
    log::warning("cannot park a connection", error_from_errno("epoll_ctl"));
    drop(connection);
}

void Server::move_to(Connection& connection, Pool pool) {
    int operation = EPOLL_CTL_MOD;
    if (pool != connection.pool) {
        epoll_ctl(epoll_of(connection.pool), EPOLL_CTL_DEL, connection.socket.fd(), nullptr);
        connection.pool = pool;
        operation = EPOLL_CTL_ADD;
    }
    park(connection, settings_.keep_alive, EPOLLOUT, operation);
}

void Server::drop(Connection& connection) {
    std::unique_ptr<Connection> owned;  // closed outside of the lock
    if (connection.socket.is_encrypted()) connection.socket.finish_sending();
    const MutexLock lock(mutex_);
    const auto found = connections_.find(&connection);
    CHECK(found != connections_.end());
    owned = std::move(found->second);
    connections_.erase(found);
}

void Server::run_worker(Pool pool) {
    Workers& workers = *workers_[static_cast<size_t>(pool)];
    while (workers.await_turn()) {
        epoll_event event{};
        workers.begin_listening();
        const int count = epoll_wait(epoll_of(pool), &event, 1, -1);
        const bool took = count == 1 && event.data.ptr != nullptr;
        workers.end_listening(took);
        if (stopping_) return;
        if (!took) continue;
        auto& connection = *static_cast<Connection*>(event.data.ptr);
        if (connection.deadline.exchange(kBusy) == kDoomed)
            drop(connection);
        else
            serve(connection);
    }
}

void Server::serve(Connection& connection) {
    for (int served = 0;; ++served) {
        if (stopping_) return drop(connection);
        // What TLS has decrypted shows in no epoll set, so there the socket is asked after every answer.
        const bool look = served == 0 || !connection.input.empty() || connection.socket.is_encrypted();
        Arrival arrival = look ? collect(connection) : Arrival::Incomplete;
        if (arrival != Arrival::Complete) return rest(connection, arrival);
        if (connection.head->method == "CONNECT") return rest(connection, answer_connect(connection));
        Request request;
        request.method = connection.head->method;
        request.target = connection.head->target;
        request.headers = std::move(connection.head->headers);
        request.peer = connection.peer;
        request.encrypted = connection.socket.is_encrypted();
        const Pool wanted = choose_pool_(request);
        if (wanted != connection.pool || served >= kTurn) {
            connection.head->headers = std::move(request.headers);
            return move_to(connection, wanted);
        }
        arrival = answer(connection, request);
        if (arrival != Arrival::Complete) return rest(connection, arrival);
    }
}

// Gives up a connection with nothing to do now.
void Server::rest(Connection& connection, Arrival arrival) {
    if (arrival == Arrival::Gone) return drop(connection);
    milliseconds patience = settings_.keep_alive;
    if (arrival == Arrival::Lingering)
        patience = milliseconds(connection.lingers_until - now_ms());
    else if (connection.head)
        // As a whole, not from byte to byte: otherwise a body that drips would never end.
        patience = milliseconds(connection.message_started + settings_.body_idle_deadline.count() +
                                static_cast<int64_t>(connection.head->content_length.value_or(0)) * 1000 /
                                    Pace::kSlowestBytesPerSecond -
                                now_ms());
    else if (!connection.input.empty() || connection.stage == Stage::Handshake)
        patience = milliseconds(connection.message_started + settings_.header_deadline.count() - now_ms());
    park(connection, patience, connection.socket.wanted_events() == POLLOUT ? EPOLLOUT : EPOLLIN);
}

// Complete when bytes of requests can be read.
Arrival Server::secure(Connection& connection) {
    if (connection.stage == Stage::Unknown) {
        char first = 0;
        const ssize_t got = ::recv(connection.socket.fd(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Arrival::Incomplete;
        if (got <= 0) return Arrival::Gone;
        connection.stage = first == kTlsHandshake ? Stage::Handshake : Stage::Open;
        if (connection.stage == Stage::Open) return Arrival::Complete;
        connection.message_started = now_ms();
        auto context = settings_.tls();
        if (!context || !connection.socket.start_tls(std::move(context))) return Arrival::Gone;
    }
    if (connection.stage == Stage::Handshake) {
        const auto done = connection.socket.handshake();
        if (!done) return Arrival::Gone;
        if (!*done) return Arrival::Incomplete;
        connection.stage = Stage::Open;
    }
    return Arrival::Complete;
}

// Receives what is there and says whether a request can be worked on.
Arrival Server::collect(Connection& connection) {
    if (connection.lingers_until != 0) return linger(connection);
    if (const Arrival ready = secure(connection); ready != Arrival::Complete) return ready;
    Arrival arrival = parse_input(connection);
    while (arrival == Arrival::Incomplete) {
        const auto room = connection.input.room(connection.head ? kSmallBody : settings_.max_header_bytes);
        if (room.empty()) return refuse(connection, {ErrorKind::LimitExceeded, "the request head is too large", ""});
        const auto got = connection.socket.receive_now(room);
        if (!got || *got == size_t{0}) return Arrival::Gone;
        if (!got->has_value()) return Arrival::Incomplete;
        if (connection.input.empty() && !connection.head) connection.message_started = now_ms();
        connection.input.received(**got);
        // A short read means that the socket is empty now; asking again would only cost a call.
        // TLS hands out record by record.
        const bool drained = **got < room.size() && !connection.socket.is_encrypted();
        arrival = parse_input(connection);
        if (drained) break;
    }
    return arrival;
}

Arrival Server::parse_input(Connection& connection) {
    ReceiveBuffer& input = connection.input;
    if (!connection.head) {
        // RFC 9112 2.2: an empty line before the request is not an error.
        while (input.view().starts_with("\r\n")) {
            if (++connection.empty_lines > kMaxEmptyLines) return refuse(connection, 400, "too many empty lines");
            input.consume(2);
            connection.scanner = {};
        }
        // Nothing that could become a request is waited for.
        if (!input.empty() && input.view() != "\r" && !is_method_character(input.view().front()))
            return refuse(connection, 400, "not an HTTP request; TLS is not spoken here unless [tls] says so");
        const auto end = connection.scanner.find_end(input.view());
        if (!end) return refuse(connection, end.error());
        if (*end == 0) return Arrival::Incomplete;
        auto head = parse_head(MessageKind::Request, input.view().substr(0, *end));
        if (!head) return refuse(connection, head.error());
        input.consume(*end);
        connection.scanner = {};
        connection.empty_lines = 0;
        connection.head = std::move(*head);
        connection.message_started = now_ms();
    }
    const uint64_t length = connection.head->content_length.value_or(0);
    const bool collect_body = length > 0 && length <= kSmallBody && !connection.head->expects_continue;
    return collect_body && input.size() < length ? Arrival::Incomplete : Arrival::Complete;
}

Arrival Server::refuse(Connection& connection, const Error& failure) {
    return refuse(connection, failure.kind == ErrorKind::LimitExceeded ? 431 : 400, failure.message);
}

Arrival Server::refuse(Connection& connection, int status, std::string_view text) {
    std::string answer = "HTTP/1.1 " + std::to_string(status) + ' ' + std::string(reason_phrase(status));
    answer += "\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ";
    answer += std::to_string(text.size() + 1) + "\r\n\r\n";
    answer += text;
    answer += '\n';
    Pace pace(milliseconds(100));
    return connection.socket.send(answer, "", pace) ? start_lingering(connection) : Arrival::Gone;
}

Arrival Server::answer_connect(Connection& connection) {
    const MessageHead head = std::move(*connection.head);
    connection.head.reset();
    if (!settings_.connect || connection.socket.is_encrypted())
        return refuse(connection, 405, "this server is no proxy here");
    // Bytes before our answer would belong to nobody.
    if (!connection.input.empty() || head.chunked || head.content_length.value_or(0) > 0)
        return refuse(connection, 400, "CONNECT has no body, and what follows waits for the answer");
    ConnectDecision decision = settings_.connect(head.target);
    if (decision.take_over) {
        epoll_ctl(epoll_of(connection.pool), EPOLL_CTL_DEL, connection.socket.fd(), nullptr);
        Fd client;
        {
            // Who stops the server looks at all sockets.
            const MutexLock lock(mutex_);
            client = connection.socket.release();
        }
        decision.take_over(std::move(client),
                           "CONNECT " + head.target + " HTTP/1.1\r\nHost: " + head.target + "\r\n\r\n");
        return Arrival::Gone;
    }
    if (!decision.intercept) return refuse(connection, 403, decision.refusal);
    Pace pace(milliseconds(100));
    if (!connection.socket.send("HTTP/1.1 200 Connection established\r\n\r\n", "", pace)) return Arrival::Gone;
    if (!connection.socket.start_tls(std::move(decision.intercept))) return Arrival::Gone;
    connection.stage = Stage::Handshake;
    connection.message_started = now_ms();
    return Arrival::Incomplete;
}

// Complete when the connection may carry another request.
Arrival Server::answer(Connection& connection, Request& request) {
    const MessageHead head = std::move(*connection.head);
    connection.head.reset();
    const Framing framing = head.chunked ? Framing::Chunked : head.content_length ? Framing::Length : Framing::None;
    IncomingBody body(connection.socket, connection.input, framing, head.content_length.value_or(0),
                      Pace(settings_.body_idle_deadline));
    if (head.expects_continue && !body.announce_continue()) return Arrival::Gone;
    request.body = &body;
    HttpWriter writer(connection.socket, head, body, settings_.body_idle_deadline, !stopping_);
    call_handler(request, writer);
    if (writer.broken()) reset_on_close(connection.socket.fd());
    if (!writer.complete()) return Arrival::Gone;
    if (writer.reusable() && body.drain(HttpWriter::kDrainLimit, kDrainPatience)) return Arrival::Complete;
    return body.finished() ? Arrival::Gone : start_lingering(connection);
}

void Server::call_handler(Request& request, HttpWriter& writer) {
    std::string failure = "no answer was given";
    try {
        handler_(request, writer);
    } catch (const std::exception& thrown) {
        failure = thrown.what();
    }
    if (writer.answered()) return;
    log::error("a request was not answered", internal_error(request.method + " " + request.target, failure));
    [[maybe_unused]] const auto sent = writer.send(500, {}, "");
}

// Closing a socket with unread bytes resets it, and the reset can overtake our answer. So the peer is told
// that no more will come, and what it still sends is dropped for a while, as it arrives.
Arrival Server::start_lingering(Connection& connection) {
    connection.socket.finish_sending();
    connection.head.reset();
    connection.input = {};
    connection.lingers_until = now_ms() + kLinger.count();
    return linger(connection);
}

Arrival Server::linger(Connection& connection) {
    std::array<char, 16 * 1024> scratch;
    while (connection.lingered_bytes < kLingerLimit && now_ms() < connection.lingers_until) {
        const auto got = connection.socket.receive_now(scratch);
        if (!got || *got == size_t{0}) return Arrival::Gone;
        if (!got->has_value()) return Arrival::Lingering;
        connection.lingered_bytes += **got;
    }
    return Arrival::Gone;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const ServerSettings& settings,
                                                      std::function<Pool(const Request&)> choose_pool,
                                                      Handler handler) {
    auto server = std::make_unique<Server>(settings, std::move(choose_pool), std::move(handler));
    TRY(server->open());
    return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace millwright::net
