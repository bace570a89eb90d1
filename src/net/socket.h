// A connected stream socket: never blocks longer than told.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/files.h"
#include "base/result.h"
#include "base/time.h"

namespace millwright::net {

// "timeout", as Error::detail.
inline constexpr std::string_view kTimeout = "timeout";
Error timeout_error(std::string what);

// How long one transfer may wait for its peer: no single pause beyond `idle`, and on the whole not slower
// than kSlowestBytesPerSecond, so that a peer that trickles bytes cannot hold a thread for ever.
class Pace {
  public:
    static constexpr int64_t kSlowestBytesPerSecond = 1024;

    explicit Pace(std::chrono::milliseconds idle) : idle_(idle), budget_(idle) {}
    void moved(size_t bytes);
    // Waits until `fd` is ready for the poll(2) `events`; Unavailable "timeout" when the peer is too slow.
    Result<void> wait(int fd, short events);

  private:
    std::chrono::milliseconds idle_;
    std::chrono::microseconds budget_;  // waiting time left
};

class TlsContext;
class TlsStream;

// REQUIRES: the descriptor is non-blocking. In the clear until start_tls().
class Socket {
  public:
    Socket();
    explicit Socket(Fd fd);
    ~Socket();
    Socket(Socket&&) noexcept;
    Socket& operator=(Socket&&) noexcept;
    int fd() const { return fd_.get(); }
    // Gives the connection away. REQUIRES: no TLS.
    Fd release();

    // From here on as a TLS server: handshake() until it says true, then as before.
    Result<void> start_tls(std::shared_ptr<const TlsContext> context);
    Result<bool> handshake();
    bool is_encrypted() const { return tls_ != nullptr; }
    // What to wait for, as poll(2) events, when receive_now() or handshake() could not go on.
    short wanted_events() const;
    // Nothing more will be sent; the peer is told.
    void finish_sending();

    // What has arrived; nullopt when nothing has, 0 when the peer has finished. Unavailable: the connection
    // broke.
    Result<std::optional<size_t>> receive_now(std::span<char> buffer);
    Result<size_t> receive(std::span<char> buffer, Pace& pace);
    // `first`, then `second`, in as few segments as possible.
    Result<void> send(std::string_view first, std::string_view second, Pace& pace, bool more_follows = false);
    Result<void> send_file(int file, uint64_t offset, uint64_t length, Pace& pace);

  private:
    Result<void> send_encrypted(std::string_view bytes, Pace& pace);
    Result<void> send_file_encrypted(int file, uint64_t offset, uint64_t length, Pace& pace);

    Fd fd_;
    std::unique_ptr<TlsStream> tls_;  // goes before the descriptor it writes to
};

// Bytes received and not yet used. Memory is held only while there are some.
class ReceiveBuffer {
  public:
    ReceiveBuffer() = default;
    ReceiveBuffer(ReceiveBuffer&& other) noexcept { swap(other); }
    ReceiveBuffer& operator=(ReceiveBuffer&& other) noexcept {
        ReceiveBuffer taken(std::move(other));
        swap(taken);
        return *this;
    }
    std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
    bool empty() const { return begin_ == end_; }
    size_t size() const { return end_ - begin_; }
    void consume(size_t count) { begin_ += count; }
    // Room for at least one more byte, unless `limit` bytes are unused already: then empty.
    std::span<char> room(size_t limit);
    void received(size_t count) { end_ += count; }
    void release_if_empty();

  private:
    static constexpr size_t kFirstCapacity = 8 * 1024;

    void swap(ReceiveBuffer& other) noexcept {
        std::swap(bytes_, other.bytes_);
        std::swap(capacity_, other.capacity_);
        std::swap(begin_, other.begin_);
        std::swap(end_, other.end_);
    }

    std::unique_ptr<char[]> bytes_;
    size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace millwright::net
