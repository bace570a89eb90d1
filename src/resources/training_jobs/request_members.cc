#include "resources/training_jobs/request_members.h"

#include "base/strings.h"

namespace millwright::resources {
namespace {

// clang-format off
// One row a line, in the order of the model. A row stands for everything below its path, so a structure that is refused
// or ignored as a whole has one row; what is honoured is named leaf by leaf.
constexpr RequestMember kMembers[] = {
    {"TrainingJobName", Treatment::Honoured, "tests/conformance/test_bad_input.py::test_duplicate_name"},
    {"HyperParameters{}", Treatment::Honoured, "tests/conformance/test_scripts.py::test_a_script_finds_the_whole_contract"},
    {"AlgorithmSpecification.TrainingImage", Treatment::Honoured, "TrainingPlan.AFrameworkImageRunsTheScriptOfItsHyperparameters"},
    {"AlgorithmSpecification.AlgorithmName", Treatment::Refused, "algorithm resources do not exist yet, give a TrainingImage"},
    {"AlgorithmSpecification.TrainingInputMode", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_pipe_has_an_epoch_per_fifo"},
    {"AlgorithmSpecification.MetricDefinitions[].Name", Treatment::Honoured, "tests/conformance/test_request_members.py::test_own_metric_definitions_find_their_values"},
    {"AlgorithmSpecification.MetricDefinitions[].Regex", Treatment::Honoured, "tests/conformance/test_request_members.py::test_own_metric_definitions_find_their_values"},
    {"AlgorithmSpecification.EnableSageMakerMetricsTimeSeries", Treatment::NoEffect,
     "the SDKs ask for it by default; metrics are in CloudWatch"},
    {"AlgorithmSpecification.ContainerEntrypoint", Treatment::Honoured, "tests/conformance/test_scripts.py::test_a_command_of_the_request_finds_the_same_tree"},
    {"AlgorithmSpecification.ContainerArguments", Treatment::Honoured, "tests/conformance/test_scripts.py::test_arguments_alone_replace_the_word_train"},
    {"AlgorithmSpecification.TrainingImageConfig", Treatment::Refused, "logins to other registries are in config.toml: [registries]"},
    {"RoleArn", Treatment::Honoured, "tests/conformance/test_scripts.py::test_the_role_is_the_jobs_only_identity"},
    {"InputDataConfig[].ChannelName", Treatment::Honoured, "tests/conformance/test_hostile.py::test_channels_are_no_paths"},
    {"InputDataConfig[].DataSource.S3DataSource.S3DataType", Treatment::Honoured, "tests/conformance/test_training.py::test_a_manifest_names_the_objects"},
    {"InputDataConfig[].DataSource.S3DataSource.S3Uri", Treatment::Honoured, "tests/conformance/test_bad_input.py::test_empty_prefix"},
    {"InputDataConfig[].DataSource.S3DataSource.S3DataDistributionType", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_shards_are_dealt_out_by_key"},
    {"InputDataConfig[].DataSource.S3DataSource.AttributeNames", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_an_augmented_manifest_delivers_its_attributes"},
    {"InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_channels_of_instance_groups_are_on_their_hosts"},
    {"InputDataConfig[].DataSource.S3DataSource.ModelAccessConfig", Treatment::NoEffect, "an S3 URI is read whatever licence its model has"},
    {"InputDataConfig[].DataSource.S3DataSource.HubAccessConfig", Treatment::Refused, "there is no model hub"},
    {"InputDataConfig[].DataSource.FileSystemDataSource.FileSystemId", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_file_systems_are_folders_of_the_machine"},
    {"InputDataConfig[].DataSource.FileSystemDataSource.FileSystemAccessMode", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_file_systems_are_folders_of_the_machine"},
    {"InputDataConfig[].DataSource.FileSystemDataSource.FileSystemType", Treatment::NoEffect, "a folder of this machine stands for the file system, whatever its type"},
    {"InputDataConfig[].DataSource.FileSystemDataSource.DirectoryPath", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_file_systems_are_folders_of_the_machine"},
    {"InputDataConfig[].DataSource.DatasetSource", Treatment::Refused, "give an S3DataSource"},
    {"InputDataConfig[].ContentType", Treatment::Honoured, "tests/conformance/test_bad_input.py::test_truncated_recordio"},
    {"InputDataConfig[].CompressionType", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_pipe_unpacks_and_wraps"},
    {"InputDataConfig[].RecordWrapperType", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_pipe_unpacks_and_wraps"},
    {"InputDataConfig[].InputMode", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_every_channel_has_its_own_mode"},
    {"InputDataConfig[].ShuffleConfig.Seed", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_shuffling_is_new_each_epoch_and_the_same_on_all_hosts"},
    {"OutputDataConfig.KmsKeyId", Treatment::NoEffect, "nothing is encrypted with a key of yours; it is shown again"},
    {"OutputDataConfig.S3OutputPath", Treatment::Honoured, "tests/conformance/test_training.py::test_a_job_trains_and_leaves_a_model"},
    {"OutputDataConfig.CompressionType", Treatment::Honoured, "tests/conformance/test_request_members.py::test_without_compression_the_model_is_one_object_per_file"},
    {"ResourceConfig.InstanceType", Treatment::Honoured, "TrainingJobsTest.WhatCanNeverFitIsShrunkWithANote"},
    {"ResourceConfig.InstanceCount", Treatment::Honoured, "tests/conformance/test_training.py::test_two_hosts_train_together"},
    {"ResourceConfig.VolumeSizeInGB", Treatment::Honoured, "ProcessExecutorTest.ARunThatWritesTooMuchIsStoppedAsOutOfDisk"},
    {"ResourceConfig.VolumeKmsKeyId", Treatment::NoEffect, "nothing is encrypted with a key of yours; it is shown again"},
    {"ResourceConfig.KeepAlivePeriodInSeconds", Treatment::Honoured, "tests/conformance/test_warm_pools.py::test_a_second_job_reuses_the_instances"},
    {"ResourceConfig.InstanceGroups[].InstanceType", Treatment::Honoured, "TrainingPlan.InstanceGroupsAreHostsOfTheirOwnSize"},
    {"ResourceConfig.InstanceGroups[].InstanceCount", Treatment::Honoured, "TrainingPlan.InstanceGroupsAreHostsOfTheirOwnSize"},
    {"ResourceConfig.InstanceGroups[].InstanceGroupName", Treatment::Honoured, "TrainingPlan.InstanceGroupsAreHostsOfTheirOwnSize"},
    {"ResourceConfig.TrainingPlanArn", Treatment::Refused, "there are no training plans"},
    {"ResourceConfig.InstancePlacementConfig", Treatment::Refused, "there is one machine"},
    {"ResourceConfig.InstancePreferences", Treatment::Refused, "give an InstanceType"},
    {"ResourceConfig.SelectedInstanceType", Treatment::Refused, "it belongs to InstancePreferences; give an InstanceType"},
    {"ResourceConfig.SelectedInstanceCount", Treatment::Refused, "it belongs to InstancePreferences; give an InstanceCount"},
    {"VpcConfig", Treatment::NoEffect, "a job's network reaches its own hosts and this server whatever the subnet; it is shown again"},
    {"StoppingCondition.MaxRuntimeInSeconds", Treatment::Honoured, "tests/conformance/test_training.py::test_max_runtime_stops_a_job"},
    {"StoppingCondition.MaxWaitTimeInSeconds", Treatment::Honoured, "tests/conformance/test_spot.py::test_max_wait_ends_a_job"},
    {"StoppingCondition.MaxPendingTimeInSeconds", Treatment::Honoured, "TrainingLifeTest.MaxPendingEndsAJobThatHasNotBegun"},
    {"Tags[].Key", Treatment::Honoured, "tests/conformance/test_training.py::test_tags"},
    {"Tags[].Value", Treatment::Honoured, "tests/conformance/test_training.py::test_tags"},
    {"EnableNetworkIsolation", Treatment::Honoured, "tests/conformance/test_local_mode_gaps.py::test_an_isolated_job_reaches_nothing_and_has_no_credentials"},
    {"EnableInterContainerTrafficEncryption", Treatment::NoEffect, "all hosts of a job are on one machine, their traffic never leaves it"},
    {"EnableManagedSpotTraining", Treatment::Honoured, "tests/conformance/test_spot.py::test_an_interrupted_job_goes_on_from_its_checkpoints"},
    {"CheckpointConfig.S3Uri", Treatment::Honoured, "tests/conformance/test_checkpoints.py::test_a_stopped_job_is_resumed_by_the_next"},
    {"CheckpointConfig.LocalPath", Treatment::Honoured, "tests/conformance/test_checkpoints.py::test_reserved_local_paths_are_refused"},
    {"DebugHookConfig.LocalPath", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"DebugHookConfig.S3OutputPath", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"DebugHookConfig.HookParameters{}", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"DebugHookConfig.CollectionConfigurations[].CollectionName", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"DebugHookConfig.CollectionConfigurations[].CollectionParameters{}", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"DebugRuleConfigurations", Treatment::Refused, "debugger rules do not run"},
    {"TensorBoardOutputConfig.LocalPath", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"TensorBoardOutputConfig.S3OutputPath", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"ExperimentConfig", Treatment::Refused, "experiments do not exist yet"},
    {"ProfilerConfig.S3OutputPath", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"ProfilerConfig.ProfilingIntervalInMilliseconds", Treatment::NoEffect, "told in profilerconfig.json; host metrics are in CloudWatch"},
    {"ProfilerConfig.ProfilingParameters{}", Treatment::Honoured, "tests/conformance/test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"},
    {"ProfilerConfig.DisableProfiler", Treatment::Honoured, "TrainingPlan.PlansLiveOutputs"},
    {"ProfilerRuleConfigurations", Treatment::Refused, "profiler rules do not run"},
    {"Environment{}", Treatment::Honoured, "tests/conformance/test_scripts.py::test_a_script_finds_the_whole_contract"},
    {"RetryStrategy.MaximumRetryAttempts", Treatment::Honoured, "TrainingLifeTest.FaultsOfThePlatformAreTriedAgain"},
    {"RemoteDebugConfig.EnableRemoteDebug", Treatment::Refused, "there is no remote access to jobs"},
    {"InfraCheckConfig.EnableInfraCheck", Treatment::Refused, "there are no infrastructure checks"},
    {"SessionChainingConfig.EnableSessionTagChaining", Treatment::Refused, "sessions carry no tags"},
    {"ServerlessJobConfig", Treatment::Refused, "give an AlgorithmSpecification and a ResourceConfig"},
    {"MlflowConfig", Treatment::Refused, "there is no MLflow server"},
    {"ModelPackageConfig", Treatment::Refused, "there is no model registry yet"},
};
// clang-format on

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

const char* name_of(Treatment treatment) {
    switch (treatment) {
        case Treatment::Honoured:
            return "honoured";
        case Treatment::NoEffect:
            return "no effect";
        case Treatment::Refused:
            return "refused";
    }
    return "";
}

}  // namespace

std::span<const RequestMember> training_request_members() { return kMembers; }

Json describe_training_request_members() {
    auto list = Json::array();
    for (const auto& member : kMembers) {
        list.push_back(Json::object({{"member", std::string(member.path)},
                                     {"treatment", name_of(member.treatment)},
                                     {"word", std::string(member.word)}}));
    }
    return list;
}

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
