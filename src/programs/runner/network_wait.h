// Waits until the other hosts of a job can be reached. Names come from /etc/hosts, which the executor writes complete,
// so the common case costs one read; other names are asked of the system's resolver by a program of its own, because a
// static program cannot load it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "script_mode/distribution.h"

namespace millwright::runner {

// Writes what another resolver knows to /etc/hosts, where it can. Unavailable: a name has no address in `limit`.
// Conflict: the job is to stop.
Result<void> wait_for_names(const std::vector<std::string>& hosts, std::chrono::seconds limit);
// Unavailable: nobody listens there within the peer's limit. Conflict: the job is to stop.
Result<void> wait_for_peer(const script_mode::Peer& peer);

}  // namespace millwright::runner
