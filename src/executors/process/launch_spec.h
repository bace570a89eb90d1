// <folder>/launch: what the server tells a launcher, and <folder>/exit.json: what the launcher tells the server.
//
//   launch = "millwright-launch 2" NUL *(key NUL value NUL) "end" NUL
//
// Keys may repeat where the struct has a list; numbers are decimal. An unknown key or version is an error, so a server
// and a launcher of different versions never misunderstand each other; what is new in a version is written only where
// it is used. Files of version 1 are still read, because a
// server cleans up after runs that an older one started; a launcher runs files of its own version only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "executors/process/control_groups.h"

namespace millwright::executors {

inline constexpr const char* kLaunchFile = "launch";
inline constexpr const char* kWorkFile = "work";  // what a spare gets to do, in the form of `launch`
inline constexpr const char* kControlSocket =
    "control";  // SOCK_SEQPACKET; "stop", "kill", "work" in, "started <ms>" out
inline constexpr const char* kExitRecord = "exit.json";
inline constexpr const char* kLauncherLog = "launcher.log";
inline constexpr const char* kServedSocket = "served.sock";  // of a host: the port it serves
inline constexpr const char* kLayerLock = "lock";            // beside an unpacked layer: shared by who uses it
inline constexpr int kInheritedControl = 3;  // a control connection that the server hands to the launcher
inline constexpr int kInheritedLock = 4;     // the lock of run_folder.h, already taken
inline constexpr int kMaxHosts = 64;

struct LaunchMount {
    char mode = 'r';  // r: read-only, w: writable, o: overlay
    std::string source, target;
    bool through_links = true;  // see Mount
    std::vector<int> hosts{};   // only these; empty: all
    int layer = -1;             // number of the folder of its changes, by number_layers(); not in the file
    bool is_on(int host) const;
};

inline constexpr int kLaunchVersion = 2;

// Of one host.
struct LaunchLimits {
    double cpus = 1;
    uint64_t memory_bytes = 0;
    int64_t max_processes = 0;
    uint64_t shared_memory_bytes = 0;
};

struct LaunchSpec {
    int version = kLaunchVersion;
    std::string id;
    std::string folder;
    int hosts = 1;
    bool user_namespace = false;  // tier T1
    bool overlay = false;         // overlayfs works on `folder`
    bool isolated = false;
    bool spare = false;         // `command` stands ready until <folder>/work is there
    std::string forward_to;     // "127.0.0.1:9770"; empty: not
    std::string egress_socket;  // path; empty: not
    std::string working_folder = "/opt/ml";
    std::vector<std::vector<std::string>> companions;
    std::vector<std::string> command;
    std::vector<std::string> environment;   // "NAME=value"
    std::vector<std::string> image_layers;  // folders, the lowest first; empty: the machine's own files are shown
    std::string user;                       // of the image, as its configuration names him; empty: root
    uint16_t served_port = 0;               // inside, carried to <folder>/<algo-N>/served.sock; 0: none
    std::vector<LaunchMount> mounts;
    std::vector<std::string> log_files;
    std::vector<std::string> hidden;  // host paths to cover
    ControlGroups control_groups;
    std::vector<LaunchLimits> limits;  // one per host, or one for all
    uint64_t max_disk_bytes = 0;       // of each host; 0: no limit
    uint64_t disk_reserve_bytes = 0;   // free space of the machine that runs leave alone
    uint64_t max_log_bytes = 0;        // of each host; 0: no limit
    int64_t max_runtime_s = -1;        // -1: none
    int64_t stop_grace_s = 120;

    const LaunchLimits& limits_of(int host) const;
};

std::string encode_launch_spec(const LaunchSpec& spec);
Result<LaunchSpec> decode_launch_spec(std::string_view text);
// Parents before what lies in them, numbered from `first` where they have no number yet.
void number_layers(std::vector<LaunchMount>& mounts, size_t first);
// The mounts of `work` that its spare does not have yet.
std::vector<LaunchMount> late_mounts(const LaunchSpec& spare, const LaunchSpec& work);

// "algo-1" for host 0.
std::string host_name(int host);
// The control group of a host: "<id>.algo-1".
std::string control_group_name(std::string_view id, int host);

}  // namespace millwright::executors
