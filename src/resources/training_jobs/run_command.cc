#include "resources/training_jobs/run_command.h"

#include <algorithm>
#include <cmath>

namespace millwright::resources {
namespace {

constexpr const char* kJobEndpoint = "http://169.254.170.2";
constexpr const char* kSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Result<std::map<std::string, std::string>> environment(const TrainingRunContext& context, const CommandedRun& run) {
    std::map<std::string, std::string> variables = {
        {"PATH", kSearchPath},
        {"HOME", "/root"},
        {"LANG", "C.UTF-8"},
        {"TRAINING_JOB_NAME", run.job.name},
        {"TRAINING_JOB_ARN", run.job.arn},
        {"AWS_REGION", run.job.region},
        {"AWS_DEFAULT_REGION", run.job.region},
        {"DMLC_INTERFACE", "eth0"},
        {"NVIDIA_VISIBLE_DEVICES", "void"},
        {"SAGEMAKER_METRICS_DIRECTORY", "/opt/ml/output/metrics/sagemaker"},
    };
    const auto threads = std::to_string(std::max(1, static_cast<int>(std::floor(run.grant.per_host.cpus))));
    for (const auto* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) variables[name] = threads;
    if (!run.plan.network_isolation) {
        const auto role =
            TRY(context.parts.identity.resolve_role(run.job.account, run.job.request["RoleArn"].string_or("")));
        variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] =
            TRY(context.parts.identity.grant_job_credentials(run.run_id, role));
        variables["AWS_ENDPOINT_URL"] = kJobEndpoint;
        variables["S3_ENDPOINT_URL"] = kJobEndpoint;
    }
    for (const auto& [name, value] : run.plan.environment) variables[name] = value;
    variables["MILLWRIGHT_ALGORITHM"] = run.plan.command.algorithm->algorithm;
    variables["MILLWRIGHT_ALGORITHM_VERSION"] = run.plan.command.algorithm->version;
    return variables;
}

}  // namespace

Result<RunCommand> run_command(const TrainingRunContext& context, const CommandedRun& run) {
    RunCommand result;
    result.command = {context.settings.algorithms_program, "train"};
    result.environment = TRY(environment(context, run));
    return result;
}

}  // namespace millwright::resources
