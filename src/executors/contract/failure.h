// Why a training job failed, as the FailureReason of its description.
#pragma once

#include <string>
#include <string_view>

#include "executors/executor.h"

namespace millwright::executors {

inline constexpr size_t kMaxFailureReason = 1024;  // characters

// From /opt/ml/output/failure of the host that failed, its exit code or signal, and the kernel's word on memory.
// `memory_limit` in bytes, for the text. At most kMaxFailureReason characters of valid UTF-8.
std::string training_failure_reason(const std::string& folder, const RunOutcome& outcome, uint64_t memory_limit);

// "ClientError: <message>", cut to the limit.
std::string client_error(std::string_view message);
std::string internal_server_error(std::string_view message);

}  // namespace millwright::executors
