#include "net/http_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/strings.h"
#include "net/http_body.h"
#include "net/http_parser.h"
#include "net/socket.h"
#include "net/socket_address.h"

namespace millwright::net {

void Interrupt::interrupt() {
    const MutexLock lock(mutex_);
    interrupted_ = true;
    // Whoever waits on it sees the end of the connection; the call owns the descriptor and closes it.
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
}

bool Interrupt::interrupted() const {
    const MutexLock lock(mutex_);
    return interrupted_;
}

// Shows the socket of a call to its interrupt for as long as the call may use it.
class InterruptibleUse {
  public:
    InterruptibleUse(Interrupt* interrupt, int socket) : interrupt_(interrupt) {
        if (interrupt_ == nullptr) return;
        const MutexLock lock(interrupt_->mutex_);
        interrupt_->socket_ = socket;
        if (interrupt_->interrupted_) ::shutdown(socket, SHUT_RDWR);
    }
    ~InterruptibleUse() {
        if (interrupt_ == nullptr) return;
        const MutexLock lock(interrupt_->mutex_);
        interrupt_->socket_ = -1;
    }
    InterruptibleUse(const InterruptibleUse&) = delete;
    InterruptibleUse& operator=(const InterruptibleUse&) = delete;

  private:
    Interrupt* interrupt_;
};

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxIdle = 64;
constexpr size_t kMaxHeadBytes = 256 * 1024;
constexpr int kMaxInformational = 16;
constexpr size_t kStreamBuffer = 64 * 1024;

struct Peer {
    std::string unix_path;  // or else:
    std::string address;
    uint16_t port = 0;
};

struct Connection {
    Socket socket;
    ReceiveBuffer input;
    bool used = false;      // has carried a request before
    bool answered = false;  // bytes of the current answer have come
};

// Time left of a call. A Pace that starts now with this much patience keeps the call's deadline for one
// transfer.
milliseconds left_until(Monotonic deadline) {
    return std::max(std::chrono::ceil<milliseconds>(deadline - steady_clock::now()), milliseconds(0));
}

class Client : public HttpClient {
  public:
    explicit Client(Peer peer) : peer_(std::move(peer)) {
        host_ = peer_.unix_path.empty() ? peer_.address + ":" + std::to_string(peer_.port) : "localhost";
    }

    Result<ClientResponse> call(std::string_view method, std::string_view target, const Headers& headers,
                                std::string_view body, milliseconds timeout, size_t max_body) override;
    Result<void> stream(std::string_view method, std::string_view target, const Headers& headers, std::string_view body,
                        const Patience& patience, Receiver& receiver) override;

  private:
    Result<std::string> make_head(std::string_view method, std::string_view target, const Headers& headers,
                                  size_t body_size) const;
    Connection take_idle();
    void keep(Connection connection);
    Result<Connection> connect(Monotonic deadline) const;

    const Peer peer_;
    std::string host_;
    Mutex mutex_;
    std::vector<Connection> idle_ GUARDED_BY(mutex_);
};

Result<std::string> Client::make_head(std::string_view method, std::string_view target, const Headers& headers,
                                      size_t body_size) const {
    const auto clean = [](std::string_view text) {
        return is_field_text(text) && text.find(' ') == std::string_view::npos;
    };
    if (method.empty() || target.empty() || !clean(method) || !clean(target))
        return invalid_input("a request line cannot carry this method or target");
    std::string head;
    head.reserve(512);
    head.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
    if (!headers.has("Host")) head += "Host: " + host_ + "\r\n";
    for (const auto& [name, value] : headers.all()) {
        if (equals_ignoring_case(name, "Content-Length") || equals_ignoring_case(name, "Transfer-Encoding") ||
            equals_ignoring_case(name, "Connection"))
            continue;
        if (!clean(name) || !is_field_text(value)) return invalid_input("a header cannot carry this name or value");
        head.append(name).append(": ").append(value).append("\r\n");
    }
    if (body_size > 0 || (method != "GET" && method != "HEAD"))
        head += "Content-Length: " + std::to_string(body_size) + "\r\n";
    head += "\r\n";
    return head;
}

// An idle connection that became readable was closed by the peer, or is out of step.
bool still_good(Connection& connection) {
    char byte;
    const auto got = connection.socket.receive_now({&byte, 1});
    return got && !got->has_value();
}

Connection Client::take_idle() {
    for (;;) {
        Connection connection;
        {
            const MutexLock lock(mutex_);
            if (idle_.empty()) return connection;
            connection = std::move(idle_.back());
            idle_.pop_back();
        }
        if (still_good(connection)) return connection;
    }
}

void Client::keep(Connection connection) {
    connection.used = true;
    connection.answered = false;
    const MutexLock lock(mutex_);
    if (idle_.size() < kMaxIdle) idle_.push_back(std::move(connection));
}

Result<Connection> Client::connect(Monotonic deadline) const {
    Connection connection;
    if (!peer_.unix_path.empty()) {
        connection.socket = Socket(TRY(connect_unix(peer_.unix_path)));
        return connection;
    }
    connection.socket = Socket(TRY(begin_connect_tcp(peer_.address, peer_.port)));
    Pace pace(left_until(deadline));
    TRY(pace.wait(connection.socket.fd(), POLLOUT));
    int failure = 0;
    socklen_t size = sizeof failure;
    getsockopt(connection.socket.fd(), SOL_SOCKET, SO_ERROR, &failure, &size);
    if (failure == 0) return connection;
    errno = failure;
    Error error = error_from_errno("cannot connect to " + host_);
    error.kind = ErrorKind::Unavailable;
    return error;
}

Result<MessageHead> receive_head(Connection& connection, Monotonic deadline) {
    HeadScanner scanner;
    for (;;) {
        const auto end = TRY(scanner.find_end(connection.input.view()));
        if (end > 0) {
            auto head = TRY(parse_head(MessageKind::Response, connection.input.view().substr(0, end)));
            connection.input.consume(end);
            return head;
        }
        const auto room = connection.input.room(kMaxHeadBytes);
        if (room.empty()) return Error{ErrorKind::LimitExceeded, "the head of the answer is too large", ""};
        Pace pace(left_until(deadline));
        // An answer is hardly ever there at once: waiting first spares a call that would only say so.
        TRY(pace.wait(connection.socket.fd(), POLLIN));
        const size_t got = TRY(connection.socket.receive(room, pace));
        if (got == 0) return Error{ErrorKind::Unavailable, "the peer closed the connection", ""};
        connection.answered = true;
        connection.input.received(got);
    }
}

// IncomingBody knows pauses only; this gives it what is left of the whole call before each read.
class DeadlineBody : public BodyReader {
  public:
    DeadlineBody(IncomingBody& body, Monotonic deadline) : body_(body), deadline_(deadline) {}
    Result<size_t> read(std::span<char> buffer) override {
        body_.set_pace(Pace(left_until(deadline_)));
        return body_.read(buffer);
    }
    std::optional<uint64_t> length() const override { return body_.length(); }

  private:
    IncomingBody& body_;
    Monotonic deadline_;
};

Framing framing_of(const MessageHead& head, std::string_view method) {
    if (method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304) return Framing::None;
    if (head.chunked) return Framing::Chunked;
    return head.content_length ? Framing::Length : Framing::UntilClose;
}

// The head of the final answer.
Result<MessageHead> receive_final_head(Connection& connection, Monotonic deadline) {
    for (int i = 0; i < kMaxInformational; ++i) {
        auto head = TRY(receive_head(connection, deadline));
        if (head.status >= 200) return head;
    }
    return invalid_input("the peer sends no final answer");
}

struct Received {
    ClientResponse response;
    bool reusable = false;
};

Result<Received> receive_answer(Connection& connection, std::string_view method, Monotonic deadline, size_t max_body) {
    auto head = TRY(receive_final_head(connection, deadline));
    const Framing framing = framing_of(head, method);
    IncomingBody body(connection.socket, connection.input, framing, head.content_length.value_or(0),
                      Pace(left_until(deadline)));
    DeadlineBody reader(body, deadline);
    Received received;
    received.response.body = TRY(read_all(reader, max_body));
    received.response.status = head.status;
    received.response.headers = std::move(head.headers);
    received.reusable = head.keep_alive && framing != Framing::UntilClose && connection.input.empty();
    return received;
}

// True when the connection may carry another request.
Result<bool> pass_on_body(Connection& connection, MessageHead head, std::string_view method,
                          const HttpClient::Patience& patience, Monotonic deadline, HttpClient::Receiver& receiver) {
    const Framing framing = framing_of(head, method);
    IncomingBody body(connection.socket, connection.input, framing, head.content_length.value_or(0),
                      Pace(patience.pause));
    const ClientResponse response{head.status, std::move(head.headers), ""};
    if (!receiver.begin(response)) return false;
    const auto buffer = std::make_unique_for_overwrite<char[]>(kStreamBuffer);
    for (;;) {
        // A model may think between two words as long as it likes; only pauses and the whole are limited.
        body.set_pace(Pace(std::min(patience.pause, left_until(deadline))));
        const size_t got = TRY(body.read({buffer.get(), kStreamBuffer}));
        if (got == 0) return head.keep_alive && framing != Framing::UntilClose && connection.input.empty();
        if (!receiver.piece({buffer.get(), got})) return false;
    }
}

Result<Received> exchange(Connection& connection, std::string_view head, std::string_view body, std::string_view method,
                          Monotonic deadline, size_t max_body) {
    Pace pace(left_until(deadline));
    const auto sent = connection.socket.send(head, body, pace);
    if (!sent && sent.error().detail == kTimeout) return sent.error();
    // A peer may refuse a large body early and close: its answer is waiting although sending failed.
    auto received = receive_answer(connection, method, deadline, max_body);
    if (received && !sent) received->reusable = false;
    return received;
}

// The peer may have closed the idle connection just before our request reached it.
bool was_stale(const Connection& connection, const Error& failure) {
    return connection.used && !connection.answered && failure.kind == ErrorKind::Unavailable &&
           failure.detail != kTimeout;
}

Result<ClientResponse> Client::call(std::string_view method, std::string_view target, const Headers& headers,
                                    std::string_view body, milliseconds timeout, size_t max_body) {
    const Monotonic deadline = steady_clock::now() + timeout;
    const std::string head = TRY(make_head(method, target, headers, body.size()));
    Connection connection = take_idle();
    for (;;) {
        if (connection.socket.fd() < 0) connection = TRY(connect(deadline));
        auto received = exchange(connection, head, body, method, deadline, max_body);
        if (received) {
            if (received->reusable) keep(std::move(connection));
            return std::move(received->response);
        }
        if (!was_stale(connection, received.error())) return received.error();
        connection = Connection();
    }
}

Result<void> Client::stream(std::string_view method, std::string_view target, const Headers& headers,
                            std::string_view body, const Patience& patience, Receiver& receiver) {
    const Monotonic begun = steady_clock::now();
    const std::string request = TRY(make_head(method, target, headers, body.size()));
    Connection connection = take_idle();
    for (;;) {
        if (connection.socket.fd() < 0) connection = TRY(connect(begun + patience.head));
        if (patience.interrupt != nullptr && patience.interrupt->interrupted())
            return Error{ErrorKind::Unavailable, "interrupted", ""};
        std::optional<InterruptibleUse> use;
        use.emplace(patience.interrupt, connection.socket.fd());
        Pace pace(left_until(begun + patience.head));
        const auto sent = connection.socket.send(request, body, pace);
        if (!sent && sent.error().detail == kTimeout) return sent.error();
        auto head = receive_final_head(connection, begun + patience.head);
        if (!head) {
            if (!was_stale(connection, head.error())) return head.error();
            use.reset();
            connection = Connection();
            continue;
        }
        const bool reusable =
            TRY(pass_on_body(connection, std::move(*head), method, patience, begun + patience.whole, receiver));
        if (reusable && sent) keep(std::move(connection));
        return {};
    }
}

}  // namespace

std::unique_ptr<HttpClient> HttpClient::unix_socket(std::string path) {
    return std::make_unique<Client>(Peer{std::move(path), "", 0});
}

std::unique_ptr<HttpClient> HttpClient::tcp(std::string address, uint16_t port) {
    return std::make_unique<Client>(Peer{"", std::move(address), port});
}

}  // namespace millwright::net
