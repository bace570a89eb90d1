// The private file system of a host: what of the machine it sees, and what is its own.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "executors/process/launch_spec.h"
#include "programs/launcher/mounting.h"

namespace millwright::launcher {

// Builds the root below <folder>/<algo-N>/root and moves into it; afterwards "/" is the private root and nothing else
// of the machine is reachable. REQUIRES: own mount, pid and uts namespaces. Everything happens in the mount namespace,
// so it vanishes with it. A spare has no /opt/ml yet.
Result<void> enter_private_root(const executors::LaunchSpec& spec, int host);

// In two steps, because sources are opened while the machine is still visible, and targets are looked up when it no
// longer is, so that no link in the folder of the run can lead out of it.
struct PreparedMount {
    std::string target;
    Shape shape = Shape::Folder;
    Fd tree;
};
// Overlays keep their changes in <folder>/<algo-N>/layers/<first_layer>, <first_layer + 1> ...
Result<std::vector<PreparedMount>> prepare_mounts(const executors::LaunchSpec& spec,
                                                  std::vector<executors::LaunchMount> mounts, int host,
                                                  size_t first_layer);
// /opt/ml of the host.
Result<PreparedMount> prepare_ml(const executors::LaunchSpec& spec, int host);
Result<void> attach_mounts(const std::vector<PreparedMount>& mounts);

// What both kinds of root have.
inline constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom", "tty"};
inline constexpr std::pair<const char*, const char*> kDeviceLinks[] = {{"ptmx", "pts/ptmx"},
                                                                       {"fd", "/proc/self/fd"},
                                                                       {"stdin", "/proc/self/fd/0"},
                                                                       {"stdout", "/proc/self/fd/1"},
                                                                       {"stderr", "/proc/self/fd/2"}};
// CPU and memory topology, which numeric libraries read; nothing else of /sys.
inline constexpr const char* kTopology[] = {"sys/devices/system/cpu", "sys/devices/system/node"};
std::string folder_of(const executors::LaunchSpec& spec, int host);
// hosts, hostname and resolv.conf in `folder`.
Result<void> write_network_settings(const executors::LaunchSpec& spec, int host, const std::string& folder);
// In the proc/ and dev/ of the working directory: switches of the machine become read-only, its secrets /dev/null.
Result<void> restrict_proc();
// Makes the working directory, a mount, the root; the old one is gone.
Result<void> pivot();

}  // namespace millwright::launcher
