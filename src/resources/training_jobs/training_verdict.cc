#include "resources/training_jobs/training_verdict.h"

#include <algorithm>

#include "executors/contract/failure.h"

namespace millwright::resources {

using executors::RunOutcome;

TrainingVerdict judge(bool stop_requested, const RunOutcome& outcome, const JudgedRun& run) {
    using Cause = RunOutcome::Cause;
    if (outcome.cause == Cause::MaxRuntime) {
        return {"Stopped", "MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided", ""};
    }
    if (stop_requested || outcome.cause == Cause::StopRequested) return stopped();
    const bool ran_well =
        outcome.cause == Cause::Exited &&
        std::all_of(outcome.hosts.begin(), outcome.hosts.end(), [](const auto& host) { return host.exit_code == 0; });
    if (ran_well) return {"Completed", "Completed", "Training job completed", ""};
    return failed(executors::training_failure_reason(run.folder, outcome, run.memory_bytes));
}

TrainingVerdict failed(const std::string& failure_reason) {
    return {"Failed", "Failed", "Training job failed", failure_reason};
}

TrainingVerdict stopped() { return {"Stopped", "Stopped", "Training job stopped", ""}; }

bool is_users_fault(const Error& error) {
    return error.kind == ErrorKind::InvalidInput || error.kind == ErrorKind::NotFound ||
           error.kind == ErrorKind::LimitExceeded;
}

// An upload that fails for such a reason is tried again.
bool heals(const Error& error) { return !is_users_fault(error) || error.kind == ErrorKind::LimitExceeded; }

std::string failure_reason_of(const Error& error) {
    return is_users_fault(error) ? executors::client_error(error.message)
                                 : executors::internal_server_error(error.message);
}

bool never_ran(const RunOutcome& outcome) {
    return outcome.cause == RunOutcome::Cause::Lost && outcome.started == Timestamp{};
}

}  // namespace millwright::resources
