#include "resources/training_jobs/request_members.h"
#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"

namespace millwright::services {

// Of the update's members only the warm pool has something to act on here; what asks for nothing is accepted.
aws::ApiResult<Json> update_training_job(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto name = input["TrainingJobName"].string_or("");
    auto profiler = input["ProfilerConfig"];
    profiler.erase("DisableProfiler");  // true asks for what is so already
    const bool enables =
        input["ProfilerConfig"].has("DisableProfiler") && !input["ProfilerConfig"]["DisableProfiler"].bool_or(true);
    if (enables || resources::is_asked_for(profiler) || resources::is_asked_for(input["ProfilerRuleConfigurations"]))
        return aws::validation_exception(
            "Millwright does not support ProfilerConfig and ProfilerRuleConfigurations in UpdateTrainingJob: training "
            "jobs are not profiled.");
    if (input["RemoteDebugConfig"]["EnableRemoteDebug"].bool_or(false))
        return aws::validation_exception(
            "Millwright does not support RemoteDebugConfig.EnableRemoteDebug: there is no remote access to jobs.");
    const auto& caller = call.caller;
    if (!input["ResourceConfig"].has("KeepAlivePeriodInSeconds")) {
        const auto job = sagemaker.training_jobs.describe(caller.account, caller.region, name);
        if (!job) return training_job_error(job.error());
        return Json::object({{"TrainingJobArn", job->arn}});
    }
    const std::chrono::seconds keep_alive(input["ResourceConfig"]["KeepAlivePeriodInSeconds"].int_or(0));
    const auto arn = sagemaker.training_jobs.set_keep_alive(caller.account, caller.region, name, keep_alive);
    if (!arn) return training_job_error(arn.error());
    return Json::object({{"TrainingJobArn", *arn}});
}

}  // namespace millwright::services
