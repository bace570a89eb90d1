// millwright check: whether a data directory is sound.
#pragma once

#include <string>

#include "programs/server/config.h"

namespace millwright::programs {

struct CheckArguments {
    bool deep = false, repair_orphans = false, json = false;
};

struct CheckReport {
    std::string text;  // for people, or JSON
    bool sound = false;
};

// Compares the metadata store with itself and with the files. With a server running it is read only, and what that
// server is just writing is no orphan; Conflict: orphans cannot be removed then.
Result<CheckReport> check_data_directory(const Config& config, const CheckArguments& arguments);

}  // namespace millwright::programs
