// Control groups v1, v2 and both at once, as far as a run needs them: one group per host below a parent.
//
// Used by the server (finding, cleaning up) and by the launcher (everything else); plain files, nothing is remembered.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millwright::executors {

struct ControlGroupParent {
    std::string folder;       // "/sys/fs/cgroup/memory/<own group>/millwright"
    std::string controllers;  // "memory", "cpu,cpuacct"; for v2 those that are handed on: "cpu memory pids"
    int version = 1;
};

struct ControlGroups {
    std::vector<ControlGroupParent> parents;

    bool has(std::string_view controller) const;
};

struct ControlGroupLimits {
    double cpus = 1;
    uint64_t memory_bytes = 0;
    int64_t max_processes = 0;
};

// Below the group of this process. Empty when nothing may be created there; `why` then says so.
ControlGroups find_control_groups(std::string& why);

// Makes the group `name` below each parent and sets its limits; parents are made when missing.
Result<void> make_control_group(const ControlGroups& groups, const std::string& name, const ControlGroupLimits& limits);
// Files into which a process writes "0" to enter the group; descriptors, so that they work after a change of root.
Result<std::vector<Fd>> open_control_group(const ControlGroups& groups, const std::string& name);
// Processes of the group that the kernel killed for memory.
uint64_t count_memory_kills(const ControlGroups& groups, const std::string& name);
// CPU time of everything that ran in the group, and the memory it holds now without file cache that nobody uses; zero
// where no group counts it.
std::chrono::milliseconds used_cpu(const ControlGroups& groups, const std::string& name);
uint64_t used_memory(const ControlGroups& groups, const std::string& name);
// Kills what is inside, waits for it (bounded, seconds) and removes the group. Missing is fine.
Result<void> remove_control_group(const ControlGroups& groups, const std::string& name);
// The parents of version 1, where no group is left in them. Those of version 2 keep what was handed on to them.
void remove_empty_parents(const ControlGroups& groups);

}  // namespace millwright::executors
