// What the processes of a run may not do, beyond not seeing the machine.
#pragma once

#include "base/result.h"
#include "executors/process/launch_spec.h"

namespace millwright::launcher {

// Open files, core dumps, locked memory; processes and CPUs where no control group limits them.
Result<void> set_resource_limits(const executors::LaunchSpec& spec, int host);
// For this process and all it starts: few capabilities, no new privileges, and a filter without the system calls that
// reach the kernel's settings (mounts, namespaces, modules, keys, bpf, tracing of the machine, foreign address
// families).
Result<void> drop_privileges();

}  // namespace millwright::launcher
