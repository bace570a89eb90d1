// The HTTP/1.1 server: a connection rests in the epoll set of a bounded worker pool until a whole request
// head (and a small body) has arrived; from there handling, streaming and answering are plain blocking code
// with deadlines. A client that sends its head slowly holds no worker. docs/internals/net.md tells more.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/files.h"
#include "net/http.h"
#include "net/tls.h"

namespace millwright::net {

// Separate pools, so that slow uploads or held requests cannot starve the rest.
enum class Pool { Control, Data, Inference };

// The answer to a CONNECT.
struct ConnectDecision {
    // Answered 200; then the connection speaks TLS with this certificate and carries requests to this server.
    std::shared_ptr<const TlsContext> intercept = {};
    // Or: taken over as it is, with what has been received (the CONNECT itself first).
    std::function<void(Fd client, std::string received)> take_over = {};
    // Or: refused, 403 with this text.
    std::string refusal = {};
};

struct ServerSettings {
    std::string address = "127.0.0.1";  // IPv4 or IPv6
    uint16_t port = 9770;               // 0: any free port, see HttpServer::port()
    std::string unix_path = {};         // when set, listen on this unix socket instead (an old file is replaced)
    int control_threads = 64;
    int data_threads = 32;
    int inference_threads = 32;
    // For each worker that waits for a peer (see base/blocking.h) another one is started, up to so many in each pool.
    int max_threads = 1024;
    size_t max_header_bytes = 64 * 1024;
    // More are answered 503. Not more than the process may open files, less a reserve for everything else.
    size_t max_connections = 30'000;
    std::chrono::milliseconds header_deadline{10'000};     // from the first byte of a request to its last header
    std::chrono::milliseconds body_idle_deadline{30'000};  // the longest pause inside a body, either direction
    std::chrono::milliseconds keep_alive{75'000};
    // When set, a connection that begins with a TLS handshake is encrypted; the others stay in the clear. Asked for
    // each connection, so that a certificate can be renewed.
    std::function<std::shared_ptr<const TlsContext>()> tls = {};
    // What becomes of "CONNECT host:port"; refused when empty. Called on a worker, must not block.
    std::function<ConnectDecision(std::string_view authority)> connect = {};
};

class HttpServer {
  public:
    // `choose_pool` looks at method, target and headers only. Both functions are called from many threads.
    static Result<std::unique_ptr<HttpServer>> start(const ServerSettings& settings,
                                                     std::function<Pool(const Request&)> choose_pool, Handler handler);
    // Stops accepting, cuts bodies still being received, lets running handlers end and joins all threads;
    // takes as long as the slowest handler does.
    virtual ~HttpServer() = default;
    virtual uint16_t port() const = 0;  // 0 on a unix socket
};

}  // namespace millwright::net
