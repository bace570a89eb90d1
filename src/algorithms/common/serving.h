// The serving shell: an HTTP/1.1 server for GET /ping, POST /invocations and GET /execution-parameters.
//
// Anything else is 404, a known path with another method 405, a body over the limit 413. Connections are kept alive.
// A few worker threads share all connections: any worker takes the next readable one, so a long invocation holds up one
// worker, not the connections that happen to sit with it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms {

struct ServeRequest {
    std::string_view content_type;       // verbatim, parameters included; empty when absent
    std::string_view accept;             // verbatim; empty when absent
    std::string_view custom_attributes;  // X-Amzn-SageMaker-Custom-Attributes
    std::string_view body;
};

struct ServeReply {
    int status = 200;
    std::string content_type;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;  // further ones

    static ServeReply text(int status_code, std::string message);
};

// A loaded model. invoke() is called from several threads at once.
class ServedModel {
  public:
    virtual ~ServedModel() = default;
    virtual ServeReply invoke(const ServeRequest& request) const = 0;
    // Body of GET /execution-parameters.
    virtual std::string execution_parameters() const;
};

struct ServeOptions {
    std::string unix_socket;  // of any length; used when not empty
    std::string address = "0.0.0.0";
    uint16_t port = 8080;  // 0 = any free one (tests)
    unsigned workers = 0;  // 0 = one per processor, at least two
    size_t max_body_bytes = size_t{25} << 20;
    size_t max_connections = 4096;

    // MILLWRIGHT_SERVE_SOCKET, else port SAGEMAKER_BIND_TO_PORT.
    static Result<ServeOptions> from_environment();
};

class InferenceServer {
  public:
    // Listens and answers from then on. `model` must live longer than the server.
    static Result<std::unique_ptr<InferenceServer>> start(const ServedModel& model, const ServeOptions& options);
    // Finishes the requests being worked on and closes the rest.
    virtual ~InferenceServer() = default;
    virtual uint16_t port() const = 0;
};

// Serves until SIGTERM or SIGINT, whose handlers it sets. At most one call at a time.
Result<void> serve_until_signal(const ServedModel& model, const ServeOptions& options);

}  // namespace millwright::algorithms
