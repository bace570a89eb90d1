// The folder of a run. Who owns it: the launcher holds a POSIX lock on <folder>/launch for as long as it lives. The kernel drops
// the lock with the process, so neither reused process ids nor a restart of the machine can mislead anybody.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/files.h"
#include "base/result.h"

namespace millwright::executors {

// The caller owns the run until the descriptor is closed. Conflict: somebody else does. NotFound: there is no run.
// Closing any other descriptor of the file in the same process would drop the lock.
Result<Fd> lock_run(const std::string& folder);
// The process that owns the run, if one does.
std::optional<pid_t> owner_of_run(const std::string& folder);
// After the end: overlayfs leaves folders that their owner may not list, so nobody but root could remove them.
void unlock_layers(const std::string& folder, int hosts, size_t mounts);

}  // namespace millwright::executors
