#include "net/socket.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/blocking.h"
#include "net/tls.h"

namespace millwright::net {
namespace {

constexpr size_t kSendFileStep = size_t{1} << 20;
// Waits of this length are part of ordinary traffic; beyond it another worker takes over.
constexpr std::chrono::milliseconds kShortWait{5};
constexpr size_t kTlsRecord = 16 * 1024;
constexpr size_t kTlsFileStep = 8 * kTlsRecord;

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

Error broken_connection(std::string what) {
    Error error = error_from_errno(std::move(what));
    error.kind = ErrorKind::Unavailable;
    return error;
}

// False when the time is up.
Result<bool> wait_until(int fd, short events, std::chrono::steady_clock::time_point end) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0) return false;
        pollfd entry{fd, events, 0};
        const int ready = ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left.count(), 1 << 30)));
        if (ready < 0 && errno != EINTR) return broken_connection("cannot wait for the connection");
        if (ready > 0) return true;
    }
}

// sendfile(2) knows no MSG_NOSIGNAL. The signal is blocked in this thread and taken away again if it came.
class WithoutBrokenPipeSignal {
  public:
    WithoutBrokenPipeSignal() {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    ~WithoutBrokenPipeSignal() {
        if (sigismember(&before_, SIGPIPE)) return;
        const timespec now{};
        while (sigtimedwait(&pipe_, nullptr, &now) >= 0) {
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    WithoutBrokenPipeSignal(const WithoutBrokenPipeSignal&) = delete;
    WithoutBrokenPipeSignal& operator=(const WithoutBrokenPipeSignal&) = delete;

  private:
    sigset_t pipe_, before_;
};

}  // namespace

Error timeout_error(std::string what) { return Error{ErrorKind::Unavailable, std::move(what), std::string(kTimeout)}; }

void Pace::moved(size_t bytes) {
    const auto earned = std::chrono::microseconds(static_cast<int64_t>(bytes) * 1'000'000 / kSlowestBytesPerSecond);
    budget_ = std::min<std::chrono::microseconds>(budget_ + earned, idle_);
}

Result<void> Pace::wait(int fd, short events) {
    const Blocking blocking;
    const auto started = std::chrono::steady_clock::now();
    const auto end = started + std::min<std::chrono::microseconds>(budget_, idle_);
    bool ready = TRY(wait_until(fd, events, std::min(end, started + kShortWait)));
    if (!ready && end > started + kShortWait) {
        const Blocking pause(Blocking::Wait::Long);
        ready = TRY(wait_until(fd, events, end));
    }
    if (!ready) return timeout_error("the peer is too slow");
    budget_ -= std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started);
    return {};
}

Socket::Socket() = default;
Socket::Socket(Fd fd) : fd_(std::move(fd)) {}
Socket::~Socket() = default;
Socket::Socket(Socket&&) noexcept = default;
Socket& Socket::operator=(Socket&&) noexcept = default;

Fd Socket::release() {
    CHECK(!tls_);
    return std::move(fd_);
}

Result<void> Socket::start_tls(std::shared_ptr<const TlsContext> context) {
    tls_ = TRY(TlsStream::accept(std::move(context), fd()));
    return {};
}

Result<bool> Socket::handshake() { return tls_->handshake(); }

short Socket::wanted_events() const { return tls_ ? tls_->wanted_events() : static_cast<short>(POLLIN); }

void Socket::finish_sending() {
    if (tls_) tls_->finish_sending();
    ::shutdown(fd(), SHUT_WR);
}

Result<std::optional<size_t>> Socket::receive_now(std::span<char> buffer) {
    if (tls_) return tls_->read(buffer);
    for (;;) {
        const ssize_t got = ::recv(fd(), buffer.data(), buffer.size(), 0);
        if (got >= 0) return std::optional<size_t>(static_cast<size_t>(got));
        if (would_block()) return std::optional<size_t>();
        if (errno != EINTR) return broken_connection("the connection broke");
    }
}

Result<size_t> Socket::receive(std::span<char> buffer, Pace& pace) {
    for (;;) {
        if (const auto got = TRY(receive_now(buffer))) {
            pace.moved(*got);
            return *got;
        }
        TRY(pace.wait(fd(), wanted_events()));
    }
}

Result<void> Socket::send_encrypted(std::string_view bytes, Pace& pace) {
    while (!bytes.empty()) {
        if (const auto put = TRY(tls_->write(bytes.substr(0, kTlsRecord)))) {
            pace.moved(*put);
            bytes.remove_prefix(*put);
        } else {
            TRY(pace.wait(fd(), tls_->wanted_events()));
        }
    }
    return {};
}

Result<void> Socket::send(std::string_view first, std::string_view second, Pace& pace, bool more_follows) {
    if (tls_) {
        // One record, and so one segment, where both fit.
        if (!second.empty() && first.size() + second.size() <= kTlsRecord)
            return send_encrypted(std::string(first).append(second), pace);
        TRY(send_encrypted(first, pace));
        return send_encrypted(second, pace);
    }
    const int flags = MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0);
    while (!first.empty() || !second.empty()) {
        iovec parts[2] = {{const_cast<char*>(first.data()), first.size()},
                          {const_cast<char*>(second.data()), second.size()}};
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        const ssize_t sent = ::sendmsg(fd(), &message, flags);
        if (sent < 0) {
            if (would_block()) {
                TRY(pace.wait(fd(), POLLOUT));
            } else if (errno != EINTR) {
                return broken_connection("the connection broke");
            }
            continue;
        }
        pace.moved(static_cast<size_t>(sent));
        const size_t of_first = std::min(static_cast<size_t>(sent), first.size());
        first.remove_prefix(of_first);
        second.remove_prefix(static_cast<size_t>(sent) - of_first);
    }
    return {};
}

Result<void> Socket::send_file_encrypted(int file, uint64_t offset, uint64_t length, Pace& pace) {
    const auto buffer = std::make_unique_for_overwrite<char[]>(kTlsFileStep);
    while (length > 0) {
        const ssize_t got = ::pread(file, buffer.get(), static_cast<size_t>(std::min<uint64_t>(length, kTlsFileStep)),
                                    static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_from_errno("cannot read the file");
        if (got == 0) return internal_error("the file is shorter than announced");
        TRY(send_encrypted({buffer.get(), static_cast<size_t>(got)}, pace));
        offset += static_cast<uint64_t>(got);
        length -= static_cast<uint64_t>(got);
    }
    return {};
}

Result<void> Socket::send_file(int file, uint64_t offset, uint64_t length, Pace& pace) {
    if (tls_) return send_file_encrypted(file, offset, length, pace);
    const WithoutBrokenPipeSignal quiet;
    auto position = static_cast<off_t>(offset);
    while (length > 0) {
        const ssize_t sent =
            ::sendfile(fd(), file, &position, static_cast<size_t>(std::min<uint64_t>(length, kSendFileStep)));
        if (sent > 0) {
            pace.moved(static_cast<size_t>(sent));
            length -= static_cast<uint64_t>(sent);
        } else if (sent == 0) {
            return internal_error("the file is shorter than announced");
        } else if (would_block()) {
            TRY(pace.wait(fd(), POLLOUT));
        } else if (errno != EINTR) {
            return broken_connection("cannot send the file");
        }
    }
    return {};
}

std::span<char> ReceiveBuffer::room(size_t limit) {
    if (size() >= limit) return {};
    if (begin_ > 0) {
        std::memmove(bytes_.get(), bytes_.get() + begin_, size());
        end_ -= begin_;
        begin_ = 0;
    }
    if (end_ == capacity_) {
        const size_t capacity = std::max(kFirstCapacity, capacity_ * 2);
        auto larger = std::make_unique_for_overwrite<char[]>(capacity);
        if (end_ > 0) std::memcpy(larger.get(), bytes_.get(), end_);
        bytes_ = std::move(larger);
        capacity_ = capacity;
    }
    return {bytes_.get() + end_, std::min(capacity_ - end_, limit - size())};
}

void ReceiveBuffer::release_if_empty() {
    if (!empty()) return;
    bytes_.reset();
    capacity_ = begin_ = end_ = 0;
}

}  // namespace millwright::net
