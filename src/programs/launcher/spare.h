// A host that stands ready before it has work: its interpreter runs, without privileges, while the init keeps what it
// takes to add the mounts of the work later.
//
//   mount namespace "machine": the machine as at the start, seen by nobody until the work comes
//   mount namespace "inside":  the private root, where the interpreter lives and the command will
#pragma once

#include <sys/types.h>

#include "base/files.h"
#include "base/result.h"
#include "executors/process/launch_spec.h"

namespace millwright::launcher {

struct MachineView {
    Fd space, root;
};
// Moves this process into a copy of its mount namespace and keeps the old one. Before enter_private_root().
Result<MachineView> keep_machine_view();

// Executes spec.command as the work's command will be: in the control groups and limits of this process, without its
// privileges and descriptors. Its output goes nowhere.
Result<pid_t> start_interpreter(const executors::LaunchSpec& spec, int host);

// Waits for the work ('W' on `channel`), reaping what ends. NotFound: the interpreter or the supervisor has ended.
// `signals`: a signalfd that shows SIGCHLD.
Result<executors::LaunchSpec> await_work(const executors::LaunchSpec& spec, pid_t interpreter, int channel,
                                         int signals);

// Adds /opt/ml and the mounts of `work` that `spec` lacks, and moves on into `inside` (where this process was).
Result<void> attach_work(const executors::LaunchSpec& spec, const executors::LaunchSpec& work, int host,
                         const MachineView& machine);

}  // namespace millwright::launcher
