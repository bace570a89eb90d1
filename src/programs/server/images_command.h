// `millwright images list|alias|import|remove`: what images there are and what their names stand for. Aliases and
// imported files are in the data directory, with or without a server beside it; what the registry has is asked of the
// server that runs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "programs/server/config.h"

namespace millwright::programs {

struct ImagesArguments {
    enum class Action { List, Alias, Import, Remove };
    Action action = Action::List;
    std::string name, target;        // Alias: with neither, all are shown. Import: what to call it, or empty
    std::string file;                // Import
    std::vector<std::string> names;  // Remove
    bool remove = false;             // Alias: `name` stands for itself again
    bool unused = false;             // Remove: unpacked layers that no run needs
    bool json = false;               // List
};

// Prints to stdout, progress to stderr.
Result<void> run_images_command(const Config& config, const ImagesArguments& arguments);

}  // namespace millwright::programs
