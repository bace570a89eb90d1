// CPU time and memory of the hosts of a run, from their control groups where there are some, else from the processes
// themselves.
#pragma once

#include <sys/types.h>

#include <string>

#include "executors/executor.h"
#include "executors/process/control_groups.h"

namespace millwright::executors {

// Of host `name` (see control_group_name); `init` is its first process. Members that cannot be told stay zero.
void measure_host(const ControlGroups& groups, const std::string& name, pid_t init, HostUsage& usage);

}  // namespace millwright::executors
