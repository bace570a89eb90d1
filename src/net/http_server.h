// The HTTP/1.1 server: one epoll thread parks idle keep-alive connections and hands readable ones to bounded worker
// pools, where parsing, handling and answering are plain blocking code with deadlines.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "net/http.h"

namespace millwright::net {

// Separate pools, so that slow uploads or held requests cannot starve the rest.
enum class Pool { Control, Data, Inference };

struct ServerSettings {
    std::string address = "127.0.0.1";
    uint16_t port = 9770;  // 0: any free port, see HttpServer::port()
    int control_threads = 64;
    int data_threads = 32;
    int inference_threads = 32;
    size_t max_header_bytes = 64 * 1024;
    size_t max_connections = 10000;
    std::chrono::milliseconds header_deadline{10'000};  // from the first byte of a request to its last header
    std::chrono::milliseconds body_idle_deadline{30'000};  // the longest pause inside a body, either direction
    std::chrono::milliseconds keep_alive{75'000};
};

class HttpServer {
  public:
    // `choose_pool` looks at method, target and headers only. Both functions are called from many threads.
    static Result<std::unique_ptr<HttpServer>> start(const ServerSettings& settings,
                                                     std::function<Pool(const Request&)> choose_pool, Handler handler);
    virtual ~HttpServer() = default;  // stops accepting, lets running requests end (bounded), joins all threads
    virtual uint16_t port() const = 0;
};

}  // namespace millwright::net
