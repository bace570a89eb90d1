// Follows one container: its log, by one request that lasts as long as the container, and its end, by another. Requests
// that break because the engine restarts are made again when it is back.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "executors/container/engine_client.h"
#include "executors/executor.h"

namespace millwright::executors {

struct HostEnd {
    HostOutcome outcome;
    int64_t ended_ms = 0;
    bool lost = false;  // gone, or ended by its engine
    std::string lost_reason;
};

// Thread-safe.
class HostWatch {
  public:
    struct Settings {
        std::string container, log_file, position_file;
        uint64_t max_log_bytes = 0;
        bool ends_with_engine = true;  // an engine that restarts ends its containers
    };
    // `news` is called from threads of the watch: the container has started, or has ended and its log is written.
    static std::unique_ptr<HostWatch> begin(EngineClient& engine, Settings settings, std::function<void()> news);
    // Stops following, at once.
    virtual ~HostWatch() = default;

    virtual int64_t started_ms() const = 0;  // 0: not known yet
    virtual std::optional<HostEnd> end() const = 0;
};

// From the answer of /containers/<id>/json. 0: not yet.
int64_t started_ms_of(const Json& container);
int64_t ended_ms_of(const Json& container);

}  // namespace millwright::executors
