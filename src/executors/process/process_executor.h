// Runs as processes in namespaces, each under a small launcher that outlives the server.
//
// docs/internals/process_executor.md describes the recipe and the files that lie in the folder of a run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "executors/executor.h"
#include "executors/process/probe.h"

namespace millwright::executors {

struct ProcessSettings {
    std::string launcher;  // absolute path of millwright-launcher
    Probe probe;           // of probe_machine(); with tier None every start() is refused with its reason
    // Host folders that no run may see even when they lie below a visible one such as /usr or /opt: the server's data.
    // What a run itself mounts (RunSpec::mounts, the command's folder) stays visible.
    std::vector<std::string> hidden_paths;
    // Free space that runs leave to the server and the machine: one that still writes when less is left is stopped as
    // out of disk. On small disks at most a twentieth of the disk counts.
    uint64_t disk_reserve_bytes = uint64_t{1} << 30;
};

// Destroying the executor leaves its runs alive; another one adopts them.
std::unique_ptr<Executor> make_process_executor(ProcessSettings settings);

}  // namespace millwright::executors
