#include "resources/training_jobs/request_members.h"

#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr RequestMember kMembers[] = {
    {"AlgorithmSpecification.AlgorithmName", Treatment::Refused,
     "algorithm resources do not exist yet, give a TrainingImage"},
    {"AlgorithmSpecification.TrainingImageConfig", Treatment::Refused, "images are not pulled"},
    {"AlgorithmSpecification.EnableSageMakerMetricsTimeSeries", Treatment::Refused, "metrics are in CloudWatch only"},
    {"ResourceConfig.InstanceGroups", Treatment::Refused, "all hosts of a job are alike"},
    {"ResourceConfig.KeepAlivePeriodInSeconds", Treatment::Refused,
     "there are no warm pools; jobs start in milliseconds without"},
    {"ResourceConfig.TrainingPlanArn", Treatment::Refused, "there are no training plans"},
    {"ResourceConfig.InstancePlacementConfig", Treatment::Refused, "there is one machine"},
    {"ResourceConfig.InstancePreferences", Treatment::Refused, "give an InstanceType"},
    {"EnableManagedSpotTraining", Treatment::Refused, "nothing interrupts jobs here; leave it out"},
    {"StoppingCondition.MaxWaitTimeInSeconds", Treatment::Refused, "it belongs to managed spot training"},
    {"StoppingCondition.MaxPendingTimeInSeconds", Treatment::Refused, "a job waits until it fits"},
    {"DebugRuleConfigurations", Treatment::Refused, "debugger rules do not run"},
    {"ProfilerRuleConfigurations", Treatment::Refused, "profiler rules do not run"},
    {"TensorBoardOutputConfig", Treatment::Refused, "TensorBoard data is not uploaded"},
    {"ExperimentConfig", Treatment::Refused, "experiments do not exist yet"},
    {"RetryStrategy", Treatment::Refused, "a job is not run twice"},
    {"RemoteDebugConfig.EnableRemoteDebug", Treatment::Refused, "there is no remote access to jobs"},
    {"InfraCheckConfig.EnableInfraCheck", Treatment::Refused, "there are no infrastructure checks"},
    {"SessionChainingConfig.EnableSessionTagChaining", Treatment::Refused, "sessions carry no tags"},
    {"ServerlessJobConfig", Treatment::Refused, "give an AlgorithmSpecification and a ResourceConfig"},
    {"MlflowConfig", Treatment::Refused, "there is no MLflow server"},
    {"ModelPackageConfig", Treatment::Refused, "there is no model registry yet"},
    {"InputDataConfig[].DataSource.FileSystemDataSource", Treatment::Refused, "give an S3DataSource"},
    {"InputDataConfig[].DataSource.DatasetSource", Treatment::Refused, "give an S3DataSource"},
    {"InputDataConfig[].DataSource.S3DataSource.AttributeNames", Treatment::Refused,
     "augmented manifests are not read yet"},
    {"InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames", Treatment::Refused,
     "all hosts of a job are alike"},
    {"InputDataConfig[].DataSource.S3DataSource.HubAccessConfig", Treatment::Refused, "there is no model hub"},
    {"InputDataConfig[].ShuffleConfig", Treatment::Refused, "it has no effect in File mode"},
};

const Json& at_path(const Json& document, std::string_view path) {
    const Json* at = &document;
    for (const auto part : split(path, '.')) at = &(*at)[part];
    return *at;
}

Result<void> refuse(const Json& document, std::string_view path, const RequestMember& member,
                    const std::string& where) {
    if (!is_asked_for(at_path(document, path))) return {};
    return invalid_input("Millwright does not support " + where + std::string(path) + ": " + std::string(member.word) +
                         ".");
}

constexpr std::string_view kChannels = "InputDataConfig[].";

}  // namespace

std::span<const RequestMember> training_request_members() { return kMembers; }

bool is_asked_for(const Json& value) {
    if (value.is_bool()) return value.as_bool();
    if (value.is_number()) return value.as_double() != 0;
    if (value.is_string()) return !value.as_string().empty();
    return value.size() > 0;
}

Result<void> refuse_unsupported_members(const Json& request) {
    for (const auto& member : kMembers) {
        if (member.treatment != Treatment::Refused) continue;
        if (!member.path.starts_with(kChannels)) {
            TRY(refuse(request, member.path, member, ""));
            continue;
        }
        const auto path = member.path.substr(kChannels.size());
        for (const auto& channel : request["InputDataConfig"].items()) {
            const auto where = "InputDataConfig channel '" + channel["ChannelName"].string_or("") + "' ";
            TRY(refuse(channel, path, member, where));
        }
    }
    return {};
}

}  // namespace millwright::resources
