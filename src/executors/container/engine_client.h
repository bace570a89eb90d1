// The Docker Engine API over a unix socket, as far as we use it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "executors/container/container_runtime.h"
#include "net/http_client.h"

namespace millwright::executors {

// Thread-safe. Errors carry the engine's own message: NotFound (404), Conflict (409), InvalidInput (400), Denied (401,
// 403), Internal (5xx); Unavailable when the engine does not answer.
class EngineClient {
  public:
    explicit EngineClient(const std::string& socket);

    const std::string& socket() const { return socket_; }
    // Asked once and remembered.
    Result<FoundEngine> about();

    Result<Json> get(const std::string& target, std::chrono::milliseconds timeout = std::chrono::minutes(1));
    // A 304 (it is so already) is fine. `timeout`: of the whole call.
    Result<Json> post(const std::string& target, const Json& body = Json(),
                      std::chrono::milliseconds timeout = std::chrono::minutes(2));
    Result<Json> post_tar(const std::string& target, std::string_view tar);
    // Fine when it is gone already.
    Result<void> remove(const std::string& target);

    // For answers that come while something happens, without a limit of time. `piece` returns false to end it.
    using Piece = std::function<bool(std::string_view)>;
    Result<void> stream(std::string_view method, const std::string& target, const net::Headers& headers,
                        const Piece& piece, net::Interrupt* interrupt = nullptr);
    // The same for JSON documents one after the other.
    Result<void> stream_documents(std::string_view method, const std::string& target, const net::Headers& headers,
                                  const std::function<bool(const Json&)>& document,
                                  net::Interrupt* interrupt = nullptr);

  private:
    Result<Json> call(std::string_view method, const std::string& target, const net::Headers& headers,
                      std::string_view body, std::chrono::milliseconds timeout);

    const std::string socket_;
    const std::unique_ptr<net::HttpClient> http_;
    Mutex mutex_;
    std::optional<FoundEngine> about_ GUARDED_BY(mutex_);
};

// A filter of lists and events: {"label":["name=value"]}, percent-encoded.
std::string label_filter(std::string_view name, std::string_view value);

}  // namespace millwright::executors
