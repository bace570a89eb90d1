// Message on the wire: u32 magic, u8 operation, u64 length, bytes. The first message of a connection is a greeting with
// the sender's rank and the number of hosts.
#include "algorithms/common/collective.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace millwright::algorithms {
namespace {

using Deadline = std::chrono::steady_clock::time_point;

static_assert(std::endian::native == std::endian::little, "numbers travel as they stand in memory");

constexpr uint32_t kMessageMagic = 0x4D574331;  // "MWC1"
constexpr size_t kHeaderBytes = 13;
constexpr size_t kMostMessageBytes = size_t{64} << 30;
constexpr auto kRetry = std::chrono::milliseconds(20);

enum Operation : uint8_t { kGreeting = 1, kSumDouble, kSumFloat, kMaxDouble, kBroadcast, kGather };

Error lost(std::string what, std::string detail = "") {
    return Error{ErrorKind::Unavailable, std::move(what), std::move(detail)};
}

// algo-2 before algo-10.
bool host_before(const std::string& a, const std::string& b) {
    const auto split_number = [](const std::string& host) {
        size_t at = host.size();
        while (at > 0 && host[at - 1] >= '0' && host[at - 1] <= '9') --at;
        const std::string digits = host.substr(at);
        return std::pair(host.substr(0, at), digits.size() > 18 || digits.empty() ? 0 : std::stoll(digits));
    };
    return std::pair(split_number(a), a) < std::pair(split_number(b), b);
}

Result<void> wait_for(int fd, short events, Deadline deadline) {
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return lost("timed out");
        pollfd watched{fd, events, 0};
        const int ready = poll(&watched, 1, static_cast<int>(std::min<int64_t>(left.count() + 1, 60000)));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return error_from_errno("poll failed");
    }
}

Result<void> send_bytes(int fd, const char* bytes, size_t count, std::chrono::milliseconds timeout) {
    while (count > 0) {
        const auto put = send(fd, bytes, count, MSG_NOSIGNAL);
        if (put > 0) {
            bytes += put;
            count -= static_cast<size_t>(put);
        } else if (errno == EAGAIN) {
            TRY(wait_for(fd, POLLOUT, std::chrono::steady_clock::now() + timeout));
        } else if (errno != EINTR) {
            return lost("connection lost", std::strerror(errno));
        }
    }
    return {};
}

Result<void> receive_bytes(int fd, char* bytes, size_t count, std::chrono::milliseconds timeout) {
    while (count > 0) {
        const auto got = recv(fd, bytes, count, 0);
        if (got > 0) {
            bytes += got;
            count -= static_cast<size_t>(got);
        } else if (got == 0) {
            return lost("connection closed");
        } else if (errno == EAGAIN) {
            TRY(wait_for(fd, POLLIN, std::chrono::steady_clock::now() + timeout));
        } else if (errno != EINTR) {
            return lost("connection lost", std::strerror(errno));
        }
    }
    return {};
}

void prepare(const Fd& socket) {
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
}

// One try: resolve, connect.
Result<Fd> connect_once(const std::string& host, uint16_t port, Deadline deadline) {
    addrinfo hints{};
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); code != 0)
        return lost("cannot resolve " + host, gai_strerror(code));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return error_from_errno("cannot create a socket");
    prepare(socket);
    if (connect(socket.get(), addresses->ai_addr, addresses->ai_addrlen) != 0 && errno != EINPROGRESS)
        return lost("cannot connect to " + host, std::strerror(errno));
    TRY(wait_for(socket.get(), POLLOUT,
                 std::min(deadline, std::chrono::steady_clock::now() + std::chrono::seconds(5))));
    int failure = 0;
    socklen_t size = sizeof failure;
    getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &failure, &size);
    if (failure != 0) return lost("cannot connect to " + host, std::strerror(failure));
    return socket;
}

Result<Fd> connect_with_retries(const std::string& host, uint16_t port, Deadline deadline) {
    for (;;) {
        auto socket = connect_once(host, port, deadline);
        if (socket || std::chrono::steady_clock::now() + kRetry >= deadline) return socket;
        std::this_thread::sleep_for(kRetry);
    }
}

Result<Fd> listen_on(uint16_t port) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return error_from_errno("cannot create a socket");
    const int on = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return error_from_errno("cannot bind port " + std::to_string(port) + " for the other hosts");
    if (listen(socket.get(), 128) != 0) return error_from_errno("cannot listen");
    return socket;
}

struct Greeting {
    uint32_t magic = kMessageMagic;
    uint32_t rank = 0;
    uint32_t size = 0;
};

// Connections that do not greet properly are dropped: something else knocked.
Result<std::vector<Fd>> accept_peers(uint16_t port, const std::vector<std::string>& hosts, Deadline deadline) {
    const Fd listener = TRY(listen_on(port));
    std::vector<Fd> peers(hosts.size());
    for (size_t missing = hosts.size() - 1; missing > 0;) {
        if (!wait_for(listener.get(), POLLIN, deadline)) {
            std::string names;
            for (size_t rank = 1; rank < hosts.size(); ++rank)
                if (!peers[rank]) names += (names.empty() ? "" : ", ") + hosts[rank];
            return lost("these hosts did not come up in time: " + names);
        }
        Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket) continue;
        prepare(socket);
        Greeting greeting;
        if (!receive_bytes(socket.get(), reinterpret_cast<char*>(&greeting), sizeof greeting, std::chrono::seconds(2)))
            continue;
        if (greeting.magic != kMessageMagic || greeting.size != hosts.size() || greeting.rank == 0 ||
            greeting.rank >= hosts.size() || peers[greeting.rank])
            continue;
        peers[greeting.rank] = std::move(socket);
        --missing;
    }
    return peers;
}

template <typename T>
std::string_view bytes_of(std::span<T> values) {
    return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}
template <typename T>
std::span<char> writable_bytes_of(std::span<T> values) {
    return {reinterpret_cast<char*>(values.data()), values.size_bytes()};
}

}  // namespace

Result<Collective> Collective::connect(std::vector<std::string> hosts, const std::string& current_host,
                                       const CollectiveOptions& options) {
    Collective collective;
    if (hosts.size() <= 1) return collective;
    std::sort(hosts.begin(), hosts.end(), host_before);
    const auto self = std::find(hosts.begin(), hosts.end(), current_host);
    if (self == hosts.end())
        return invalid_input("the current host " + current_host + " is not among the hosts of the job");
    collective.rank_ = static_cast<size_t>(self - hosts.begin());
    collective.size_ = hosts.size();
    collective.call_timeout_ = options.call_timeout;
    const Deadline deadline = std::chrono::steady_clock::now() + options.connect_timeout;
    if (collective.rank_ == 0) {
        collective.peers_ = TRY(accept_peers(options.port, hosts, deadline));
    } else {
        Fd socket = TRY(connect_with_retries(hosts[0], options.port, deadline));
        const Greeting greeting{kMessageMagic, static_cast<uint32_t>(collective.rank_),
                                static_cast<uint32_t>(hosts.size())};
        TRY(send_bytes(socket.get(), reinterpret_cast<const char*>(&greeting), sizeof greeting, options.call_timeout));
        collective.peers_.push_back(std::move(socket));
    }
    collective.hosts_ = std::move(hosts);
    TRY(collective.barrier());
    return collective;
}

std::string Collective::peer_name(size_t peer) const { return hosts_[peer]; }

Result<void> Collective::send_message(size_t peer, uint8_t operation, std::string_view bytes) {
    char header[kHeaderBytes];
    const uint64_t length = bytes.size();
    std::memcpy(header, &kMessageMagic, 4);
    header[4] = static_cast<char>(operation);
    std::memcpy(header + 5, &length, 8);
    auto sent = send_bytes(peers_[peer].get(), header, kHeaderBytes, call_timeout_);
    if (sent) sent = send_bytes(peers_[peer].get(), bytes.data(), bytes.size(), call_timeout_);
    if (!sent) return lost("host " + peer_name(peer) + ": " + sent.error().message, sent.error().detail);
    return {};
}

Result<uint64_t> Collective::receive_header(size_t peer, uint8_t operation) {
    char header[kHeaderBytes];
    auto got = receive_bytes(peers_[peer].get(), header, kHeaderBytes, call_timeout_);
    if (!got) return lost("host " + peer_name(peer) + ": " + got.error().message, got.error().detail);
    uint32_t magic = 0;
    uint64_t length = 0;
    std::memcpy(&magic, header, 4);
    std::memcpy(&length, header + 5, 8);
    if (magic != kMessageMagic || static_cast<uint8_t>(header[4]) != operation || length > kMostMessageBytes)
        return internal_error("host " + peer_name(peer) + " is at another step of the job");
    return length;
}

Result<void> Collective::transfer(size_t peer, uint8_t operation, std::span<char> bytes) {
    const uint64_t length = TRY(receive_header(peer, operation));
    if (length != bytes.size())
        return internal_error("host " + peer_name(peer) + " sent " + std::to_string(length) + " bytes, expected " +
                              std::to_string(bytes.size()));
    auto got = receive_bytes(peers_[peer].get(), bytes.data(), bytes.size(), call_timeout_);
    if (!got) return lost("host " + peer_name(peer) + ": " + got.error().message, got.error().detail);
    return {};
}

Result<std::string> Collective::receive_message(size_t peer, uint8_t operation) {
    const uint64_t length = TRY(receive_header(peer, operation));
    // Grows with what really comes.
    std::string bytes;
    constexpr size_t kStep = size_t{64} << 20;
    while (bytes.size() < length) {
        const size_t old = bytes.size();
        const size_t step = std::min<size_t>(kStep, static_cast<size_t>(length) - old);
        bytes.resize(old + step);
        auto got = receive_bytes(peers_[peer].get(), bytes.data() + old, step, call_timeout_);
        if (!got) return lost("host " + peer_name(peer) + ": " + got.error().message, got.error().detail);
    }
    return bytes;
}

template <typename T, typename Combine>
Result<void> Collective::allreduce(std::span<T> values, uint8_t operation, Combine combine) {
    if (size_ == 1) return {};
    if (rank_ != 0) {
        TRY(send_message(0, operation, bytes_of(values)));
        return transfer(0, operation, writable_bytes_of(values));
    }
    std::vector<T> theirs(values.size());
    for (size_t peer = 1; peer < size_; ++peer) {
        TRY(transfer(peer, operation, writable_bytes_of(std::span<T>(theirs))));
        for (size_t i = 0; i < values.size(); ++i) values[i] = combine(values[i], theirs[i]);
    }
    for (size_t peer = 1; peer < size_; ++peer) TRY(send_message(peer, operation, bytes_of(values)));
    return {};
}

Result<void> Collective::allreduce_sum(std::span<double> values) {
    return allreduce(values, kSumDouble, [](double a, double b) { return a + b; });
}
Result<void> Collective::allreduce_sum(std::span<float> values) {
    return allreduce(values, kSumFloat, [](float a, float b) { return a + b; });
}
Result<void> Collective::allreduce_max(std::span<double> values) {
    return allreduce(values, kMaxDouble, [](double a, double b) { return std::max(a, b); });
}

Result<void> Collective::broadcast(std::string& bytes) {
    if (size_ == 1) return {};
    if (rank_ != 0) {
        bytes = TRY(receive_message(0, kBroadcast));
        return {};
    }
    for (size_t peer = 1; peer < size_; ++peer) TRY(send_message(peer, kBroadcast, bytes));
    return {};
}

Result<std::vector<std::string>> Collective::gather(std::string_view bytes) {
    std::vector<std::string> all;
    if (rank_ != 0) {
        TRY(send_message(0, kGather, bytes));
        return all;
    }
    all.emplace_back(bytes);
    for (size_t peer = 1; peer < size_; ++peer) all.push_back(TRY(receive_message(peer, kGather)));
    return all;
}

Result<void> Collective::agree(const Result<void>& outcome) {
    if (size_ == 1) return outcome;
    // "<kind>\n<message>"; empty when all is well.
    std::string verdict;
    if (!outcome) verdict = std::to_string(static_cast<int>(outcome.error().kind)) + "\n" + outcome.error().message;
    const std::vector<std::string> verdicts = TRY(gather(verdict));
    std::string first;
    for (const auto& candidate : verdicts)
        if (first.empty()) first = candidate;
    TRY(broadcast(first));
    if (!outcome) return outcome;
    if (first.empty()) return {};
    const size_t end = std::min(first.find('\n'), first.size());
    const int kind = std::clamp(std::atoi(first.substr(0, end).c_str()), 0, static_cast<int>(ErrorKind::Internal));
    return Error{static_cast<ErrorKind>(kind), first.substr(std::min(end + 1, first.size())), "on another host"};
}

Result<void> Collective::barrier() {
    double nothing = 0;
    return allreduce_sum(std::span<double>(&nothing, 1));
}

}  // namespace millwright::algorithms
