// Executing programs: the command of a host, by its init, and companions, by the supervisor.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "executors/process/launch_spec.h"
#include "programs/launcher/image_user.h"

namespace millwright::launcher {

// Descriptors that become 0, 1 and 2. With `terminal` they are one terminal that becomes the controlling one.
struct Standard {
    int in = 0, out = 1, err = 2;
    bool terminal = false;
};

struct Program {
    std::string path;
    std::vector<std::string> arguments, environment;
    Standard standard;
    bool dies_with_us = false;        // SIGKILL when the calling thread ends
    const ImageUser* user = nullptr;  // who it becomes; null: who we are
};

// In a session of its own, with no signal blocked. NotFound when it cannot be executed: "cannot execute <name>: why".
Result<pid_t> spawn(const Program& program, const std::string& name);

// In a session of its own. `command[0]` is looked up on the PATH of `environment`; HOSTNAME is added where it is
// missing, and HOME where `user` is not null. NotFound names what cannot be executed.
Result<pid_t> execute(const std::vector<std::string>& command, std::vector<std::string> environment, int host,
                      const Standard& standard, const ImageUser* user = nullptr);

}  // namespace millwright::launcher
