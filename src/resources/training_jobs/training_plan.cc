#include "resources/training_jobs/training_plan.h"

#include "base/strings.h"
#include "resources/instance_types/instance_types.h"
#include "resources/training_jobs/metric_definitions.h"
#include "resources/training_jobs/metric_regex.h"

namespace millwright::resources {
namespace {

using executors::Channel;

constexpr int64_t kDefaultMaxRuntime = 86'400;
constexpr int64_t kLongestMaxRuntime = 28 * 86'400;

struct Gap {
    std::string_view path;  // of a member that must not be asked for
    std::string_view hint;
};
constexpr Gap kJobGaps[] = {
    {"AlgorithmSpecification.AlgorithmName", "algorithm resources do not exist yet, give a TrainingImage"},
    {"AlgorithmSpecification.ContainerEntrypoint", "containers do not run yet"},
    {"AlgorithmSpecification.ContainerArguments", "containers do not run yet"},
    {"AlgorithmSpecification.TrainingImageConfig", "images are not pulled"},
    {"AlgorithmSpecification.EnableSageMakerMetricsTimeSeries", "metrics are in CloudWatch only"},
    {"ResourceConfig.InstanceGroups", "all hosts of a job are alike"},
    {"ResourceConfig.KeepAlivePeriodInSeconds", "there are no warm pools; jobs start in milliseconds without"},
    {"ResourceConfig.TrainingPlanArn", "there are no training plans"},
    {"ResourceConfig.InstancePlacementConfig", "there is one machine"},
    {"ResourceConfig.InstancePreferences", "give an InstanceType"},
    {"EnableManagedSpotTraining", "nothing interrupts jobs here; leave it out"},
    {"StoppingCondition.MaxWaitTimeInSeconds", "it belongs to managed spot training"},
    {"StoppingCondition.MaxPendingTimeInSeconds", "a job waits until it fits"},
    {"DebugRuleConfigurations", "debugger rules do not run"},
    {"ProfilerRuleConfigurations", "profiler rules do not run"},
    {"TensorBoardOutputConfig", "TensorBoard data is not uploaded"},
    {"ExperimentConfig", "experiments do not exist yet"},
    {"RetryStrategy", "a job is not run twice"},
    {"RemoteDebugConfig.EnableRemoteDebug", "there is no remote access to jobs"},
    {"InfraCheckConfig.EnableInfraCheck", "there are no infrastructure checks"},
    {"SessionChainingConfig.EnableSessionTagChaining", "sessions carry no tags"},
    {"ServerlessJobConfig", "give an AlgorithmSpecification and a ResourceConfig"},
    {"MlflowConfig", "there is no MLflow server"},
    {"ModelPackageConfig", "there is no model registry yet"},
    {"HyperParameters.sagemaker_program", "script mode does not exist yet"},
    {"HyperParameters.sagemaker_submit_directory", "script mode does not exist yet"},
};
constexpr Gap kChannelGaps[] = {
    {"DataSource.FileSystemDataSource", "give an S3DataSource"},
    {"DataSource.DatasetSource", "give an S3DataSource"},
    {"DataSource.S3DataSource.AttributeNames", "augmented manifests are not read yet"},
    {"DataSource.S3DataSource.InstanceGroupNames", "all hosts of a job are alike"},
    {"DataSource.S3DataSource.HubAccessConfig", "there is no model hub"},
    {"ShuffleConfig", "it has no effect in File mode"},
};

const Json& at_path(const Json& document, std::string_view path) {
    const Json* at = &document;
    for (const auto part : split(path, '.')) at = &(*at)[part];
    return *at;
}

// Present and not switched off: false, 0, "", [] and {} ask for nothing.
bool is_asked_for(const Json& value) {
    if (value.is_bool()) return value.as_bool();
    if (value.is_number()) return value.as_double() != 0;
    if (value.is_string()) return !value.as_string().empty();
    return value.size() > 0;
}

template <size_t N>
Result<void> check_gaps(const Json& document, const Gap (&gaps)[N], const std::string& where) {
    for (const auto& gap : gaps) {
        if (!is_asked_for(at_path(document, gap.path))) continue;
        return invalid_input("Millwright does not support " + where + std::string(gap.path) + ": " +
                             std::string(gap.hint) + ".");
    }
    return {};
}

Result<object_store::S3Uri> parse_uri(const std::string& uri, std::string_view member) {
    if (!uri.starts_with("s3://")) {
        return invalid_input("Millwright does not support the URI '" + uri + "' in " + std::string(member) +
                             ": it must begin with s3://.");
    }
    return object_store::parse_s3_uri(uri);
}

Result<Channel::Source> source_of(const std::string& type, const std::string& where) {
    if (type == "S3Prefix") return Channel::Source::S3Prefix;
    if (type == "ManifestFile") return Channel::Source::ManifestFile;
    return invalid_input("Millwright does not support " + where + "DataSource.S3DataSource.S3DataType " + type +
                         ": use S3Prefix or ManifestFile.");
}

Result<Channel> read_channel(const Json& channel, const std::string& default_mode) {
    const auto name = channel["ChannelName"].string_or("");
    const auto where = "InputDataConfig channel '" + name + "' ";
    TRY(check_gaps(channel, kChannelGaps, where));
    const auto mode = channel["InputMode"].string_or(default_mode);
    if (mode != "File")
        return invalid_input("Millwright does not support input mode " + mode + " (" + where + "): use File.");
    for (const auto* member : {"CompressionType", "RecordWrapperType"}) {
        const auto value = channel[member].string_or("None");
        if (value != "None")
            return invalid_input(std::string(member) + " " + value + " of " + where +
                                 "is for Pipe mode only; use None.");
    }
    const auto& s3 = channel["DataSource"]["S3DataSource"];
    if (!s3.is_object()) return invalid_input(where + "needs an S3DataSource.");
    Channel result;
    result.name = name;
    result.source = TRY(source_of(s3["S3DataType"].string_or(""), where));
    result.uri = TRY(parse_uri(s3["S3Uri"].string_or(""), where + "S3Uri"));
    if (s3["S3DataDistributionType"].string_or("") == "ShardedByS3Key") {
        result.distribution = Channel::Distribution::ShardedByS3Key;
    }
    result.content_type = channel["ContentType"].string_or("");
    return result;
}

Result<std::vector<Channel>> read_channels(const Json& request) {
    const auto mode = request["AlgorithmSpecification"]["TrainingInputMode"].string_or("File");
    std::vector<Channel> channels;
    for (const auto& channel : request["InputDataConfig"].items()) channels.push_back(TRY(read_channel(channel, mode)));
    TRY(executors::check_channel_names(channels));
    return channels;
}

Result<void> read_resources(const Json& request, TrainingPlan& plan) {
    const auto& resources = request["ResourceConfig"];
    plan.training.instance_type = resources["InstanceType"].string_or("");
    const auto type = find_instance_type(plan.training.instance_type);
    if (!type)
        return invalid_input("ResourceConfig needs an InstanceType that Millwright knows, not '" +
                             plan.training.instance_type + "'.");
    const auto count = resources["InstanceCount"].int_or(0);
    constexpr int64_t kMostHosts = 64;
    if (count < 1 || count > kMostHosts) return invalid_input("ResourceConfig.InstanceCount must be between 1 and 64.");
    plan.training.hosts = static_cast<int>(count);
    plan.wanted = {static_cast<double>(type->vcpus), type->memory_bytes};
    return {};
}

Result<void> read_output(const Json& request, TrainingPlan& plan) {
    const auto& output = request["OutputDataConfig"];
    plan.output = TRY(parse_uri(output["S3OutputPath"].string_or(""), "OutputDataConfig.S3OutputPath"));
    if (!plan.output.key.empty() && plan.output.key.back() != '/') plan.output.key += '/';
    if (output["CompressionType"].string_or("GZIP") == "NONE") plan.artifact_form = executors::ArtifactForm::Files;
    return {};
}

Result<void> read_metrics(const Json& request, TrainingPlan& plan) {
    const auto& own = request["AlgorithmSpecification"]["MetricDefinitions"];
    // The XGBoost framework container is open, so users may define what they print; first-party images are closed.
    const auto image = request["AlgorithmSpecification"]["TrainingImage"].string_or("");
    if (own.size() > 0 && image.find("sagemaker-xgboost") == std::string::npos) {
        return invalid_input(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request "
            "without "
            "specifying metric definitions.");
    }
    plan.metric_definitions = own.size() > 0 ? own : default_metric_definitions(plan.image.algorithm);
    for (const auto& definition : own.items()) {
        TRY(MetricRegex::compile(definition["Regex"].string_or("")));
    }
    return {};
}

Result<void> read_limits(const Json& request, TrainingPlan& plan) {
    const auto seconds = request["StoppingCondition"]["MaxRuntimeInSeconds"].int_or(kDefaultMaxRuntime);
    if (seconds > kLongestMaxRuntime) {
        return invalid_input("StoppingCondition.MaxRuntimeInSeconds must be at most 2419200 (28 days).");
    }
    plan.max_runtime = std::chrono::seconds(seconds);
    plan.network_isolation = request["EnableNetworkIsolation"].bool_or(false);
    return {};
}

// The container is told where the checkpoints are, and by some libraries asked where they go.
Result<void> read_checkpoints(const Json& request, TrainingPlan& plan) {
    const auto& asked = request["CheckpointConfig"];
    if (!is_asked_for(asked)) return {};
    executors::CheckpointPlace place;
    place.uri = TRY(parse_uri(asked["S3Uri"].string_or(""), "CheckpointConfig.S3Uri"));
    if (!place.uri.key.empty() && place.uri.key.back() != '/') place.uri.key += '/';
    const auto path = asked["LocalPath"].string_or("");
    place.local_path = TRY(executors::check_checkpoint_path(path.empty() ? executors::kDefaultCheckpointPath : path));
    plan.training.further_configs.emplace_back(
        "checkpointconfig", Json::object({{"S3Uri", asked["S3Uri"]}, {"LocalPath", place.local_path}}));
    plan.training.checkpoints = std::move(place);
    return {};
}

Json debug_hook_config(const Json& asked) {
    auto config = asked;
    if (!config.has("LocalPath")) config.set("LocalPath", "/opt/ml/output/tensors");
    for (const auto* member : {"HookParameters", "CollectionConfigurations"}) {
        if (!config.has(member)) config.set(member, member[0] == 'H' ? Json::object() : Json::array());
    }
    return config;
}

}  // namespace

Result<TrainingPlan> plan_training(const Json& request) {
    TRY(check_gaps(request, kJobGaps, ""));
    TrainingPlan plan;
    const auto uri = request["AlgorithmSpecification"]["TrainingImage"].string_or("");
    const auto image = find_built_in_image(uri);
    if (!image) return invalid_input(unsupported_image_message(uri));
    plan.image = *image;
    TRY(read_resources(request, plan));
    TRY(read_output(request, plan));
    TRY(read_metrics(request, plan));
    TRY(read_limits(request, plan));
    plan.training.channels = TRY(read_channels(request));
    plan.training.hyperparameters = request["HyperParameters"];
    TRY(read_checkpoints(request, plan));
    if (request.has("DebugHookConfig")) {
        plan.training.further_configs.emplace_back("debughookconfig", debug_hook_config(request["DebugHookConfig"]));
    }
    if (request.has("ProfilerConfig")) {
        plan.training.further_configs.emplace_back("profilerconfig", request["ProfilerConfig"]);
    }
    for (const auto& [name, value] : request["Environment"].members()) plan.environment[name] = value.string_or("");
    return plan;
}

}  // namespace millwright::resources
