// Answers as bytes on a socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/http.h"
#include "net/http_body.h"
#include "net/http_parser.h"
#include "net/socket.h"

namespace millwright::net {

class HttpWriter : public ResponseWriter {
  public:
    // REQUIRES: all of them outlive this. `may_keep_alive` is false when the server is about to stop.
    HttpWriter(Socket& socket, const MessageHead& request, const IncomingBody& body, std::chrono::milliseconds idle,
               bool may_keep_alive);

    Result<void> send(int status, const Headers& headers, std::string_view body) override;
    Result<void> send_file(int status, const Headers& headers, int fd, uint64_t offset, uint64_t length) override;
    Result<void> send_headers_only(int status, const Headers& headers, uint64_t content_length) override;
    Result<void> start(int status, const Headers& headers) override;
    Result<void> write(std::string_view bytes) override;
    Result<void> finish() override;
    bool answered() const override { return state_ != State::Nothing; }

    // The answer is complete and the connection may carry another one.
    bool reusable() const { return state_ == State::Complete && keep_alive_; }
    bool complete() const { return state_ == State::Complete; }
    bool broken() const { return state_ == State::Broken; }

    // An unread body up to this size is read and dropped so that the connection lives on.
    static constexpr uint64_t kDrainLimit = 1 << 20;

  private:
    enum class State { Nothing, Streaming, Complete, Broken };

    Result<std::string> make_head(int status, const Headers& headers, std::string_view framing);
    Result<void> check_streaming() const;
    Result<void> conclude(Result<void> outcome);

    Socket& socket_;
    const MessageHead& request_;
    const IncomingBody& body_;
    std::chrono::milliseconds idle_;
    bool keep_alive_;
    State state_ = State::Nothing;
};

}  // namespace millwright::net
