// `millwright environments …`: the Python environments that stand in for framework images. Works on the data directory
// itself, with or without a server beside it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "programs/server/config.h"

namespace millwright::programs {

struct EnvironmentsArguments {
    enum class Action { List, Build, Show, Remove };
    Action action = Action::List;
    std::vector<std::string> names;  // see resources::image_of_environment_name; Show and Remove also take ids
    std::string requirements;        // Build: file of a requirements.txt to put on top
    bool json = false;               // List and Show
};

// Prints to stdout, progress to stderr. `programs` is the folder of our programs. Conflict: interrupted, or in use.
Result<void> run_environments_command(const Config& config, const EnvironmentsArguments& arguments,
                                      const std::string& programs);

}  // namespace millwright::programs
