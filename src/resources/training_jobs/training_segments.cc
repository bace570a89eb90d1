#include "resources/training_jobs/training_segments.h"

#include <algorithm>
#include <cmath>

#include "base/digest.h"
#include "resources/training_jobs/training_verdict.h"

namespace millwright::resources {

using executors::RunOutcome;

Follows what_follows(const TrainingJobRow& row, const TrainingPlan& plan, const RunOutcome& outcome) {
    using Cause = RunOutcome::Cause;
    if (row.stop_requested) return Follows::Nothing;
    if (plan.life.spot) {
        const bool taken = outcome.cause == Cause::StopRequested && row.interrupted_run == row.run_id;
        const bool ran = row.phase == Phase::Running || row.phase == Phase::Finishing;
        if (taken || (outcome.cause == Cause::Lost && ran)) return Follows::AfterInterruption;
    }
    const bool fault = outcome.cause == Cause::LaunchFailed || outcome.cause == Cause::Lost;
    if (fault && !is_images_fault(plan, outcome) && row.retries < plan.life.max_retries) return Follows::AfterFault;
    return Follows::Nothing;
}

bool is_images_fault(const TrainingPlan& plan, const RunOutcome& outcome) {
    if (plan.command.image.empty() || outcome.cause != RunOutcome::Cause::LaunchFailed) return false;
    // In the words of runc and crun, which Docker and Podman pass on, and of our launcher.
    for (const std::string_view sign : {"exec: \"", "executable file", "exec format error", "unable to find user",
                                        "cannot execute ", "the user of the image"})
        if (outcome.message.find(sign) != std::string::npos) return true;
    return false;
}

bool may_retry(const TrainingJobRow& row, const TrainingPlan& plan, const Error& error) {
    return !row.stop_requested && !is_users_fault(error) && row.retries < plan.life.max_retries;
}

std::chrono::seconds runtime_left(const TrainingJobRow& row, const TrainingPlan& plan) {
    const auto left = std::chrono::milliseconds(plan.max_runtime) - row.ran_before;
    return std::max(std::chrono::seconds(0), std::chrono::ceil<std::chrono::seconds>(left));
}

std::chrono::milliseconds rest_before(int retries) {
    if (retries <= 0) return {};
    constexpr std::chrono::milliseconds kFirst{500}, kLongest{30'000};
    return std::min(kLongest, kFirst * (1 << std::min(retries - 1, 10)));
}

std::optional<std::chrono::milliseconds> planned_interruption(const TrainingJobRow& row, const TrainingPlan& plan,
                                                              std::chrono::seconds mean, const std::string& seed) {
    if (!plan.life.spot || mean.count() <= 0) return std::nullopt;
    const auto bits = digest(DigestKind::Sha256, seed + "\n" + row.job.arn + "\n" + std::to_string(row.interruptions));
    uint64_t number = 0;
    for (size_t i = 0; i < 6; ++i) number = number << 8 | static_cast<unsigned char>(bits[i]);
    constexpr double kNumbers = 281'474'976'710'656.0;  // 2^48
    const double uniform = (static_cast<double>(number) + 1) / kNumbers;
    const double seconds = -std::log(uniform) * static_cast<double>(mean.count());
    return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

std::string interruption_message(int interruption, bool has_checkpoints) {
    return "The managed spot instances were interrupted (interruption " + std::to_string(interruption) + "). " +
           (has_checkpoints ? "The job goes on from its checkpoints when capacity is available."
                            : "There is no CheckpointConfig, so the job starts from the beginning when capacity is "
                              "available.");
}

std::string retry_message(const std::string& why, int retry, int most) {
    return "Restarting the training job after a fault of the platform (attempt " + std::to_string(retry) + " of " +
           std::to_string(most) + "): " + why;
}

BilledTime billed_time(std::chrono::milliseconds ran, double billed_share) {
    const auto seconds = std::max<int64_t>(1, (ran.count() + 999) / 1000);
    const auto billed = static_cast<int64_t>(std::ceil(static_cast<double>(seconds) * billed_share - 1e-9));
    return {seconds, std::clamp<int64_t>(billed, 1, seconds)};
}

}  // namespace millwright::resources
