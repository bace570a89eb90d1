// `millwright accounts`: further accounts beside the first one, each with root keys of its own.
#pragma once

#include <string>

#include "programs/server/config.h"

namespace millwright::programs {

struct AccountsArguments {
    bool create = false;  // else: list
    std::string name;     // create
    bool json = false;
};

// What to print. Create prints the secret of the new root keys, which is shown this once. Unavailable: no server runs
// with this data directory.
Result<std::string> accounts_text(const Config& config, const AccountsArguments& arguments);

}  // namespace millwright::programs
