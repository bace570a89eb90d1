// `millwright jobs …`: looks at and acts on the training jobs of a running server, through its control socket.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "programs/server/config.h"

namespace millwright::programs {

struct JobsArguments {
    enum class Action { List, Show, Stop, Interrupt, Enter, Logs };
    Action action = Action::List;
    std::string name;
    std::string region;                // empty: the server's
    int host = 0;                      // Enter and Logs: 1 is algo-1; 0: the one that failed, else algo-1
    bool follow = false;               // Logs: until the job has ended
    bool json = false;                 // List and Show
    std::vector<std::string> command;  // Enter: instead of a shell
};

// Prints to stdout and returns the exit status. Enter does not return when it works: the shell takes our place.
// Unavailable: no server runs with this data directory. NotFound, Conflict: as the server says.
Result<int> run_jobs_command(const Config& config, const JobsArguments& arguments, const std::string& launcher);

}  // namespace millwright::programs
