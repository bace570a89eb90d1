// The HTTP/1.1 grammar: message heads and chunked bodies. Boost.Beast parses behind this interface; on top
// come the rules that keep two parsers from reading one message differently (request smuggling): no
// Content-Length beside Transfer-Encoding, no repeated framing fields, no folded lines, no bare line feeds,
// no coding but "chunked".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace millwright::net {

enum class MessageKind { Request, Response };

struct MessageHead {
    std::string method, target;  // of a request
    int status = 0;              // of a response
    Headers headers;
    bool http_1_0 = false;
    bool keep_alive = true;
    bool chunked = false;
    bool expects_continue = false;
    std::optional<uint64_t> content_length;  // as announced
};

// Finds the end of a head while it arrives: one past its empty line, 0 when it is not there yet. `bytes`
// starts with the head and grows from call to call. InvalidInput as soon as a line is ended or folded in a
// way we refuse.
class HeadScanner {
  public:
    Result<size_t> find_end(std::string_view bytes);

  private:
    size_t line_ = 0;     // start of the line being scanned
    size_t scanned_ = 0;  // no line end before this
};

// REQUIRES: `head` ends with its empty line, as found by a HeadScanner. An absolute-form request target
// becomes a path and replaces the Host field. LimitExceeded: more than kMaxFields fields, or a target beyond
// kMaxTargetBytes.
inline constexpr size_t kMaxFields = 200;
inline constexpr size_t kMaxTargetBytes = 16 * 1024;
Result<MessageHead> parse_head(MessageKind kind, std::string_view head);

// Takes the framing off a chunked body, piece by piece. Chunk extensions and trailer fields are checked and
// dropped.
class ChunkedDecoder {
  public:
    ChunkedDecoder();
    ~ChunkedDecoder();
    ChunkedDecoder(ChunkedDecoder&&) noexcept;
    ChunkedDecoder& operator=(ChunkedDecoder&&) noexcept;

    struct Piece {
        size_t consumed = 0;     // bytes of the input that are done with
        std::string_view data;   // a part of the input, at most `max_data` bytes; may be empty
        bool need_more = false;  // the rest of the input is the beginning of something longer
    };
    // REQUIRES: !finished(), input not empty.
    Result<Piece> next(std::string_view input, size_t max_data);
    bool finished() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// "OK" for 200; "Unknown" for codes nobody knows.
std::string_view reason_phrase(int status);
// Whether a method, or a token in general, may have this character.
bool is_method_character(char c);
// Whether the text may stand in a head without ending a line there.
bool is_field_text(std::string_view text);

}  // namespace millwright::net
