// One host of a run: the init process (pid 1 of its own namespaces) that builds the private root, executes the command,
// forwards signals to it and ends with it. Its end ends everything the command left behind.
#pragma once

#include <sys/types.h>

#include "base/files.h"
#include "base/result.h"
#include "executors/process/launch_spec.h"

namespace millwright::launcher {

struct HostProcess {
    Fd channel;  // see channel.h
    Fd pidfd;
    Fd output;  // stdout and stderr of the command; not blocking
    pid_t pid = -1;
};

// `trace`: every step is reported as it is done ('T'), for the probe.
enum class Trace { Off, On };

// Makes the process; it works on its own and speaks through `channel`. Dies when the calling thread does.
// With user namespaces the first host makes one; `first`, when it has said 'U', is the process whose namespace the
// others enter: the network of all hosts must belong to one owner. -1 for the first host.
Result<HostProcess> start_host(const executors::LaunchSpec& spec, int host, pid_t first, Trace trace);

// Hides the arguments of this process from the runs, which see it as their pid 1.
void remember_arguments(int argc, char** argv);

}  // namespace millwright::launcher
