#include "programs/feeder/gunzip.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

namespace millwright::feeder {

namespace {
constexpr size_t kInputBytes = size_t{64} << 10;
constexpr int kGzipOnly = 16 + MAX_WBITS;
}  // namespace

struct Gunzip::State {
    z_stream stream{};
    bool started = false;  // of the current member something was read
    bool any = false;      // a member has been read to its end
    bool done = false;
    std::array<char, kInputBytes> input;
};

Gunzip::Gunzip(Fd file) : file_(std::move(file)), state_(std::make_unique<State>()) {}

Gunzip::~Gunzip() { inflateEnd(&state_->stream); }

Result<std::unique_ptr<Gunzip>> Gunzip::open(Fd file) {
    std::unique_ptr<Gunzip> made(new Gunzip(std::move(file)));
    if (inflateInit2(&made->state_->stream, kGzipOnly) != Z_OK) return internal_error("no memory to decompress");
    return made;
}

Result<bool> Gunzip::refill() {
    auto& stream = state_->stream;
    ssize_t got = 0;
    do got = ::read(file_.get(), state_->input.data(), state_->input.size());
    while (got < 0 && errno == EINTR);
    if (got < 0) return error_from_errno("cannot read compressed data");
    stream.next_in = reinterpret_cast<Bytef*>(state_->input.data());
    stream.avail_in = static_cast<uInt>(got);
    return got > 0;
}

Result<size_t> Gunzip::read(std::span<char> buffer) {
    auto& state = *state_;
    auto& stream = state.stream;
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    const auto room = std::min<size_t>(buffer.size(), std::numeric_limits<uInt>::max());
    stream.avail_out = static_cast<uInt>(room);
    while (!state.done && stream.avail_out == room) {
        if (stream.avail_in == 0) {
            const bool more = TRY(refill());
            if (!more && (state.started || !state.any)) return invalid_input("it is cut off");
            if (!more) {
                state.done = true;
                break;
            }
        }
        if (!state.started && state.any && *stream.next_in == 0) {  // padding between or after members
            ++stream.next_in;
            --stream.avail_in;
            continue;
        }
        state.started = true;
        const int code = inflate(&stream, Z_NO_FLUSH);
        if (code == Z_STREAM_END) {
            state.any = true;
            state.started = false;
            if (inflateReset(&stream) != Z_OK) return internal_error("cannot restart decompression");
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            return invalid_input(code == Z_DATA_ERROR && stream.msg ? stream.msg : "it is not gzip");
        }
    }
    return room - stream.avail_out;
}

}  // namespace millwright::feeder
