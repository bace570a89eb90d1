// The body of a message as it comes in from a socket.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "net/http.h"
#include "net/http_parser.h"
#include "net/socket.h"

namespace millwright::net {

enum class Framing { None, Length, Chunked, UntilClose };

class IncomingBody : public BodyReader {
  public:
    // REQUIRES: socket and buffer outlive this; the buffer holds what was received after the head.
    IncomingBody(Socket& socket, ReceiveBuffer& buffer, Framing framing, uint64_t length, Pace pace);

    Result<size_t> read(std::span<char> out) override;
    std::optional<uint64_t> length() const override;

    // The client asked for "100 Continue": it is sent before the first read, at once when there is nothing to read, and
    // also when the body has come already. (botocore before 1.44 takes an answer without it for the answer to the next
    // such request on the connection.)
    Result<void> announce_continue();
    bool waits_for_continue() const { return continue_wanted_; }
    void set_pace(Pace pace) { pace_ = pace; }
    bool finished() const { return finished_; }
    bool failed() const { return failed_; }
    // Bytes still to come as far as known; nullopt for chunked bodies.
    std::optional<uint64_t> remaining() const;
    // Reads and drops the rest, at most `limit` bytes within `patience`; true when the end was reached.
    bool drain(uint64_t limit, std::chrono::milliseconds patience);

  private:
    Result<size_t> read_some(std::span<char> out);
    Result<size_t> read_plain(std::span<char> out);
    Result<size_t> read_chunked(std::span<char> out);
    Result<void> send_continue();

    Socket& socket_;
    ReceiveBuffer& buffer_;
    Framing framing_;
    uint64_t length_, remaining_;
    Pace pace_;
    std::optional<ChunkedDecoder> decoder_;
    bool continue_wanted_ = false, finished_ = false, failed_ = false;
};

}  // namespace millwright::net
