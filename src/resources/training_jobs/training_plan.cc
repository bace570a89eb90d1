#include "resources/training_jobs/training_plan.h"

#include "resources/training_jobs/metric_definitions.h"
#include "resources/training_jobs/metric_regex.h"
#include "resources/training_jobs/plan_channels.h"
#include "resources/training_jobs/plan_command.h"
#include "resources/training_jobs/plan_life.h"
#include "resources/training_jobs/plan_outputs.h"
#include "resources/training_jobs/request_members.h"

namespace millwright::resources {
namespace {

constexpr int64_t kDefaultMaxRuntime = 86'400;
constexpr int64_t kLongestMaxRuntime = 28 * 86'400;

Result<void> read_output(const Json& request, TrainingPlan& plan) {
    const auto& output = request["OutputDataConfig"];
    plan.output = TRY(parse_s3_member(output["S3OutputPath"].string_or(""), "OutputDataConfig.S3OutputPath"));
    if (!plan.output.key.empty() && plan.output.key.back() != '/') plan.output.key += '/';
    if (output["CompressionType"].string_or("GZIP") == "NONE") plan.artifact_form = executors::ArtifactForm::Files;
    return {};
}

Json effective(const Json& own_definitions, const TrainingCommand& command) {
    if (own_definitions.size() > 0) return own_definitions;
    return default_metric_definitions(command.algorithm ? command.algorithm->algorithm : "");
}

Result<void> read_metrics(const Json& request, TrainingPlan& plan) {
    const auto& own = request["AlgorithmSpecification"]["MetricDefinitions"];
    // The XGBoost framework container is open, so users may define what they print; first-party images are closed.
    const auto image = request["AlgorithmSpecification"]["TrainingImage"].string_or("");
    if (own.size() > 0 && plan.command.algorithm && !find_framework_image(image)) {
        return invalid_input(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request "
            "without "
            "specifying metric definitions.");
    }
    plan.metric_definitions = effective(own, plan.command);
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
    place.uri = TRY(parse_s3_member(asked["S3Uri"].string_or(""), "CheckpointConfig.S3Uri"));
    if (!place.uri.key.empty() && place.uri.key.back() != '/') place.uri.key += '/';
    const auto path = asked["LocalPath"].string_or("");
    place.local_path = TRY(executors::check_checkpoint_path(path.empty() ? executors::kDefaultCheckpointPath : path));
    plan.training.further_configs.emplace_back(
        "checkpointconfig", Json::object({{"S3Uri", asked["S3Uri"]}, {"LocalPath", place.local_path}}));
    plan.training.checkpoints = std::move(place);
    return {};
}

}  // namespace

Json effective_metric_definitions(const Json& request, const std::string& image) {
    const auto command = plan_command(request, image);
    return command ? effective(request["AlgorithmSpecification"]["MetricDefinitions"], *command) : Json();
}

Result<TrainingPlan> plan_training(const Json& request, const std::string& image) {
    TRY(refuse_unsupported_members(request));
    TrainingPlan plan;
    plan.command = TRY(plan_command(request, image));
    TRY(plan_hosts(request, plan));
    TRY(read_output(request, plan));
    TRY(read_metrics(request, plan));
    TRY(read_limits(request, plan));
    TRY(plan_life(request, plan));
    plan.training.channels = TRY(plan_channels(request));
    plan.training.hyperparameters = request["HyperParameters"];
    TRY(read_checkpoints(request, plan));
    TRY(plan_live_outputs(request, plan.training));
    for (const auto& [name, value] : request["Environment"].members()) plan.environment[name] = value.string_or("");
    return plan;
}

}  // namespace millwright::resources
