#include "resources/training_jobs/run_command.h"

#include <algorithm>
#include <cmath>

#include "resources/instance_types/instance_types.h"
#include "resources/training_jobs/warm_pools.h"

namespace millwright::resources {
namespace {

constexpr const char* kJobEndpoint = "http://169.254.170.2";
constexpr const char* kProxy = "http://169.254.170.2:3128";
constexpr const char* kSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// What does not depend on the job, only on its share of the machine. An image says itself where its programs are.
std::map<std::string, std::string> machine_variables(const CommandedRun& run) {
    std::map<std::string, std::string> variables;
    if (!run.image) variables = {{"PATH", kSearchPath}, {"HOME", "/root"}, {"LANG", "C.UTF-8"}};
    const auto gpus = given_gpus(run.plan);
    const bool some = run.image && std::any_of(gpus.begin(), gpus.end(), [](int count) { return count > 0; });
    if (!some) variables["NVIDIA_VISIBLE_DEVICES"] = "void";
    const auto threads = std::to_string(std::max(1, static_cast<int>(std::floor(run.grant.per_host.cpus))));
    variables["MILLWRIGHT_CPUS"] = threads;
    for (const auto* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) variables[name] = threads;
    return variables;
}

Result<std::map<std::string, std::string>> platform_variables(const TrainingRunContext& context,
                                                              const CommandedRun& run) {
    std::map<std::string, std::string> variables = machine_variables(run);
    variables["TRAINING_JOB_NAME"] = run.job.name;
    variables["TRAINING_JOB_ARN"] = run.job.arn;
    variables["AWS_REGION"] = variables["AWS_DEFAULT_REGION"] = run.job.region;
    variables["DMLC_INTERFACE"] = "eth0";
    variables["SAGEMAKER_METRICS_DIRECTORY"] = "/opt/ml/output/metrics/sagemaker";
    variables["SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"] = kWarmCacheInside;
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

void name_algorithm(const BuiltInImage& algorithm, RunCommand& result) {
    result.environment["MILLWRIGHT_ALGORITHM"] = algorithm.algorithm;
    result.environment["MILLWRIGHT_ALGORITHM_VERSION"] = algorithm.version;
}

Result<void> add_algorithm(const TrainingRunContext& context, const CommandedRun& run, RunCommand& result) {
    const auto& algorithm = *run.plan.command.algorithm;
    result.command = {context.settings.algorithms_program, "train"};
    for (const auto& [name, value] : run.plan.environment) result.environment[name] = value;
    name_algorithm(algorithm, result);
    return {};
}

// The SDK's drivers of MPI jobs look for ssh, and for a daemon at one path only. The runner is both under these names.
void add_ssh(const TrainingRunContext& context, RunCommand& result) {
    constexpr const char* kProgramsInside = "/opt/millwright/bin";
    constexpr const char* kDaemons = "/usr/sbin";
    const auto& runner = context.settings.runner_program;
    using Mode = executors::Mount::Mode;
    result.mounts.push_back({runner, std::string(kProgramsInside) + "/ssh", Mode::ReadOnly});
    result.mounts.push_back({kDaemons, kDaemons, Mode::Overlay});  // so that the next one has a place
    result.mounts.push_back({runner, std::string(kDaemons) + "/sshd", Mode::ReadOnly});
    auto& path = result.environment["PATH"];
    path = std::string(kProgramsInside) + ":" + path;
}

bool has_variable(const executors::RunImage& image, const std::string& name) {
    const auto& all = image.config.environment;
    return std::any_of(all.begin(), all.end(), [&](const auto& line) { return line.starts_with(name + "="); });
}

// The words of container-contract 1.1: "train" takes the place of the image's Cmd, ContainerArguments that of "train",
// and a ContainerEntrypoint alone that of both.
void add_image(const TrainingRunContext& context, const CommandedRun& run, RunCommand& result) {
    const auto& command = run.plan.command;
    for (const auto* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"})
        if (has_variable(*run.image, name)) result.environment.erase(name);
    add_proxy(context, run, result.environment);
    for (const auto& [name, value] : run.plan.environment) result.environment[name] = value;
    if (command.algorithm) name_algorithm(*command.algorithm, result);
    result.image = *run.image;
    if (!command.entrypoint.empty()) result.image->entrypoint = command.entrypoint;
    result.command = command.arguments;
    if (command.entrypoint.empty() && command.arguments.empty()) result.command = {"train"};
}

// As in the framework's image: its packages, its interpreter first on the PATH, the toolkit at hand.
Result<void> add_script(const TrainingRunContext& context, const CommandedRun& run, RunCommand& result) {
    const auto& command = run.plan.command;
    const auto& environment = run.script->environment;
    auto& variables = result.environment;
    for (const auto& [name, value] : interpreter_variables(run)) variables[name] = value;
    variables["PYTHONPATH"] = kPythonInside;
    add_proxy(context, run, variables);
    for (const auto& [name, value] : run.plan.environment) variables[name] = value;
    variables["MILLWRIGHT_FRAMEWORK"] = command.framework->framework;
    result.mounts = environment.mounts;
    result.mounts.push_back({context.settings.python_folder, kPythonInside, executors::Mount::Mode::ReadOnly});
    if (command.submit_directory) {
        result.mounts.push_back(TRY(stage_code(context.parts.objects, command, run.folder)));
    }
    // Alone, the arguments are what the image's own entry point gets: "train" is its word for the script.
    const bool train = command.entrypoint.empty() && (command.arguments.empty() || command.arguments[0] == "train");
    if (!train) {
        result.command = command.entrypoint;
        result.command.insert(result.command.end(), command.arguments.begin(), command.arguments.end());
        if (run.plan.training.hosts > 1) add_ssh(context, result);
        return {};
    }
    if (run.script->install_requirements) variables["MILLWRIGHT_INSTALL_REQUIREMENTS"] = "1";
    result.command = {context.settings.runner_program, "train"};
    return {};
}

}  // namespace

std::vector<int> given_gpus(const TrainingPlan& plan) {
    std::vector<int> gpus;
    const auto here = nvidia_gpus_here();
    for (const auto& group : plan.training.groups)
        gpus.insert(gpus.end(), static_cast<size_t>(group.hosts), std::min(here, nvidia_gpus_of(group.instance_type)));
    if (gpus.empty())
        gpus.assign(static_cast<size_t>(plan.training.hosts),
                    std::min(here, nvidia_gpus_of(plan.training.instance_type)));
    return gpus;
}

std::map<std::string, std::string> interpreter_variables(const CommandedRun& run) {
    const auto& environment = run.script->environment;
    auto variables = machine_variables(run);
    for (const auto& [name, value] : environment.variables) variables[name] = value;
    variables["PATH"] = environment.prefix + "/bin:" + kSearchPath;
    variables["PYTHONUNBUFFERED"] = "1";
    return variables;
}

Result<RunCommand> run_command(const TrainingRunContext& context, const CommandedRun& run) {
    RunCommand result;
    result.environment = TRY(platform_variables(context, run));
    if (run.image) {
        add_image(context, run, result);
    } else if (run.script) {
        TRY(add_script(context, run, result));
    } else {
        TRY(add_algorithm(context, run, result));
    }
    return result;
}

}  // namespace millwright::resources
