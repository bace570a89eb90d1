#include "resources/training_jobs/run_command.h"

#include <algorithm>
#include <cmath>

namespace millwright::resources {
namespace {

constexpr const char* kJobEndpoint = "http://169.254.170.2";
constexpr const char* kProxy = "http://169.254.170.2:3128";
constexpr const char* kPythonInside = "/opt/millwright/python";
constexpr const char* kSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Result<std::map<std::string, std::string>> platform_variables(const TrainingRunContext& context,
                                                              const CommandedRun& run) {
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
    variables["MILLWRIGHT_CPUS"] = threads;
    for (const auto* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) variables[name] = threads;
    if (!run.plan.network_isolation) {
        const auto role =
            TRY(context.parts.identity.resolve_role(run.job.account, run.job.request["RoleArn"].string_or("")));
        variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] =
            TRY(context.parts.identity.grant_job_credentials(run.run_id, role));
        variables["AWS_ENDPOINT_URL"] = kJobEndpoint;
        variables["S3_ENDPOINT_URL"] = kJobEndpoint;
    }
    return variables;
}

// Where packages may be had from; algo-N, the API and the job itself are reached directly.
void add_proxy(const TrainingRunContext& context, const CommandedRun& run,
               std::map<std::string, std::string>& variables) {
    if (run.plan.network_isolation || context.settings.egress_socket.empty()) return;
    variables["PIP_PROXY"] = kProxy;
    if (!context.settings.egress_for_all) return;
    std::string direct = "169.254.170.2,localhost,127.0.0.1";
    for (int host = 0; host < run.plan.training.hosts; ++host) direct += "," + executors::algo_name(host);
    for (const auto* name : {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"}) variables[name] = kProxy;
    for (const auto* name : {"NO_PROXY", "no_proxy"}) variables[name] = direct;
}

Result<void> add_algorithm(const TrainingRunContext& context, const CommandedRun& run, RunCommand& result) {
    const auto& algorithm = *run.plan.command.algorithm;
    result.command = {context.settings.algorithms_program, "train"};
    for (const auto& [name, value] : run.plan.environment) result.environment[name] = value;
    result.environment["MILLWRIGHT_ALGORITHM"] = algorithm.algorithm;
    result.environment["MILLWRIGHT_ALGORITHM_VERSION"] = algorithm.version;
    return {};
}

// As in the framework's image: its packages, its interpreter first on the PATH, the toolkit at hand.
Result<void> add_script(const TrainingRunContext& context, const CommandedRun& run, RunCommand& result) {
    const auto& command = run.plan.command;
    const auto& environment = run.script->environment;
    auto& variables = result.environment;
    for (const auto& [name, value] : environment.variables) variables[name] = value;
    variables["PATH"] = environment.prefix + "/bin:" + kSearchPath;
    variables["PYTHONPATH"] = kPythonInside;
    variables["PYTHONUNBUFFERED"] = "1";
    add_proxy(context, run, variables);
    for (const auto& [name, value] : run.plan.environment) variables[name] = value;
    variables["MILLWRIGHT_FRAMEWORK"] = command.framework->framework;
    result.mounts = environment.mounts;
    result.mounts.push_back({context.settings.python_folder, kPythonInside, executors::Mount::Mode::ReadOnly});
    if (command.submit_directory) {
        result.mounts.push_back(TRY(stage_code(context.parts.objects, command, run.folder)));
    }
    if (!command.entrypoint.empty() || !command.arguments.empty()) {
        result.command = command.entrypoint;
        result.command.insert(result.command.end(), command.arguments.begin(), command.arguments.end());
        return {};
    }
    if (run.script->install_requirements) variables["MILLWRIGHT_INSTALL_REQUIREMENTS"] = "1";
    result.command = {context.settings.runner_program, "train"};
    return {};
}

}  // namespace

Result<RunCommand> run_command(const TrainingRunContext& context, const CommandedRun& run) {
    RunCommand result;
    result.environment = TRY(platform_variables(context, run));
    if (run.script) {
        TRY(add_script(context, run, result));
    } else {
        TRY(add_algorithm(context, run, result));
    }
    return result;
}

}  // namespace millwright::resources
