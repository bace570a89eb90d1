// millwright backup DEST: a copy of the data directory from which a server can be started.
#pragma once

#include <string>

#include "programs/server/config.h"

namespace millwright::programs {

struct BackupArguments {
    std::string destination;
    bool json = false;
};

// What was copied, for people or as JSON. A running server goes on meanwhile. AlreadyExists: there is something.
// On failure nothing is left in the destination.
Result<std::string> make_backup(const Config& config, const BackupArguments& arguments);

}  // namespace millwright::programs
