#include "net/egress_proxy.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "base/time.h"
#include "net/http_parser.h"
#include "net/socket_address.h"

namespace millwright::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxAddresses = 6;
constexpr size_t kRelayBytes = 64 * 1024;
constexpr size_t kMaxReported = 200;
constexpr milliseconds kLingering{500};
constexpr milliseconds kHalfClosed{30'000};  // for the second side to finish as well

enum class Direction { Both, AnswerOnly };

struct Answer {
    int status = 0;
    std::string text;
};

// What the client wants: a tunnel, or `head` sent to the destination and its answer.
struct Wish {
    Destination destination;
    bool tunnel = false;
    std::string head;
};

bool is_hop_by_hop(std::string_view name, const std::string& connection) {
    for (const char* hop : {"Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
                            "Content-Length", "Host"})
        if (equals_ignoring_case(name, hop)) return true;
    if (to_lower(name).starts_with("proxy-")) return true;
    const auto listed = split(connection, ',');
    return std::any_of(listed.begin(), listed.end(),
                       [&](std::string_view word) { return equals_ignoring_case(trim(word), name); });
}

std::string head_for(const MessageHead& request, const std::string& host) {
    std::string head = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + host + "\r\n";
    const std::string connection = request.headers.get("Connection");
    for (const auto& [name, value] : request.headers.all())
        if (!is_hop_by_hop(name, connection)) head += name + ": " + value + "\r\n";
    return head + "Connection: close\r\n\r\n";
}

// The target as it was sent: the parser turns the absolute form into a path.
std::string_view sent_target(std::string_view head) {
    const size_t first = head.find(' ');
    if (first == std::string_view::npos) return {};
    return head.substr(first + 1, head.find(' ', first + 1) - first - 1);
}

Result<Wish, Answer> read_wish(std::string_view text) {
    const auto head = parse_head(MessageKind::Request, text);
    if (!head) return Answer{400, head.error().message};
    Wish wish;
    wish.tunnel = head->method == "CONNECT";
    if (!wish.tunnel && to_lower(sent_target(text).substr(0, 8)) == "https://")
        return Answer{400, "https goes through CONNECT"};
    if (!wish.tunnel && to_lower(sent_target(text).substr(0, 7)) != "http://")
        return Answer{400, "this is a proxy: it wants CONNECT host:port or GET http://host/path"};
    if (!wish.tunnel && head->method != "GET" && head->method != "HEAD")
        return Answer{405, "without TLS only GET and HEAD are carried out"};
    if (!wish.tunnel && (head->chunked || head->content_length.value_or(0) > 0))
        return Answer{400, "GET and HEAD are carried out without a body"};
    const std::string host = head->headers.get("Host");
    const auto destination = wish.tunnel ? parse_destination(head->target) : parse_destination(host, 80);
    if (!destination) return Answer{403, destination.error().message};
    wish.destination = *destination;
    if (!wish.tunnel) wish.head = head_for(*head, host);
    return wish;
}

std::string render(const Answer& answer) {
    const std::string body = answer.text + "\n";
    return "HTTP/1.1 " + std::to_string(answer.status) + " " + std::string(reason_phrase(answer.status)) +
           "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + body;
}

void refuse_at_once(int client, std::string text) {
    const std::string answer = render({503, std::move(text)});
    static_cast<void>(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

std::string name_of(const Destination& destination) {
    return (destination.host.find(':') == std::string::npos ? destination.host : "[" + destination.host + "]") + ":" +
           std::to_string(destination.port);
}

Answer refusal(const Destination& destination, std::string_view why, std::string_view advice) {
    const bool usual = destination.port == 80 || destination.port == 443;
    const std::string entry = usual && !destination.is_address ? destination.host : name_of(destination);
    return {403, name_of(destination) + " is not reachable through this proxy: " + std::string(why) + ". " +
                     replace_all(advice, "%s", entry)};
}

void set_port(sockaddr_storage& address, uint16_t port) {
    if (address.ss_family == AF_INET6)
        reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(port);
    else
        reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port);
}

Result<std::vector<sockaddr_storage>> resolve(const std::string& host, int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* found = nullptr;
    const int failure = getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (failure != 0) return Error{ErrorKind::Unavailable, gai_strerror(failure), ""};
    std::vector<sockaddr_storage> addresses;
    for (const addrinfo* entry = found; entry != nullptr && addresses.size() < kMaxAddresses; entry = entry->ai_next) {
        if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
        std::memcpy(&addresses.emplace_back(), entry->ai_addr, entry->ai_addrlen);
    }
    freeaddrinfo(found);
    return addresses;
}

// Bytes on their way in one direction.
struct Flow {
    std::array<char, kRelayBytes> bytes;
    size_t begin = 0, end = 0;
    bool ended = false;     // the source has no more
    bool finished = false;  // and the sink knows it

    bool empty() const { return begin == end; }
    // False when the connection is broken.
    bool receive(int from) {
        const ssize_t got = ::recv(from, bytes.data(), bytes.size(), 0);
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        begin = 0;
        end = static_cast<size_t>(got);
        ended = got == 0;
        return true;
    }
    bool send(int to) {
        const ssize_t put = ::send(to, bytes.data() + begin, end - begin, MSG_NOSIGNAL);
        if (put < 0) return errno == EAGAIN || errno == EINTR;
        begin += static_cast<size_t>(put);
        return true;
    }
    bool pass_end(int to) {
        if (ended && empty() && !finished) {
            finished = true;
            ::shutdown(to, SHUT_WR);
        }
        return true;
    }
};

class Proxy : public EgressProxy {
  public:
    Proxy(EgressSettings settings, EgressRules rules, Fd listener, Fd stop)
        : settings_(std::move(settings)),
          given_rules_(std::move(rules)),
          listener_(std::move(listener)),
          stop_(std::move(stop)),
          changed_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (!settings_.resolve)
            settings_.resolve = [](const std::string& host) { return resolve(host, AI_ADDRCONFIG); };
        acceptor_ = std::jthread([this] { accept_all(); });
    }
    ~Proxy() override {
        eventfd_write(stop_.get(), 1);  // never read: it stays readable for every thread
        acceptor_.join();
        workers_.clear();
        if (listener_) ::unlink(settings_.socket_path.c_str());
    }
    void adopt(Fd client, std::string received) override;

  private:
    struct Worker {
        std::atomic<bool> done = false;
        pid_t peer = 0;
        std::jthread thread;
    };
    void accept_all();
    void accept_one();
    void serve_adopted();
    void join_finished();
    void start_worker(pid_t peer, Fd client, std::string received);
    void serve(Fd client, std::string received);
    std::optional<Answer> handle(int client, std::string received);
    // `text`: what has been received already.
    Result<std::string, Answer> receive_head(int client, std::string text, std::string& more);
    Result<Fd, Answer> connect(const Destination& destination);
    Result<Fd> connect_to(const sockaddr_storage& address, Monotonic deadline);
    void report(const std::string& refusal);
    const EgressRules& rules();
    void relay(int client, int server, std::string_view first, Direction direction);
    bool send_text(int to, std::string_view text);
    // False when the time is up or the proxy stops.
    bool wait(int fd, short events, Monotonic deadline) const;

    EgressSettings settings_;
    const EgressRules given_rules_;
    std::once_flag asked_for_more_;
    std::optional<EgressRules> more_rules_;
    const Fd listener_, stop_, changed_;
    Mutex mutex_;
    std::set<std::string> reported_ GUARDED_BY(mutex_);
    struct Adopted {
        Fd client;
        std::string received;
    };
    std::vector<Adopted> adopted_ GUARDED_BY(mutex_);
    std::list<Worker> workers_;  // of the acceptor alone
    std::jthread acceptor_;
};

void Proxy::accept_all() {
    for (;;) {
        const bool room = workers_.size() < settings_.max_connections;
        pollfd wanted[3] = {
            {stop_.get(), POLLIN, 0}, {changed_.get(), POLLIN, 0}, {room ? listener_.get() : -1, POLLIN, 0}};
        if (::poll(wanted, 3, -1) < 0 && errno != EINTR) return;
        if (wanted[0].revents != 0) return;
        if (wanted[1].revents != 0) join_finished();
        if (wanted[1].revents != 0) serve_adopted();
        if (wanted[2].revents != 0) accept_one();
    }
}

void Proxy::join_finished() {
    eventfd_t ignored = 0;
    eventfd_read(changed_.get(), &ignored);
    workers_.remove_if([](const Worker& worker) { return worker.done.load(); });
}

void Proxy::adopt(Fd client, std::string received) {
    {
        const MutexLock lock(mutex_);
        // A few more than can be served, so that a burst is answered and not cut.
        if (adopted_.size() < settings_.max_connections) adopted_.push_back({std::move(client), std::move(received)});
    }
    eventfd_write(changed_.get(), 1);
}

void Proxy::serve_adopted() {
    std::vector<Adopted> adopted;
    {
        const MutexLock lock(mutex_);
        adopted.swap(adopted_);
    }
    for (Adopted& connection : adopted) {
        if (workers_.size() < settings_.max_connections)
            start_worker(0, std::move(connection.client), std::move(connection.received));
        else
            refuse_at_once(connection.client.get(), "too many connections through the proxy");
    }
}

void Proxy::accept_one() {
    Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) return;
    ucred peer{};
    socklen_t size = sizeof peer;
    getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    const auto same =
        std::count_if(workers_.begin(), workers_.end(), [&](const Worker& other) { return other.peer == peer.pid; });
    if (static_cast<size_t>(same) >= settings_.max_connections_per_peer) {
        return refuse_at_once(client.get(), "too many connections of one job");
    }
    start_worker(peer.pid, std::move(client), "");
}

void Proxy::start_worker(pid_t peer, Fd client, std::string received) {
    Worker& worker = workers_.emplace_back();
    worker.peer = peer;
    worker.thread = std::jthread([this, &worker, client = std::move(client), received = std::move(received)]() mutable {
        serve(std::move(client), std::move(received));
        worker.done = true;
        eventfd_write(changed_.get(), 1);
    });
}

bool Proxy::wait(int fd, short events, Monotonic deadline) const {
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
        if (left.count() <= 0) return false;
        pollfd wanted[2] = {{fd, events, 0}, {stop_.get(), POLLIN, 0}};
        const int ready = ::poll(wanted, 2, static_cast<int>(std::min<int64_t>(left.count(), 1 << 30)));
        if (ready < 0 && errno != EINTR) return false;
        if (wanted[1].revents != 0) return false;
        if (ready > 0 && wanted[0].revents != 0) return true;
    }
}

bool Proxy::send_text(int to, std::string_view text) {
    const Monotonic deadline = steady_clock::now() + settings_.header_deadline;
    while (!text.empty()) {
        const ssize_t put = ::send(to, text.data(), text.size(), MSG_NOSIGNAL);
        if (put > 0)
            text.remove_prefix(static_cast<size_t>(put));
        else if (errno != EAGAIN && errno != EINTR)
            return false;
        else if (!wait(to, POLLOUT, deadline))
            return false;
    }
    return true;
}

void Proxy::serve(Fd client, std::string received) {
    const auto answer = handle(client.get(), std::move(received));
    if (!answer) return;
    if (answer->status == 403) report(answer->text);
    if (!send_text(client.get(), render(*answer))) return;
    // Closing with unread bytes would destroy the answer on its way.
    ::shutdown(client.get(), SHUT_WR);
    const Monotonic deadline = steady_clock::now() + kLingering;
    char dropped[4096];
    while (wait(client.get(), POLLIN, deadline) && ::recv(client.get(), dropped, sizeof dropped, 0) > 0) {
    }
}

const EgressRules& Proxy::rules() {
    std::call_once(asked_for_more_, [this] {
        if (!settings_.more_allowed) return;
        EgressRules::Settings all = settings_.rules;
        const auto more = settings_.more_allowed();
        all.allowed.insert(all.allowed.end(), more.begin(), more.end());
        if (auto rules = EgressRules::make(all))
            more_rules_ = std::move(*rules);
        else
            log::warning("egress: hosts of package indexes", rules.error());
    });
    return more_rules_ ? *more_rules_ : given_rules_;
}

// Each refusal once: a job may ask as often as it likes.
void Proxy::report(const std::string& refusal) {
    {
        const MutexLock lock(mutex_);
        if (reported_.size() >= kMaxReported || !reported_.insert(refusal).second) return;
    }
    log::info("egress: " + refusal);
}

// The head with its empty line; `more` is what came after it.
Result<std::string, Answer> Proxy::receive_head(int client, std::string text, std::string& more) {
    const Monotonic deadline = steady_clock::now() + settings_.header_deadline;
    HeadScanner scanner;
    for (;;) {
        const auto end = scanner.find_end(text);
        if (!end) return Answer{400, end.error().message};
        if (*end > 0) {
            more = text.substr(*end);
            text.resize(*end);
            return text;
        }
        if (text.size() >= settings_.max_header_bytes) return Answer{431, "the head of the request is too large"};
        char buffer[4096];
        const ssize_t got =
            ::recv(client, buffer, std::min(sizeof buffer, settings_.max_header_bytes - text.size()), 0);
        if (got == 0) return Answer{0, ""};
        if (got < 0) {
            if (errno != EAGAIN && errno != EINTR) return Answer{0, ""};
            if (!wait(client, POLLIN, deadline)) return Answer{408, "the request did not come in time"};
            continue;
        }
        text.append(buffer, static_cast<size_t>(got));
    }
}

// Nothing when the connection has had its life.
std::optional<Answer> Proxy::handle(int client, std::string received) {
    std::string more;
    const auto head = receive_head(client, std::move(received), more);
    if (!head) return head.error().status == 0 ? std::optional<Answer>() : head.error();
    const auto wish = read_wish(*head);
    if (!wish) return wish.error();
    const auto server = connect(wish->destination);
    if (!server) return server.error();
    if (wish->tunnel) {
        if (!send_text(client, "HTTP/1.1 200 Connection established\r\n\r\n")) return std::nullopt;
        relay(client, server->get(), more, Direction::Both);
    } else {
        relay(client, server->get(), wish->head, Direction::AnswerOnly);
    }
    return std::nullopt;
}

Result<Fd, Answer> Proxy::connect(const Destination& destination) {
    const EgressRules& rules = this->rules();
    const auto verdict = rules.judge(destination);
    if (verdict == EgressRules::Verdict::Denied)
        return refusal(destination, "it is not in the list of allowed hosts", settings_.advice);
    const auto found =
        destination.is_address ? resolve(destination.host, AI_NUMERICHOST) : settings_.resolve(destination.host);
    if (!found) return Answer{502, "cannot find the address of " + destination.host + ": " + found.error().message};
    std::string failure = "it has no address";
    bool permitted = false;
    const Monotonic deadline = steady_clock::now() + settings_.connect_deadline;
    for (size_t i = 0; i < std::min(found->size(), kMaxAddresses); ++i) {
        sockaddr_storage address = (*found)[i];
        set_port(address, destination.port);
        if (!rules.permits(verdict, address)) continue;
        permitted = true;
        auto connected = connect_to(address, deadline);
        if (connected) return std::move(*connected);
        failure = connected.error().message + ": " + connected.error().detail;
    }
    if (!found->empty() && !permitted)
        return refusal(destination, "its address belongs to this machine or to a network that is not public",
                       settings_.advice);
    return Answer{502, "cannot reach " + name_of(destination) + ": " + failure};
}

Result<Fd> Proxy::connect_to(const sockaddr_storage& address, Monotonic deadline) {
    Fd server(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!server) return error_from_errno("cannot make a socket");
    const int on = 1;
    setsockopt(server.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto size =
        static_cast<socklen_t>(address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
    int failure = ::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 ? 0 : errno;
    if (failure == EINPROGRESS) {
        if (!wait(server.get(), POLLOUT, deadline)) return Error{ErrorKind::Unavailable, "no connection", "timeout"};
        socklen_t length = sizeof failure;
        getsockopt(server.get(), SOL_SOCKET, SO_ERROR, &failure, &length);
    }
    errno = failure;
    if (failure != 0) return error_from_errno("no connection");
    return server;
}

// Until both sides have finished, one breaks, or nothing moves for too long.
void Proxy::relay(int client, int server, std::string_view first, Direction direction) {
    if (!send_text(server, first)) return;
    const auto up = std::make_unique<Flow>(), down = std::make_unique<Flow>();
    up->ended = up->finished = direction == Direction::AnswerOnly;
    while (!up->finished || !down->finished) {
        const auto interest = [](const Flow& read_by, const Flow& written_by) {
            return static_cast<short>((!read_by.ended && read_by.empty() ? POLLIN : 0) |
                                      (!written_by.empty() ? POLLOUT : 0));
        };
        pollfd wanted[3] = {
            {client, interest(*up, *down), 0}, {server, interest(*down, *up), 0}, {stop_.get(), POLLIN, 0}};
        // A side without interest would report its hang-up again and again.
        for (pollfd& side : wanted)
            if (side.events == 0) side.fd = -1;
        const bool half = direction == Direction::Both && (up->finished || down->finished);
        const milliseconds patience = half ? std::min(kHalfClosed, settings_.idle_deadline) : settings_.idle_deadline;
        const int ready = ::poll(wanted, 3, static_cast<int>(patience.count()));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0 || wanted[2].revents != 0) return;
        bool good = true;
        const auto is = [&](int side, short events) {
            return (wanted[side].revents & (events | POLLERR | POLLHUP)) != 0;
        };
        if (!up->ended && up->empty() && is(0, POLLIN)) good = up->receive(client);
        if (good && !down->ended && down->empty() && is(1, POLLIN)) good = down->receive(server);
        if (good && !up->empty()) good = up->send(server);
        if (good && !down->empty()) good = down->send(client);
        if (!good || !up->pass_end(server) || !down->pass_end(client)) return;
    }
}

}  // namespace

Result<std::unique_ptr<EgressProxy>> EgressProxy::start(EgressSettings settings) {
    EgressRules rules = TRY(EgressRules::make(settings.rules));
    Fd listener;
    if (!settings.socket_path.empty()) listener = TRY(listen_unix(settings.socket_path));
    Fd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!stop) return error_from_errno("cannot make an eventfd");
    return std::unique_ptr<EgressProxy>(
        std::make_unique<Proxy>(std::move(settings), std::move(rules), std::move(listener), std::move(stop)));
}

}  // namespace millwright::net
