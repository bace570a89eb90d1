#include "resources/training_jobs/training_verdict.h"

#include <algorithm>

#include "executors/contract/failure.h"
#include "executors/contract/feed_spec.h"

namespace millwright::resources {

using executors::RunOutcome;

TrainingVerdict judge(StopCause stop, const RunOutcome& outcome, const executors::FailedRun& run) {
    using Cause = RunOutcome::Cause;
    if (outcome.cause == Cause::MaxRuntime) {
        return {"Stopped", "MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided", ""};
    }
    if (stop != StopCause::None || outcome.cause == Cause::StopRequested) return stopped(stop);
    // Also of a script that ended well: it has seen less than its data.
    if (const auto reason = executors::read_feed_failure(run.folder)) return failed(*reason);
    const bool ran_well =
        outcome.cause == Cause::Exited &&
        std::all_of(outcome.hosts.begin(), outcome.hosts.end(), [](const auto& host) { return host.exit_code == 0; });
    if (ran_well) return {"Completed", "Completed", "Training job completed", ""};
    return failed(executors::training_failure_reason(run, outcome));
}

TrainingVerdict failed(const std::string& failure_reason) {
    return {"Failed", "Failed", "Training job failed", failure_reason};
}

TrainingVerdict stopped(StopCause cause) {
    switch (cause) {
        case StopCause::MaxWait:
            return {"Stopped", "MaxWaitTimeExceeded", "Training job wait time exceeded MaxWaitTimeInSeconds provided",
                    ""};
        case StopCause::MaxPending:
            return {"Stopped", "Stopped", "Training job pending time exceeded MaxPendingTimeInSeconds provided", ""};
        case StopCause::None:
        case StopCause::User:
            break;
    }
    return {"Stopped", "Stopped", "Training job stopped", ""};
}

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
