#include "script_mode/peer.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/strings.h"

namespace millwright::script_mode {
namespace {

constexpr int kConnectMs = 2000;
constexpr auto kPause = std::chrono::milliseconds(50);

Error unavailable(const std::string& host, uint16_t port) {
    Error error = error_from_errno("cannot connect to " + host + " port " + std::to_string(port));
    error.kind = ErrorKind::Unavailable;
    return error;
}

bool connect_within(int fd, const sockaddr_in& address, int limit_ms) {
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    if (errno != EINPROGRESS) return false;
    pollfd wait{fd, POLLOUT, 0};
    if (poll(&wait, 1, limit_ms) != 1) return errno = ETIMEDOUT, false;
    int failure = 0;
    socklen_t size = sizeof failure;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    errno = failure;
    return failure == 0;
}

}  // namespace

std::optional<in_addr> find_in_hosts_file(std::string_view text, std::string_view name) {
    for (std::string_view line : split(text, '\n')) {
        line = line.substr(0, line.find('#'));
        in_addr address{};
        bool known = false;
        size_t at = 0;
        for (int word = 0; at < line.size(); ++word) {
            at = line.find_first_not_of(" \t\r", at);
            if (at == std::string_view::npos) break;
            const size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
            const std::string token(line.substr(at, end - at));
            if (word == 0) known = inet_pton(AF_INET, token.c_str(), &address) == 1;
            if (word > 0 && known && token == name) return address;
            at = end;
        }
    }
    return std::nullopt;
}

std::vector<in_addr> addresses_of(const std::string& host) {
    in_addr literal{};
    if (inet_pton(AF_INET, host.c_str(), &literal) == 1) return {literal};
    if (const auto text = read_file("/etc/hosts", 1 << 20))
        if (const auto address = find_in_hosts_file(*text, host)) return {*address};
    addrinfo hints{};
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    std::vector<in_addr> result;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return result;
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next)
        result.push_back(reinterpret_cast<const sockaddr_in*>(entry->ai_addr)->sin_addr);
    freeaddrinfo(found);
    return result;
}

Result<Fd> connect_to(const std::string& host, uint16_t port) {
    errno = EHOSTUNREACH;
    for (const in_addr& address : addresses_of(host)) {
        Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!fd) return error_from_errno("cannot make a socket");
        sockaddr_in peer{};
        peer.sin_family = AF_INET;
        peer.sin_port = htons(port);
        peer.sin_addr = address;
        if (connect_within(fd.get(), peer, kConnectMs)) return fd;
    }
    return unavailable(host, port);
}

Result<Fd> connect_with_patience(const std::string& host, uint16_t port, int limit_s) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(limit_s);
    for (;;) {
        Result<Fd> connected = connect_to(host, port);
        if (connected || std::chrono::steady_clock::now() >= deadline) return connected;
        std::this_thread::sleep_for(kPause);
    }
}

Result<Fd> listen_on(uint16_t port) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return error_from_errno("cannot make a socket");
    const int yes = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd.get(), 64) != 0)
        return error_from_errno("cannot listen on port " + std::to_string(port));
    return fd;
}

}  // namespace millwright::script_mode
