// <folder>/container.json: what the server needs to find a run again, written durably. Holds no secrets: environment
// and command are known to the engine only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/container/gates.h"
#include "executors/executor.h"

namespace millwright::executors {

inline constexpr const char* kRunRecord = "container.json";

// A process of ours beside the run. The start time makes the id unique until the machine restarts.
struct CompanionRecord {
    int64_t pid = 0;
    uint64_t start_ticks = 0;
};

struct HostRecord {
    std::string container;  // id; empty: not made yet
    Gate gate;
};

struct RunRecord {
    // Starting: some containers may be there, none counts. Started: all are or were running. Ended: the outcome counts.
    enum class Phase { Starting, Started, Ended };
    Phase phase = Phase::Starting;
    std::string id, boot;
    std::string network;      // id of the engine's; empty: none
    GateWish wish;            // but for the host
    bool gates_kept = false;  // they belong to other runs by now
    std::vector<HostRecord> hosts;
    std::vector<std::string> log_files;
    uint64_t max_log_bytes = 0, max_disk_bytes = 0;
    int64_t max_runtime_s = -1, stop_grace_s = 120;
    std::vector<CompanionRecord> companions;
    std::vector<std::string> owned;  // folders that are given back to the server's user at the end
    // A stop that was begun: why, and when.
    std::optional<RunOutcome::Cause> stopping;
    int64_t stopped_ms = 0;
    int first_failure = -1;
    std::string message;
    std::optional<RunOutcome> outcome;
};

Json to_json(const RunRecord& record);
Result<RunRecord> parse_run_record(std::string_view text);

Result<void> save(const RunRecord& record, const std::string& folder);
// NotFound: the folder is of no run of ours.
Result<RunRecord> load_run_record(const std::string& folder);

std::string boot_id();  // of the machine; empty where the kernel does not tell

}  // namespace millwright::executors
