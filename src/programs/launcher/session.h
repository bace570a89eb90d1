// Shells that somebody opens in a host that lives: made by its init, so they are in the same namespaces, control groups
// and sandbox as the command.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

#include "executors/process/launch_spec.h"
#include "programs/launcher/channel.h"

namespace millwright::launcher {

// Messages 'H' and 'K' of the supervisor begin with it, 'M', 'F' and 'Q' of the init too.
struct SessionHead {
    int32_t ticket = 0;
    int32_t status = 0;  // 'Q': as of waitpid
};

class Sessions {
  public:
    Sessions(const executors::LaunchSpec& spec, int host, int channel) : spec_(spec), host_(host), channel_(channel) {}

    // 'H': begins one, 'K': kills one; others are not ours.
    void handle(const Message& message);
    // A process has ended: 'Q' when it was a session.
    void ended(pid_t pid, int status);

  private:
    void begin(const Message& message);
    Result<pid_t> start(const Message& message, Fd& master);

    const executors::LaunchSpec& spec_;
    int host_, channel_;
    std::map<pid_t, int32_t> tickets_;
};

}  // namespace millwright::launcher
