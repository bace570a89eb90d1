// Whether the machine has restarted since a run began. What the run has written and nobody has synced (its model, its
// checkpoints) may then be gone or torn, and nothing about the files themselves says so.
#pragma once

#include <string>

#include "base/result.h"

namespace millwright::resources {

// In the folder of the run, before it begins.
Result<void> note_boot(const std::string& folder);
// Since note_boot(); also when the folder is gone.
bool machine_restarted(const std::string& folder);

}  // namespace millwright::resources
