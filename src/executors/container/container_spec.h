// From a RunSpec to what the engine is asked for: mounts, limits and what a container may do.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/container/container_runtime.h"
#include "executors/executor.h"

namespace millwright::executors {

// What the engine can do on this machine, see probe_engine().
struct EngineTraits {
    EngineKind kind = EngineKind::Docker;
    bool memory = true, swap = true, cpu = true, pids = true;  // limits that it can set
    double cpus = 0;                                           // that it has; it refuses a limit above them; 0: not known
    bool limits_files = true;                                  // may raise the limits of open files and locked memory
    bool overlay = true;                                       // mounts overlays for us
    bool cgroup_namespace = true;                              // can give each container one
    bool selinux = false;                                      // confines containers to files that it has labelled
    bool live_restore = false;                                 // its containers outlive its own restart
    bool rootless = false;                                     // root of a container is the engine's user
    std::string seccomp_profile;                               // file on the engine's machine; empty: its default
    bool own_users = false;                                    // maps users of containers to others
    uint32_t root_user = 0, root_group = 0;                    // what root of a container is on this machine
    enum class Gpus { None, Runtime, Cdi };
    Gpus gpus = Gpus::None;
};

struct HostMounts {
    Json mounts = Json::array();     // HostConfig.Mounts
    Json binds = Json::array();      // HostConfig.Binds: what only Podman has
    std::vector<std::string> owned;  // folders into which the container may write
};

// Makes what the mounts of a host need: mount points, folders of overlays, copies where there are no overlays.
Result<HostMounts> prepare_mounts(const RunSpec& spec, int host, const EngineTraits& traits);

struct HostContainer {
    std::string owner;       // of the label
    std::string gate;        // container whose network is joined
    std::string hosts_file;  // shown at /etc/hosts
    HostMounts mounts;
};
// The body of /containers/create. REQUIRES: spec.image.
Result<Json> container_body(const RunSpec& spec, int host, const EngineTraits& traits, const HostContainer& container);

// InvalidInput: nothing that could be run, or what this executor does not do.
Result<void> check_container_spec(const RunSpec& spec);

const Limits& limits_of(const RunSpec& spec, int host);
std::string host_folder(const std::string& folder, int host);  // <folder>/algo-N

}  // namespace millwright::executors
