// Connections live in one epoll set, each armed for one event at a time (EPOLLONESHOT): the worker that gets the event
// owns the connection until it arms it again. A worker reads what is there, answers as many whole requests as that
// holds, and arms the connection for reading or, when the peer takes its answer slowly, for writing.
//
//   waiting for bytes --readable--> parsing --whole request--> answering --all sent--> waiting for bytes
//                                      |  more needed: wait         |  peer slow: wait until writable
//                                      +-- malformed: answer 4xx and close
#include "algorithms/common/serving.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "algorithms/common/threads.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"

namespace millwright::algorithms {
namespace {

namespace http = boost::beast::http;

constexpr size_t kMaxHeaderBytes = 32 << 10;
constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kMostDrained = size_t{256} << 20;
constexpr auto kIdleTimeout = std::chrono::minutes(10);
constexpr auto kTransferTimeout = std::chrono::seconds(60);
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string_view reason_of(int status) {
    const auto reason = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
    return {reason.data(), reason.size()};
}

void append_head(std::string& out, const ServeReply& reply, bool keep_alive) {
    out += "HTTP/1.1 ";
    out += std::to_string(reply.status);
    out += ' ';
    out += reason_of(reply.status);
    if (!reply.content_type.empty()) {
        out += "\r\nContent-Type: ";
        out += reply.content_type;
    }
    for (const auto& [name, value] : reply.headers) {
        out += "\r\n";
        out += name;
        out += ": ";
        out += value;
    }
    if (reply.status != 204) {
        out += "\r\nContent-Length: ";
        out += std::to_string(reply.body.size());
    }
    if (!keep_alive) out += "\r\nConnection: close";
    out += "\r\n\r\n";
}

struct Parser : http::request_parser<http::string_body> {
    bool got_some() const { return started; }
    bool started = false;
};

// One connection: the bytes that came, the request being parsed, and the answer bytes not yet taken by the peer.
class Connection {
  public:
    Connection(Fd socket, const ServedModel& model, size_t max_body_bytes)
        : socket_(std::move(socket)), model_(model), max_body_bytes_(max_body_bytes) {
        start_parser();
    }

    enum class Next { Read, Write, Close };

    // Does what can be done without waiting.
    Next work() {
        last_active_ = std::chrono::steady_clock::now();
        if (!flush()) return Next::Close;
        while (out_.size() == sent_) {
            if (refused_) return drain();
            if (closing_) return Next::Close;
            const auto got = recv(socket_.get(), in_.get() + in_used_, kReadBytes - in_used_, 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return errno == EAGAIN ? Next::Read : Next::Close;
            if (got == 0) return Next::Close;
            in_used_ += static_cast<size_t>(got);
            const bool maybe_more = in_used_ == kReadBytes;
            parse();
            if (!flush()) return Next::Close;
            // A short read has emptied the socket: asking again would only say so.
            if (!maybe_more && out_.size() == sent_ && !closing_) return Next::Read;
        }
        return Next::Write;
    }

    int socket() const { return socket_.get(); }
    // REQUIRES: no worker owns the connection.
    bool expired(std::chrono::steady_clock::time_point now) const {
        const bool idle = in_used_ == 0 && out_.size() == sent_ && !parser_->got_some();
        return now - last_active_ >
               (idle ? std::chrono::duration_cast<std::chrono::seconds>(kIdleTimeout) : kTransferTimeout);
    }

  private:
    void start_parser() {
        parser_.emplace();
        parser_->eager(true);
        parser_->header_limit(kMaxHeaderBytes);
        parser_->body_limit(max_body_bytes_);
        continue_sent_ = false;
    }

    void parse() {
        size_t used = 0;
        while (used < in_used_ && !closing_) {
            boost::beast::error_code failure;
            parser_->started = true;
            used += parser_->put(boost::asio::buffer(in_.get() + used, in_used_ - used), failure);
            if (parser_->is_header_done() && !parser_->is_done()) send_continue();
            if (failure == http::error::need_more) break;
            if (failure) {
                refuse(failure);
                break;
            }
            if (!parser_->is_done()) break;
            answer();
            start_parser();
        }
        if (closing_) used = in_used_;
        std::memmove(in_.get(), in_.get() + used, in_used_ - used);
        in_used_ -= used;
        // A line that fills the whole buffer without end is no header.
        if (in_used_ == kReadBytes) refuse(http::error::header_limit);
    }

    // Closing with unread bytes would reset the connection, and the peer might never see why it was refused.
    Next drain() {
        shutdown(socket_.get(), SHUT_WR);
        for (;;) {
            const auto got = recv(socket_.get(), in_.get(), kReadBytes, 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0 && errno == EAGAIN) return Next::Read;
            if (got <= 0) return Next::Close;
            drained_ += static_cast<size_t>(got);
            if (drained_ > kMostDrained) return Next::Close;
        }
    }

    void send_continue() {
        if (continue_sent_) return;
        continue_sent_ = true;
        if (equals_ignoring_case(view(parser_->get()[http::field::expect]), "100-continue")) out_ += kContinue;
    }

    void refuse(const boost::beast::error_code& failure) {
        refused_ = true;
        int status = 400;
        if (failure == http::error::body_limit) status = 413;
        if (failure == http::error::header_limit) status = 431;
        closing_ = true;
        push(ServeReply::text(status, status == 413 ? "Payload too large" : failure.message()), false);
    }

    static std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

    void answer() {
        const auto& request = parser_->get();
        const bool keep_alive = request.keep_alive();
        ServeReply reply;
        try {
            reply = dispatch(request);
        } catch (const std::exception& failure) {
            log::error(std::string("the model failed: ") + failure.what());
            reply = ServeReply::text(500, "Internal Server Error");
        }
        closing_ = !keep_alive;
        push(std::move(reply), keep_alive);
    }

    ServeReply dispatch(const http::request<http::string_body>& request) {
        std::string_view path = view(request.target());
        path = path.substr(0, path.find('?'));
        const bool get = request.method() == http::verb::get;
        if (path == "/invocations") {
            if (request.method() != http::verb::post) return not_allowed("POST");
            return model_.invoke({view(request[http::field::content_type]), view(request[http::field::accept]),
                                  view(request["X-Amzn-SageMaker-Custom-Attributes"]), request.body()});
        }
        if (path == "/ping") return get ? ServeReply{200, "text/plain; charset=utf-8", "", {}} : not_allowed("GET");
        if (path == "/execution-parameters")
            return get ? ServeReply{200, "application/json", model_.execution_parameters(), {}} : not_allowed("GET");
        return ServeReply::text(404, "Not Found");
    }

    static ServeReply not_allowed(const char* allowed) {
        ServeReply reply = ServeReply::text(405, "Method Not Allowed");
        reply.headers.emplace_back("Allow", allowed);
        return reply;
    }

    void push(ServeReply reply, bool keep_alive) {
        append_head(out_, reply, keep_alive);
        out_ += reply.body;
    }

    // False when the connection is broken.
    bool flush() {
        while (sent_ < out_.size()) {
            const auto put = send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return errno == EAGAIN;
            sent_ += static_cast<size_t>(put);
        }
        out_.clear();
        sent_ = 0;
        if (out_.capacity() > (size_t{1} << 20)) out_ = {};
        return true;
    }

    Fd socket_;
    const ServedModel& model_;
    size_t max_body_bytes_;
    std::optional<Parser> parser_;
    std::unique_ptr<char[]> in_ = std::make_unique_for_overwrite<char[]>(kReadBytes);  // untouched pages cost nothing
    size_t in_used_ = 0;
    std::string out_;
    size_t sent_ = 0;
    bool closing_ = false;
    bool refused_ = false;
    size_t drained_ = 0;
    bool continue_sent_ = false;
    std::chrono::steady_clock::time_point last_active_ = std::chrono::steady_clock::now();
};

// --- listening ---

Result<Fd> make_socket(int family) {
    Fd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return error_from_errno("cannot create a socket");
    return socket;
}

Result<Fd> listen_tcp(const ServeOptions& options) {
    Fd socket = TRY(make_socket(AF_INET));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options.port);
    if (inet_pton(AF_INET, options.address.c_str(), &address.sin_addr) != 1)
        return invalid_input("bad address " + options.address);
    const int on = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return error_from_errno("cannot bind port " + std::to_string(options.port));
    if (listen(socket.get(), 1024) != 0) return error_from_errno("cannot listen");
    return socket;
}

// The address of a Unix socket holds 107 bytes; a longer path goes through a descriptor of its folder.
Result<Fd> listen_unix(const std::string& path) {
    Fd socket = TRY(make_socket(AF_UNIX));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string name = path;
    Fd folder;
    if (path.size() >= sizeof address.sun_path) {
        const size_t slash = path.rfind('/');
        if (slash == std::string::npos) return invalid_input("socket name too long: " + path);
        folder = TRY(open_file(path.substr(0, slash + 1), O_PATH | O_DIRECTORY));
        name = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
        if (name.size() >= sizeof address.sun_path) return invalid_input("socket name too long: " + path);
    }
    std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
    unlink(name.c_str());
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return error_from_errno("cannot bind " + path);
    if (listen(socket.get(), 1024) != 0) return error_from_errno("cannot listen on " + path);
    return socket;
}

// --- the server ---

class Server final : public InferenceServer {
  public:
    Server(const ServedModel& model, const ServeOptions& options, Fd listener, Fd epoll, Fd stop_event)
        : model_(model),
          options_(options),
          listener_(std::move(listener)),
          epoll_(std::move(epoll)),
          stop_event_(std::move(stop_event)) {}

    ~Server() override {
        stopping_ = true;
        const uint64_t one = 1;
        (void)!write(stop_event_.get(), &one, sizeof one);
        workers_.clear();  // joins
    }

    uint16_t port() const override {
        sockaddr_in address{};
        socklen_t size = sizeof address;
        if (getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
        return address.sin_family == AF_INET ? ntohs(address.sin_port) : 0;
    }

    Result<void> run() {
        TRY(watch(EPOLL_CTL_ADD, listener_.get(), EPOLLIN | EPOLLONESHOT));
        TRY(watch(EPOLL_CTL_ADD, stop_event_.get(), EPOLLIN));
        const unsigned count = options_.workers > 0 ? options_.workers : std::max(2u, processor_count());
        for (unsigned i = 0; i < count; ++i) workers_.emplace_back([this] { work(); });
        return {};
    }

  private:
    Result<void> watch(int operation, int fd, uint32_t events) {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        if (epoll_ctl(epoll_.get(), operation, fd, &event) != 0) return error_from_errno("cannot watch a socket");
        return {};
    }

    void work() {
        constexpr int kSweepMilliseconds = 5000;
        while (!stopping_) {
            epoll_event event{};
            const int count = epoll_wait(epoll_.get(), &event, 1, kSweepMilliseconds);
            if (stopping_) return;
            if (count <= 0) {
                close_expired();
            } else if (event.data.fd == listener_.get()) {
                accept_all();
            } else if (event.data.fd != stop_event_.get()) {
                serve(event.data.fd);
            }
        }
    }

    void accept_all() {
        for (;;) {
            Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!socket) break;
            const int on = 1;
            setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            add(std::move(socket));
        }
        if (auto watched = watch(EPOLL_CTL_MOD, listener_.get(), EPOLLIN | EPOLLONESHOT); !watched)
            log::error("the serving shell no longer accepts", watched.error());
    }

    void add(Fd socket) {
        const int fd = socket.get();
        {
            MutexLock lock(mutex_);
            if (connections_.size() >= options_.max_connections) return;  // closed: the peer sees a reset
            connections_[fd] = std::make_unique<Connection>(std::move(socket), model_, options_.max_body_bytes);
        }
        if (!watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT)) drop(fd);
    }

    void serve(int fd) {
        std::unique_ptr<Connection> connection;
        {
            MutexLock lock(mutex_);
            const auto found = connections_.find(fd);
            if (found == connections_.end()) return;
            connection = std::move(found->second);
            if (connection == nullptr) return;
        }
        const auto next = connection->work();
        if (next == Connection::Next::Close) return drop(fd, std::move(connection));
        {
            MutexLock lock(mutex_);
            connections_[fd] = std::move(connection);
        }
        const uint32_t event = next == Connection::Next::Write ? EPOLLOUT : EPOLLIN | EPOLLRDHUP;
        if (!watch(EPOLL_CTL_MOD, fd, event | EPOLLONESHOT)) drop(fd);
    }

    // The descriptor is closed only after its entry is gone: its number may be given out again at once.
    void drop(int fd, std::unique_ptr<Connection> connection = nullptr) {
        MutexLock lock(mutex_);
        const auto found = connections_.find(fd);
        if (found == connections_.end()) return;
        if (connection == nullptr) connection = std::move(found->second);
        connections_.erase(found);
        connection.reset();
    }

    void close_expired() {
        const auto now = std::chrono::steady_clock::now();
        MutexLock lock(mutex_);
        std::erase_if(connections_,
                      [&](const auto& entry) { return entry.second != nullptr && entry.second->expired(now); });
    }

    const ServedModel& model_;
    ServeOptions options_;
    Fd listener_;
    Fd epoll_;
    Fd stop_event_;
    std::atomic<bool> stopping_{false};
    Mutex mutex_;
    // A worker that owns a connection leaves null in its place.
    std::map<int, std::unique_ptr<Connection>> connections_ GUARDED_BY(mutex_);
    std::vector<std::jthread> workers_;
};

}  // namespace

ServeReply ServeReply::text(int status_code, std::string message) {
    return {status_code, "text/plain; charset=utf-8", std::move(message), {}};
}

std::string ServedModel::execution_parameters() const {
    return Json::object({{"MaxConcurrentTransforms", static_cast<int64_t>(processor_count())},
                         {"BatchStrategy", "MULTI_RECORD"},
                         {"MaxPayloadInMB", 6}})
        .dump();
}

Result<ServeOptions> ServeOptions::from_environment() {
    ServeOptions options;
    if (const char* socket = getenv("MILLWRIGHT_SERVE_SOCKET"); socket != nullptr) options.unix_socket = socket;
    if (const char* port = getenv("SAGEMAKER_BIND_TO_PORT"); port != nullptr) {
        const auto number = parse_int(port);
        if (!number || *number < 1 || *number > 65535)
            return invalid_input("SAGEMAKER_BIND_TO_PORT is no port: " + std::string(port));
        options.port = static_cast<uint16_t>(*number);
    }
    return options;
}

Result<std::unique_ptr<InferenceServer>> InferenceServer::start(const ServedModel& model, const ServeOptions& options) {
    Fd listener = options.unix_socket.empty() ? TRY(listen_tcp(options)) : TRY(listen_unix(options.unix_socket));
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    Fd stop_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll || !stop_event) return error_from_errno("cannot create an epoll set");
    auto server =
        std::make_unique<Server>(model, options, std::move(listener), std::move(epoll), std::move(stop_event));
    TRY(server->run());
    return std::unique_ptr<InferenceServer>(std::move(server));
}

namespace {

std::atomic<int> g_signal_event{-1};

void on_signal(int) {
    const uint64_t one = 1;
    (void)!write(g_signal_event.load(), &one, sizeof one);
}

}  // namespace

// A handler, not a blocked signal and sigwait: numeric libraries start threads of their own before us, which would take
// the signal and die of it.
Result<void> serve_until_signal(const ServedModel& model, const ServeOptions& options) {
    const Fd stopped(eventfd(0, EFD_CLOEXEC));
    if (!stopped) return error_from_errno("cannot create an event");
    g_signal_event = stopped.get();
    struct sigaction action {};
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    const auto server = TRY(InferenceServer::start(model, options));
    uint64_t count = 0;
    while (read(stopped.get(), &count, sizeof count) < 0 && errno == EINTR) {
    }
    return {};
}

}  // namespace millwright::algorithms
