// The network of a run with several hosts: a bridge of the engine's, without a way out.
#pragma once

#include <string>

#include "base/result.h"
#include "executors/container/container_run.h"

namespace millwright::executors {

struct RunNetwork {
    std::string id;
    std::string gateway;  // this machine's address in it, which the hosts may not reach
};

// Of up to 126 hosts, at addresses that no route of this machine knows.
Result<RunNetwork> make_run_network(const RunParts& parts, const std::string& run);
// Whatever has the label of the run. REQUIRES: its containers are gone.
Result<void> remove_run_networks(const RunParts& parts, const std::string& run);

}  // namespace millwright::executors
