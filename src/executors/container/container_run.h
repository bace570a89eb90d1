// The life of one run as containers: from its start, or its adoption by a restarted server, to its outcome.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "executors/container/container_spec.h"
#include "executors/container/gates.h"
#include "executors/container/run_record.h"
#include "executors/executor.h"

namespace millwright::executors {

// What all runs of an engine share; outlives them.
struct RunParts {
    EngineClient& engine;
    Gates& gates;
    const ContainerSettings& settings;
    std::string owner;  // of the label that marks our containers
    // Blocks until the engine has been looked at, and until leftovers of former servers are gone.
    std::function<Result<EngineTraits>()> traits;
};

// Thread-safe.
class ContainerRun {
  public:
    // `done` is called once, after run_ended, from a thread of the run, which only its destructor waits for.
    using Done = std::function<void(const std::string& id)>;
    // REQUIRES: check_container_spec().
    static std::unique_ptr<ContainerRun> start(const RunParts& parts, const RunSpec& spec, RunListener& listener,
                                               Done done);
    static std::unique_ptr<ContainerRun> adopt(const RunParts& parts, const std::string& id, const std::string& folder,
                                               RunListener& listener, Done done);
    // Lets go of it: containers that run go on running.
    virtual ~ContainerRun() = default;

    virtual void request_stop() = 0;
    virtual void kill() = 0;
    virtual Result<std::vector<HostUsage>> usage() = 0;
    virtual Result<std::string> served_at(int host) = 0;
};

// What is to be removed of a run once it is over; its folder may be gone by then.
struct RunRemains {
    std::string id;
    std::optional<RunRecord> record;
};
RunRemains remains_of(const std::string& id, const std::string& folder);
// Removes what the record and the labels name: containers, gates, network, companions. Fine when it is gone; after an
// error as much as possible is.
Result<void> remove_run(const RunParts& parts, const RunRemains& remains);

}  // namespace millwright::executors
