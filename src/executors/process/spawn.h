// Starting the launcher without forking the server: posix_spawn shares the memory until exec.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace millwright::executors {

// A session of its own, an empty environment, no signal blocked or ignored, no descriptor but these.
struct SpawnRequest {
    std::vector<std::string> arguments;  // [0] is the absolute path of the program
    int output = -1;                     // becomes 1 and 2; -1: /dev/null
    int control = -1;                    // becomes kInheritedControl; -1: none
    int lock = -1;                       // becomes kInheritedLock; -1: none
};
Result<pid_t> spawn(const SpawnRequest& request);

}  // namespace millwright::executors
