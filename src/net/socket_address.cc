#include "net/socket_address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace millwright::net {
namespace {

constexpr int kBacklog = 4096;

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Result<Address> tcp_address(std::string text, uint16_t port) {
    if (text == "localhost") text = "127.0.0.1";
    Address address;
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        address.size = sizeof v4;
    } else if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        address.size = sizeof v6;
    } else {
        return invalid_input("\"" + text + "\" is not an IP address");
    }
    return address;
}

// sockaddr_un holds 107 bytes. A longer path is reached through its folder, opened and named by
// /proc/self/fd.
struct UnixAddress {
    Address address;
    Fd folder;  // keeps the short name valid
};

Result<UnixAddress> unix_address(const std::string& path) {
    UnixAddress result;
    auto& name = reinterpret_cast<sockaddr_un&>(result.address.storage);
    std::string shorter = path;
    if (path.size() >= sizeof name.sun_path) {
        const std::filesystem::path whole(path);
        result.folder = TRY(open_file(whole.parent_path().string(), O_PATH | O_DIRECTORY));
        shorter = "/proc/self/fd/" + std::to_string(result.folder.get()) + "/" + whole.filename().string();
    }
    if (shorter.empty() || shorter.size() >= sizeof name.sun_path)
        return invalid_input("the name of a unix socket is empty or too long: " + path);
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, shorter.c_str(), shorter.size() + 1);
    result.address.size = static_cast<socklen_t>(sizeof name);
    return result;
}

Result<Fd> new_socket(int family) {
    Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return error_from_errno("cannot create a socket");
    return fd;
}

Error unavailable(std::string what) {
    Error error = error_from_errno(std::move(what));
    error.kind = ErrorKind::Unavailable;
    return error;
}

}  // namespace

Result<Fd> listen_tcp(const std::string& address, uint16_t port) {
    const auto where = TRY(tcp_address(address, port));
    Fd fd = TRY(new_socket(where.storage.ss_family));
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), where.get(), where.size) != 0 || ::listen(fd.get(), kBacklog) != 0)
        return unavailable("cannot listen on " + address + ":" + std::to_string(port));
    return fd;
}

Result<Fd> listen_unix(const std::string& path) {
    const auto where = TRY(unix_address(path));
    Fd fd = TRY(new_socket(AF_UNIX));
    struct stat status {};
    if (lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
    // The mode of the descriptor becomes the mode of the file, so there is no moment in which others could
    // connect.
    if (fchmod(fd.get(), 0600) != 0 || ::bind(fd.get(), where.address.get(), where.address.size) != 0 ||
        ::listen(fd.get(), kBacklog) != 0)
        return unavailable("cannot listen on " + path);
    return fd;
}

Result<Fd> begin_connect_tcp(const std::string& address, uint16_t port) {
    const auto where = TRY(tcp_address(address, port));
    Fd fd = TRY(new_socket(where.storage.ss_family));
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd.get(), where.get(), where.size) != 0 && errno != EINPROGRESS)
        return unavailable("cannot connect to " + address + ":" + std::to_string(port));
    return fd;
}

Result<Fd> connect_unix(const std::string& path) {
    const auto where = TRY(unix_address(path));
    Fd fd = TRY(new_socket(AF_UNIX));
    // A unix socket connects at once or not at all (EAGAIN: its backlog is full).
    if (::connect(fd.get(), where.address.get(), where.address.size) != 0)
        return unavailable("cannot connect to " + path);
    return fd;
}

uint16_t local_port(int fd) {
    Address address;
    address.size = sizeof address.storage;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) return 0;
    const bool v6 = address.storage.ss_family == AF_INET6;
    return ntohs(v6 ? reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port
                    : reinterpret_cast<sockaddr_in&>(address.storage).sin_port);
}

std::string to_text(const sockaddr_storage& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
    }
    if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6.sin6_port));
    }
    return "unix";
}

}  // namespace millwright::net
