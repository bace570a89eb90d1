#include "base/blocking.h"
#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"
#include "services/sagemaker/warm_pool.h"

namespace millwright::services {
namespace {

// Members of the request that the description repeats as they are.
constexpr std::string_view kEchoed[] = {
    "HyperParameters",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "DebugHookConfig",
    "ProfilerConfig",
    "Environment",
    "CheckpointConfig",
    "RetryStrategy",
};

Json algorithm_specification(const resources::TrainingJob& job) {
    auto specification = job.request["AlgorithmSpecification"];
    if (job.metric_definitions.size() > 0) specification.set("MetricDefinitions", job.metric_definitions);
    if (!specification.has("EnableSageMakerMetricsTimeSeries"))
        specification.set("EnableSageMakerMetricsTimeSeries", false);
    return specification;
}

// SDKs read KmsKeyId without asking whether it is there.
Json output_data_config(const resources::TrainingJob& job) {
    auto config = job.request["OutputDataConfig"];
    if (!config.has("KmsKeyId")) config.set("KmsKeyId", "");
    if (!config.has("CompressionType")) config.set("CompressionType", "GZIP");
    return config;
}

Json stopping_condition(const resources::TrainingJob& job) {
    auto condition = job.request["StoppingCondition"];
    if (!condition.has("MaxRuntimeInSeconds")) condition.set("MaxRuntimeInSeconds", 86400);
    return condition;
}

Json transitions(const resources::TrainingJob& job) {
    auto list = Json::array();
    for (const auto& transition : job.transitions) {
        auto entry = Json::object({{"Status", transition.status},
                                   {"StartTime", to_epoch_seconds(transition.start)},
                                   {"StatusMessage", transition.message}});
        if (transition.end) entry.set("EndTime", to_epoch_seconds(*transition.end));
        list.push_back(std::move(entry));
    }
    return list;
}

Json final_metrics(const resources::TrainingJob& job) {
    auto list = Json::array();
    for (const auto& metric : job.final_metrics) {
        list.push_back(Json::object(
            {{"MetricName", metric.name}, {"Value", metric.value}, {"Timestamp", to_epoch_seconds(metric.time)}}));
    }
    return list;
}

// Where the model is, or, until it is there, where it will be: the model requires the member.
std::string model_artifacts(const resources::TrainingJob& job) {
    if (!job.model_artifacts.empty() || job.ended()) return job.model_artifacts;
    const auto& output = job.request["OutputDataConfig"];
    auto path = output["S3OutputPath"].string_or("");
    if (!path.ends_with('/')) path += '/';
    const bool archive = output["CompressionType"].string_or("GZIP") == "GZIP";
    return path + job.name + "/output/" + (archive ? "model.tar.gz" : "model/");
}

void add_times(const resources::TrainingJob& job, Json& description) {
    description.set("CreationTime", to_epoch_seconds(job.created));
    description.set("LastModifiedTime", to_epoch_seconds(job.modified));
    if (job.training_start) description.set("TrainingStartTime", to_epoch_seconds(*job.training_start));
    if (job.training_end) description.set("TrainingEndTime", to_epoch_seconds(*job.training_end));
    if (job.training_seconds) description.set("TrainingTimeInSeconds", *job.training_seconds);
    if (job.billable_seconds) description.set("BillableTimeInSeconds", *job.billable_seconds);
}

Json describe(const resources::TrainingJob& job) {
    auto description = Json::object({
        {"TrainingJobName", job.name},
        {"TrainingJobArn", job.arn},
        {"ModelArtifacts", Json::object({{"S3ModelArtifacts", model_artifacts(job)}})},
        {"TrainingJobStatus", job.status},
        {"SecondaryStatus", job.secondary_status},
        {"AlgorithmSpecification", algorithm_specification(job)},
        {"OutputDataConfig", output_data_config(job)},
        {"ResourceConfig", job.request["ResourceConfig"]},
        {"StoppingCondition", stopping_condition(job)},
        {"SecondaryStatusTransitions", transitions(job)},
    });
    for (const auto flag :
         {"EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"}) {
        description.set(flag, false);
    }
    for (const auto member : kEchoed) {
        if (const auto* value = job.request.find(member)) description.set(member, *value);
    }
    if (!job.final_metrics.empty()) description.set("FinalMetricDataList", final_metrics(job));
    if (!job.failure_reason.empty()) description.set("FailureReason", job.failure_reason);
    if (job.request.has("ProfilerConfig")) description.set("ProfilingStatus", "Disabled");
    set_warm_pool_status(job.warm_pool, description);
    add_times(job, description);
    return description;
}

std::string look(const aws::Call& call, const std::string& name) {
    return call.caller.access_key_id + "/" + call.caller.region + "/" + name;
}

bool is_wait(const SageMaker& sagemaker, const aws::Call& call, const std::string& name) {
    if (!call.polling) return false;
    if (call.user_agent.find("AWS-SageMakerCore") == std::string::npos) return true;
    return sagemaker.looks->follows_another(look(call, name), std::chrono::steady_clock::now());
}

}  // namespace

aws::ApiResult<Json> describe_training_job(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto& caller = call.caller;
    const auto name = input["TrainingJobName"].string_or("");
    const auto held = [&] {
        const Blocking pause(Blocking::Wait::Long);
        return sagemaker.training_jobs.describe_changed(caller.account, caller.region, name, sagemaker.longest_hold);
    };
    const auto job =
        is_wait(sagemaker, call, name) ? held() : sagemaker.training_jobs.describe(caller.account, caller.region, name);
    sagemaker.looks->answered(look(call, name), std::chrono::steady_clock::now());
    if (!job) return training_job_error(job.error());
    return describe(*job);
}

}  // namespace millwright::services
