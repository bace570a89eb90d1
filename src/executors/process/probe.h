// What this machine lets us do: found out by really doing it once, never from version numbers or sysctls.
//
// `millwright-launcher --probe` performs the whole recipe of a run (namespaces, private root, overlay, network,
// sandbox) as a run would and says how far it came; control groups are tried from the calling process.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/process/control_groups.h"

namespace millwright::executors {

struct ProbeSettings {
    std::string launcher;  // absolute path of millwright-launcher
    std::string scratch;   // folder on the disk of the runs; exists, is left as it was
};

// T1: namespaces below a user namespace with one id. T1r: namespaces made by root. None: runs are refused.
enum class Tier { None, T1, T1r };

struct Probe {
    Tier tier = Tier::None;
    bool overlay = false;          // overlayfs on `scratch`; otherwise Mount::Mode::Overlay copies
    bool network = false;          // hosts can be joined; otherwise runs of several hosts are refused
    ControlGroups control_groups;  // empty: resource limits, CPU affinity and a watchdog take their place
    std::string missing;           // tier None: what does not work, for people
    // {"tier", "steps": [{"tier","step","ok","error"?}…], "overlay", "network", "limits", "cgroups": […], "missing"?}
    Json report;
};

// Takes some milliseconds. Fails only when the launcher cannot be run at all.
// With cgroup v2 the calling process may move itself into a leaf "millwright-server" of its own group, because a group
// that holds processes cannot hand controllers on.
Result<Probe> probe_machine(const ProbeSettings& settings);

const char* to_string(Tier tier);

}  // namespace millwright::executors
