#include "aws/content_coding.h"

#include <zlib.h>

#include <array>
#include <limits>

namespace millwright::aws {
namespace {

// One gzip stream's state, freed whatever happens.
class Inflation {
  public:
    Inflation() {
        // 15 window bits, and 16 more for "a gzip header, nothing else".
        ready_ = inflateInit2(&stream, 15 + 16) == Z_OK;
    }
    ~Inflation() {
        if (ready_) inflateEnd(&stream);
    }
    Inflation(const Inflation&) = delete;
    Inflation& operator=(const Inflation&) = delete;
    bool ready() const { return ready_; }

    z_stream stream = {};

  private:
    bool ready_ = false;
};

}  // namespace

Result<std::string> decompress_gzip(std::string_view bytes, size_t limit) {
    Inflation inflation;
    z_stream& stream = inflation.stream;
    if (!inflation.ready() || bytes.size() > std::numeric_limits<uInt>::max())
        return invalid_input("gzip cannot start");
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    std::string out;
    std::array<char, 16 * 1024> piece;
    for (;;) {
        stream.next_out = reinterpret_cast<Bytef*>(piece.data());
        stream.avail_out = piece.size();
        const int state = inflate(&stream, Z_NO_FLUSH);
        if (state != Z_OK && state != Z_STREAM_END) return invalid_input("the body is not gzip, or is cut short");
        out.append(piece.data(), piece.size() - stream.avail_out);
        if (out.size() > limit)
            return Error{ErrorKind::LimitExceeded, "the body unpacks to more than " + std::to_string(limit) + " bytes",
                         ""};
        if (state != Z_STREAM_END) continue;
        if (stream.avail_in == 0) return out;
        if (inflateReset(&stream) != Z_OK) return invalid_input("gzip cannot go on");
    }
}

}  // namespace millwright::aws
