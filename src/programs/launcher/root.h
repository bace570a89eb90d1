// The private file system of a host: what of the machine it sees, and what is its own.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "executors/process/launch_spec.h"

namespace millwright::launcher {

// Builds the root below <folder>/<algo-N>/root and moves into it; afterwards "/" is the private root and nothing else
// of the machine is reachable. REQUIRES: own mount, pid and uts namespaces. Everything happens in the mount namespace,
// so it vanishes with it.
Result<void> enter_private_root(const executors::LaunchSpec& spec, int host);

}  // namespace millwright::launcher
