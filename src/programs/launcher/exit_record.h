// <folder>/exit.json, written once and durably when everything of a run has ended:
//
//   {"version":1, "id":…, "cause":"Exited"|"StopRequested"|"MaxRuntime"|"LaunchFailed"|"Unused", "message":…,
//   "first_failure":-1,
//    "started_ms":…, "ended_ms":…, "started_monotonic_ns":…, "ended_monotonic_ns":…,
//    "hosts":[{"exit_code":…, "signal":…, "out_of_memory":…, "out_of_disk":…, "ended_ms":…, "ended_monotonic_ns":…}…]}
//
// Unused: a spare that ended before it got its work. Wall times are milliseconds since 1970. Durations come from the
// monotonic clock.
#pragma once

#include <string>
#include <vector>

#include "programs/launcher/channel.h"

namespace millwright::launcher {

enum class Cause { Exited, StopRequested, MaxRuntime, LaunchFailed, Unused };

struct HostRecord {
    int exit_code = 0;
    int signal = 0;
    bool out_of_memory = false;
    bool out_of_disk = false;
    Moment ended;
};

struct ExitRecord {
    std::string id;
    Cause cause = Cause::Exited;
    std::string message;
    int first_failure = -1;  // host whose end stopped the others
    Moment started, ended;
    std::vector<HostRecord> hosts;
};

std::string to_json(const ExitRecord& record);

}  // namespace millwright::launcher
