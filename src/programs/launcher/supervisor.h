// The launcher's life: start the hosts of a run, keep their logs, limits and timers, obey the server, write the record.
//
//   Preparing --all roots ready, networks joined--> Starting --all commands executed--> Running
//   a spare: Starting --interpreters executed--> Waiting --work--> Starting
//   any of them --stop, max runtime, a host fails--> Stopping (SIGTERM) --grace over, kill--> Killed --> record written
#pragma once

#include <string>

#include "base/result.h"
#include "executors/process/launch_spec.h"

namespace millwright::launcher {

// Runs what <folder>/launch says, to its end. `control`: a control connection of the server, `lock`: the lock of
// run_folder.h, both or none. The exit record tells how it went; an error means that no record could be
// written or that the run belongs to another launcher.
Result<void> supervise(const std::string& folder, Fd control, Fd lock);

// Runs `spec` as long as `control` is connected, and keeps no record. The error for people, or nothing.
std::string supervise_unrecorded(executors::LaunchSpec spec, Fd control);

// Performs the recipe with two hosts below `scratch` and prints one line per step: "ok step" or "no step: reason".
// `user_namespace`: as an ordinary user would. The exit status of the launcher: 0 when the recipe works.
int probe(const std::string& scratch, bool user_namespace);

}  // namespace millwright::launcher
