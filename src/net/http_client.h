// A small blocking HTTP/1.1 client with kept-alive connections, for replicas behind unix sockets or loopback
// ports.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "net/http.h"

namespace millwright::net {

struct ClientResponse {
    int status = 0;
    Headers headers;
    std::string body;
};

// One peer. Thread-safe: each call takes an idle connection or opens one.
class HttpClient {
  public:
    static std::unique_ptr<HttpClient> unix_socket(std::string path);
    static std::unique_ptr<HttpClient> tcp(std::string address, uint16_t port);
    virtual ~HttpClient() = default;

    // The deadline covers everything. Unavailable: could not connect, or the peer closed before answering (a
    // request on a stale kept-alive connection is retried once on a fresh one). Error detail "timeout" when
    // the time was up. LimitExceeded when the answer is larger than `max_body`.
    virtual Result<ClientResponse> call(std::string_view method, std::string_view target, const Headers& headers,
                                        std::string_view body, std::chrono::milliseconds timeout,
                                        size_t max_body = size_t{256} << 20) = 0;
};

}  // namespace millwright::net
