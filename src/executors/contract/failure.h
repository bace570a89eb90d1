// Why a training job failed, as the FailureReason of its description.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "executors/executor.h"

namespace millwright::executors {

inline constexpr size_t kMaxFailureReason = 1024;  // characters

// What is known of a run besides its outcome. Members may be empty or 0: unknown.
struct FailedRun {
    std::string folder;                     // as in RunSpec
    std::vector<std::string> log_files;     // one per host, in the form of base/event_file.h
    std::vector<std::string> log_streams;   // one per host: their names for users
    std::vector<uint64_t> log_begins{};     // where the run's part of each file begins; missing: at 0
    std::vector<uint64_t> memory_limits{};  // bytes, one per host
    uint64_t disk_limit = 0;                // bytes, of each host
};

// "AlgorithmError: <the kernel's word on memory or disk>. <text>, exit code: <code> (algo-2, line 7 of log stream …)".
// The text is /opt/ml/output/failure of the host that failed (first), else the last words of its log, else the signal.
// Text that names its kind ("ClientError: …") stays as it is. At most kMaxFailureReason characters of valid UTF-8.
// REQUIRES: the run did not end well.
std::string training_failure_reason(const FailedRun& run, const RunOutcome& outcome);

// Index of the host whose end explains the job's; -1 without hosts.
int failed_host(const std::string& folder, const RunOutcome& outcome);

// "SIGSEGV (Segmentation fault)"
std::string signal_name(int signal);

// "ClientError: <message>", cut to the limit.
std::string client_error(std::string_view message);
std::string internal_server_error(std::string_view message);

}  // namespace millwright::executors
