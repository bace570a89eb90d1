// Test helper: a client that sends bytes exactly as told.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include "net/socket.h"
#include "net/socket_address.h"

namespace millwright::net::testing {

class RawPeer {
  public:
    explicit RawPeer(uint16_t port) : socket_(begin_connect_tcp("127.0.0.1", port).value()) {
        Pace pace(std::chrono::seconds(5));
        pace.wait(socket_.fd(), POLLOUT).value();
    }
    explicit RawPeer(Fd fd) : socket_(std::move(fd)) {}

    bool send(std::string_view bytes) {
        Pace pace(std::chrono::seconds(5));
        return socket_.send(bytes, "", pace).has_value();
    }
    // Receives until `text` has been seen, the peer closes, or five seconds passed without a byte.
    const std::string& receive_until(std::string_view text) {
        while (received.find(text) == std::string::npos && receive_more()) {
        }
        return received;
    }
    // What came until the peer closed the connection.
    std::string receive_all() {
        while (receive_more()) {
        }
        return received;
    }
    bool receive_more() {
        char buffer[65536];
        Pace pace(std::chrono::seconds(5));
        const auto got = socket_.receive(buffer, pace);
        closed = !got || *got == 0;
        if (!closed) received.append(buffer, *got);
        return !closed;
    }
    void finish_sending() { ::shutdown(socket_.fd(), SHUT_WR); }
    int fd() const { return socket_.fd(); }

    std::string received;
    bool closed = false;

  private:
    Socket socket_;
};

inline size_t count(std::string_view text, std::string_view piece) {
    size_t found = 0;
    for (size_t at = text.find(piece); at != std::string_view::npos; at = text.find(piece, at + 1)) ++found;
    return found;
}

}  // namespace millwright::net::testing
