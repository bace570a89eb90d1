#include "net/http_body.h"

#include <algorithm>
#include <cstring>

namespace millwright::net {
namespace {

// The longest chunk header or trailer that is waited for.
constexpr size_t kMaxChunkedBuffer = 64 * 1024;

Error cut_short() { return invalid_input("the body is cut short"); }

}  // namespace

IncomingBody::IncomingBody(Socket& socket, ReceiveBuffer& buffer, Framing framing, uint64_t length, Pace pace)
    : socket_(socket), buffer_(buffer), framing_(framing), length_(length), remaining_(length), pace_(pace) {
    if (framing == Framing::Chunked) decoder_.emplace();
    finished_ = framing == Framing::None || (framing == Framing::Length && length == 0);
}

std::optional<uint64_t> IncomingBody::length() const {
    if (framing_ == Framing::None) return 0;
    return framing_ == Framing::Length ? std::optional(length_) : std::nullopt;
}

std::optional<uint64_t> IncomingBody::remaining() const {
    if (finished_) return 0;
    return framing_ == Framing::Length ? std::optional(remaining_) : std::nullopt;
}

Result<size_t> IncomingBody::read(std::span<char> out) {
    if (finished_ || out.empty()) return size_t{0};
    if (failed_) return cut_short();
    if (continue_wanted_) TRY(send_continue());
    auto got = read_some(out);
    failed_ = !got;
    return got;
}

Result<size_t> IncomingBody::read_some(std::span<char> out) {
    return framing_ == Framing::Chunked ? read_chunked(out) : read_plain(out);
}

Result<void> IncomingBody::announce_continue() {
    continue_wanted_ = true;
    return finished_ ? send_continue() : Result<void>();
}

Result<void> IncomingBody::send_continue() {
    continue_wanted_ = false;
    auto sent = socket_.send("HTTP/1.1 100 Continue\r\n\r\n", "", pace_);
    failed_ = !sent;
    return sent;
}

Result<size_t> IncomingBody::read_plain(std::span<char> out) {
    if (framing_ == Framing::Length) out = out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), remaining_)));
    size_t got = std::min(out.size(), buffer_.size());
    if (got > 0) {
        std::memcpy(out.data(), buffer_.view().data(), got);
        buffer_.consume(got);
    } else {
        // Straight into the caller's memory: big uploads are copied once.
        got = TRY(socket_.receive(out, pace_));
        if (got == 0 && framing_ == Framing::Length) return cut_short();
    }
    remaining_ -= framing_ == Framing::Length ? got : 0;
    finished_ = framing_ == Framing::Length ? remaining_ == 0 : got == 0;
    return got;
}

Result<size_t> IncomingBody::read_chunked(std::span<char> out) {
    for (;;) {
        while (!buffer_.empty()) {
            const auto piece = TRY(decoder_->next(buffer_.view(), out.size()));
            if (!piece.data.empty()) std::memcpy(out.data(), piece.data.data(), piece.data.size());
            buffer_.consume(piece.consumed);
            finished_ = decoder_->finished();
            if (finished_ || !piece.data.empty()) return piece.data.size();
            if (piece.need_more) break;
        }
        const auto room = buffer_.room(kMaxChunkedBuffer);
        if (room.empty()) return invalid_input("broken chunked body: a line is too long");
        const size_t got = TRY(socket_.receive(room, pace_));
        if (got == 0) return cut_short();
        buffer_.received(got);
    }
}

bool IncomingBody::drain(uint64_t limit, std::chrono::milliseconds patience) {
    if (!finished_ && (failed_ || continue_wanted_ || remaining().value_or(0) > limit)) return false;
    pace_ = Pace(patience);
    char scratch[16 * 1024];
    uint64_t dropped = 0;
    const auto give_up = std::chrono::steady_clock::now() + patience;
    while (!finished_) {
        const auto got = read(scratch);
        if (!got || (dropped += *got) > limit || std::chrono::steady_clock::now() > give_up) return false;
    }
    return true;
}

}  // namespace millwright::net
