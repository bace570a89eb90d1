#include "resources/training_jobs/run_outcome.h"

#include "base/time.h"

namespace millwright::resources {

using executors::RunOutcome;

namespace {

std::string cause_name(RunOutcome::Cause cause) {
    switch (cause) {
        case RunOutcome::Cause::Exited:
            return "Exited";
        case RunOutcome::Cause::StopRequested:
            return "StopRequested";
        case RunOutcome::Cause::MaxRuntime:
            return "MaxRuntime";
        case RunOutcome::Cause::LaunchFailed:
            return "LaunchFailed";
        case RunOutcome::Cause::Lost:
            return "Lost";
    }
    return "Lost";
}

}  // namespace

Json outcome_to_json(const RunOutcome& outcome) {
    auto hosts = Json::array();
    for (const auto& host : outcome.hosts) {
        hosts.push_back(Json::object({{"exit_code", host.exit_code},
                                      {"signal", host.signal},
                                      {"out_of_memory", host.out_of_memory},
                                      {"out_of_disk", host.out_of_disk}}));
    }
    return Json::object({{"cause", cause_name(outcome.cause)},
                         {"message", outcome.message},
                         {"first_failure", outcome.first_failure},
                         {"hosts", std::move(hosts)},
                         {"started", to_epoch_milliseconds(outcome.started)},
                         {"ended", to_epoch_milliseconds(outcome.ended)},
                         {"ran", static_cast<int64_t>(outcome.ran.count())}});
}

RunOutcome outcome_from_json(const Json& document) {
    RunOutcome outcome;
    outcome.cause = RunOutcome::Cause::Lost;
    const auto name = document["cause"].string_or("");
    for (const auto cause : {RunOutcome::Cause::Exited, RunOutcome::Cause::StopRequested, RunOutcome::Cause::MaxRuntime,
                             RunOutcome::Cause::LaunchFailed}) {
        if (cause_name(cause) == name) outcome.cause = cause;
    }
    outcome.message = document["message"].string_or("");
    outcome.first_failure = static_cast<int>(document["first_failure"].int_or(-1));
    for (const auto& host : document["hosts"].items()) {
        outcome.hosts.push_back({.exit_code = static_cast<int>(host["exit_code"].int_or(0)),
                                 .signal = static_cast<int>(host["signal"].int_or(0)),
                                 .out_of_memory = host["out_of_memory"].bool_or(false),
                                 .out_of_disk = host["out_of_disk"].bool_or(false)});
    }
    outcome.started = from_epoch_milliseconds(document["started"].int_or(0));
    outcome.ended = from_epoch_milliseconds(document["ended"].int_or(0));
    outcome.ran = std::chrono::milliseconds(document["ran"].int_or(0));
    return outcome;
}

}  // namespace millwright::resources
