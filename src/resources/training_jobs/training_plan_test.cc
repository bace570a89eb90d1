#include "resources/training_jobs/training_plan.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/strings.h"
#include "resources/training_jobs/plan_channels.h"

namespace millwright::resources {
namespace {

Json request() {
    return *Json::parse(R"({
        "TrainingJobName": "job", "RoleArn": "arn:aws:iam::123456789012:role/SageMakerRole",
        "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "1.dkr.ecr.us-west-2.amazonaws.com/pca:1"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile",
            "S3Uri": "s3://bucket/list.manifest", "S3DataDistributionType": "ShardedByS3Key"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out", "KmsKeyId": ""},
        "ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.c5.xlarge", "VolumeSizeInGB": 5, "KeepAlivePeriodInSeconds": 0},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60}, "EnableManagedSpotTraining": false,
        "DebugHookConfig": {"S3OutputPath": "s3://bucket/debug", "CollectionConfigurations": []},
        "ProfilerConfig": {"S3OutputPath": "s3://bucket/profiler", "DisableProfiler": false}})");
}

// The text with which the request is refused once `path` is set to the JSON `value`; empty when it is not.
std::string refusal(std::string_view path, std::string_view value) {
    auto document = request();
    const auto parts = split(path, '.');
    const std::function<Json(const Json&, size_t)> with = [&](const Json& at, size_t depth) -> Json {
        if (depth == parts.size()) return *Json::parse(value);
        auto changed = at;
        if (changed.is_array()) {
            changed.as_array()[0] = with(at[size_t{0}], depth + 1);
        } else {
            changed.set(parts[depth], with(at[parts[depth]], depth + 1));
        }
        return changed;
    };
    const auto plan = plan_training(with(document, 0));
    if (plan) return "";
    EXPECT_EQ(plan.error().kind, ErrorKind::InvalidInput);
    return plan.error().message;
}

TEST(TrainingPlan, ReadsWhatSdksSend) {
    const auto plan = plan_training(request());
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->command.algorithm->algorithm, "pca");
    EXPECT_EQ(plan->training.hosts, 2);
    EXPECT_EQ(plan->wanted.cpus, 4);
    EXPECT_EQ(plan->volume_gib, 5);
    EXPECT_EQ(plan->max_runtime, std::chrono::seconds(60));
    EXPECT_EQ(plan->output.key, "out/");
    EXPECT_EQ(plan->training.channels[0].source, executors::Channel::Source::ManifestFile);
    EXPECT_EQ(plan->training.channels[0].distribution, executors::Channel::Distribution::ShardedByS3Key);
    ASSERT_EQ(plan->training.further_configs.size(), 2u);
    EXPECT_EQ(
        plan->training.further_configs[0].second.dump(),
        R"({"S3OutputPath":"s3://bucket/debug","CollectionConfigurations":[],"LocalPath":"/opt/ml/output/tensors",)"
        R"("HookParameters":{}})");
}

TEST(TrainingPlan, ReadsWhereCheckpointsGo) {
    auto document = request();
    document.set("CheckpointConfig", *Json::parse(R"({"S3Uri":"s3://bucket/c"})"));
    const auto plan = plan_training(document);
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_TRUE(plan->training.checkpoints);
    EXPECT_EQ(plan->training.checkpoints->uri.key, "c/");
    EXPECT_EQ(plan->training.checkpoints->local_path, "/opt/ml/checkpoints");
    EXPECT_EQ(plan->training.further_configs[0].first, "checkpointconfig");
    EXPECT_EQ(plan->training.further_configs[0].second.dump(),
              R"({"S3Uri":"s3://bucket/c","LocalPath":"/opt/ml/checkpoints"})");
    EXPECT_EQ(refusal("CheckpointConfig", R"({"S3Uri":"s3://bucket/c","LocalPath":"/state"})"), "");
    EXPECT_NE(
        refusal("CheckpointConfig", R"({"S3Uri":"s3://bucket/c","LocalPath":"/opt/ml/model/x"})").find("reserved"),
        std::string::npos);
    EXPECT_NE(refusal("CheckpointConfig", R"({"S3Uri":"https://bucket/c"})").find("CheckpointConfig.S3Uri"),
              std::string::npos);
    EXPECT_NE(refusal("CheckpointConfig", R"({"LocalPath":"/state"})").find("CheckpointConfig.S3Uri"),
              std::string::npos);
}

TEST(TrainingPlan, RefusesEachGapByName) {
    const std::pair<std::string_view, std::string_view> gaps[] = {
        {"AlgorithmSpecification.AlgorithmName", R"("x")"},
        {"DebugRuleConfigurations", R"([{"RuleConfigurationName":"x"}])"},
        {"ProfilerRuleConfigurations", R"([{"RuleConfigurationName":"x"}])"},
        {"ExperimentConfig", R"({"TrialName":"x"})"},
    };
    for (const auto& [path, value] : gaps) {
        EXPECT_TRUE(refusal(path, value).starts_with("Millwright does not support " + std::string(path) + ":"))
            << path << ": " << refusal(path, value);
    }
}

TEST(TrainingPlan, RefusesChannelsItCannotFeed) {
    const auto refuses = [](std::string_view path, std::string_view value, const std::string& word) {
        const auto text = refusal(path, value);
        EXPECT_NE(text.find(word), std::string::npos) << path << " " << value << ": " << text;
    };
    refuses("InputDataConfig.0.InputMode", R"("FastFile")", "S3Prefix only");  // the channel has a manifest
    refuses("InputDataConfig.0.CompressionType", R"("Gzip")", "Pipe only");
    refuses("InputDataConfig.0.RecordWrapperType", R"("RecordIO")", "Pipe only");
    refuses("InputDataConfig.0.ChannelName", R"("..")", "cannot be the name");
    refuses("InputDataConfig.0.DataSource.S3DataSource.S3DataType", R"("AugmentedManifestFile")", "Pipe only");
    refuses("InputDataConfig.0.DataSource.S3DataSource.AttributeNames", R"(["a"])", "AugmentedManifestFile");
    refuses("InputDataConfig.0.DataSource.S3DataSource.InstanceGroupNames", R"(["g"])", "instance group 'g'");
    refuses("InputDataConfig.0.DataSource.S3DataSource.S3Uri", R"("https://bucket/x")", "s3://");
    refuses("InputDataConfig.0.DataSource", "{}", "either an S3DataSource or a FileSystemDataSource");
    refuses("InputDataConfig.0.DataSource", R"({"FileSystemDataSource":{"DirectoryPath":"x"}})", "DirectoryPath");
    refuses("InputDataConfig",
            R"([{"ChannelName":"a","InputMode":"Pipe","DataSource":{"FileSystemDataSource":{"DirectoryPath":"/x"}}}])",
            "File only");
    refuses("InputDataConfig",
            R"([{"ChannelName":"a","InputMode":"Pipe","DataSource":{"S3DataSource":{"S3DataType":"S3Prefix",
                "S3Uri":"s3://bucket/p"}}},
                {"ChannelName":"a_12","DataSource":{"S3DataSource":{"S3DataType":"S3Prefix","S3Uri":"s3://bucket/p"}}}])",
            "an epoch of the Pipe channel 'a'");
}

TEST(TrainingPlan, ReadsWhatAPipeChannelDelivers) {
    auto document = request();
    document.set("InputDataConfig", *Json::parse(R"([{"ChannelName":"a","InputMode":"Pipe","CompressionType":"Gzip",
        "RecordWrapperType":"RecordIO","ShuffleConfig":{"Seed":7},"DataSource":{"S3DataSource":{
        "S3DataType":"AugmentedManifestFile","S3Uri":"s3://bucket/list","AttributeNames":["x-ref","y"]}}}])"));
    const auto plan = plan_training(document);
    ASSERT_TRUE(plan) << plan.error().message;
    const auto& channel = plan->training.channels.at(0);
    EXPECT_EQ(channel.mode, executors::Channel::Mode::Pipe);
    EXPECT_EQ(channel.source, executors::Channel::Source::AugmentedManifest);
    EXPECT_TRUE(channel.gunzip && channel.wrap_in_recordio);
    EXPECT_EQ(channel.shuffle_seed, 7u);
    EXPECT_EQ(channel.attribute_names, (std::vector<std::string>{"x-ref", "y"}));
}

TEST(TrainingPlan, FindsTheFoldersOfFileSystems) {
    auto document = request();
    document.set("InputDataConfig", *Json::parse(R"([{"ChannelName":"a","DataSource":{"FileSystemDataSource":{
        "FileSystemId":"fs-01234567","FileSystemType":"EFS","DirectoryPath":"/x","FileSystemAccessMode":"rw"}}}])"));
    auto plan = plan_training(document);
    ASSERT_TRUE(plan) << plan.error().message;
    auto& channels = plan->training.channels;
    EXPECT_NE(find_file_systems({}, channels).error().message.find("[file_systems]"), std::string::npos);
    ASSERT_TRUE(find_file_systems({{"fs-01234567", "/mnt/efs"}}, channels));
    EXPECT_EQ(channels[0].file_system, "/mnt/efs");
    EXPECT_EQ(channels[0].directory, "/x");
    EXPECT_TRUE(channels[0].writable);
}

TEST(TrainingPlan, PlansLiveOutputs) {
    auto document = request();
    document.set("TensorBoardOutputConfig", *Json::parse(R"({"S3OutputPath":"s3://bucket","LocalPath":"/tb/"})"));
    auto plan = plan_training(document);
    ASSERT_TRUE(plan) << plan.error().message;
    const auto& live = plan->training.live_outputs;
    ASSERT_EQ(live.size(), 3u);
    EXPECT_EQ(live[0].inside, "output/tensors");
    EXPECT_EQ(live[0].uri.key, "debug/job/debug-output/");
    EXPECT_EQ(live[1].mount_at, "/tb");
    EXPECT_EQ(live[1].uri.key, "job/tensorboard-output/");
    EXPECT_EQ(live[2].inside, "output/profiler");
    EXPECT_EQ(refusal("ProfilerConfig.DisableProfiler", "true"), "");
    document.set("ProfilerConfig", *Json::parse(R"({"S3OutputPath":"s3://bucket","DisableProfiler":true})"));
    EXPECT_EQ(plan_training(document)->training.live_outputs.size(), 2u);
    EXPECT_NE(refusal("TensorBoardOutputConfig", R"({"S3OutputPath":"s3://bucket","LocalPath":"/opt/ml/model/t"})")
                  .find("TensorBoardOutputConfig.LocalPath"),
              std::string::npos);
    EXPECT_NE(refusal("TensorBoardOutputConfig", R"({"S3OutputPath":"file:///b"})").find("s3://"), std::string::npos);
}

Json script_request(const std::string& image, const std::string& parameters) {
    auto document = request();
    document.set("AlgorithmSpecification", Json::object({{"TrainingInputMode", "File"}, {"TrainingImage", image}}));
    document.set("HyperParameters", *Json::parse(parameters));
    return document;
}

TEST(TrainingPlan, AFrameworkImageRunsTheScriptOfItsHyperparameters) {
    const std::string image = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.0.0-cpu-py310";
    // As the framework estimators send them, and as boto3 users write them.
    for (const char* parameters :
         {R"({"sagemaker_program":"\"train.py\"","sagemaker_submit_directory":"\"s3://bucket/c/sourcedir.tar.gz\""})",
          R"({"sagemaker_program":"train.py","sagemaker_submit_directory":"s3://bucket/c/sourcedir.tar.gz"})"}) {
        const auto plan = plan_training(script_request(image, parameters));
        ASSERT_TRUE(plan) << plan.error().message;
        EXPECT_FALSE(plan->command.algorithm);
        EXPECT_EQ(plan->command.framework->framework, "pytorch");
        EXPECT_EQ(plan->command.framework->version, "2.0.0");
        ASSERT_TRUE(plan->command.submit_directory);
        EXPECT_EQ(plan->command.submit_directory->key, "c/sourcedir.tar.gz");
    }
    const auto elsewhere = plan_training(script_request(
        image, R"({"sagemaker_program":"a.py","sagemaker_submit_directory":"/opt/ml/input/data/code"})"));
    ASSERT_TRUE(elsewhere);
    EXPECT_FALSE(elsewhere->command.submit_directory);
    const auto nothing = plan_training(script_request(image, "{}"));
    ASSERT_FALSE(nothing);
    EXPECT_NE(nothing.error().message.find("sagemaker_program"), std::string::npos);
}

TEST(TrainingPlan, XgboostIsAnAlgorithmUntilItGetsAScript) {
    const auto built_in = plan_training(script_request("a/sagemaker-xgboost:1.7-1", "{}"));
    ASSERT_TRUE(built_in);
    EXPECT_TRUE(built_in->command.algorithm);
    EXPECT_FALSE(built_in->command.framework);
    const auto script = plan_training(script_request("a/sagemaker-xgboost:1.7-1", R"({"sagemaker_program":"a.py"})"));
    ASSERT_TRUE(script);
    EXPECT_FALSE(script->command.algorithm);
    EXPECT_EQ(script->command.framework->framework, "xgboost");
    const auto pca = plan_training(script_request("a/pca:1", R"({"sagemaker_program":"a.py"})"));
    ASSERT_FALSE(pca);
    EXPECT_NE(pca.error().message.find("built-in algorithm"), std::string::npos);
}

TEST(TrainingPlan, AnEntryPointReplacesTheRunner) {
    auto document = script_request("a/sagemaker-scikit-learn:1.2-1-cpu-py3", "{}");
    document.set("AlgorithmSpecification", Json::object({{"TrainingInputMode", "File"},
                                                         {"TrainingImage", "a/sagemaker-scikit-learn:1.2-1-cpu-py3"},
                                                         {"ContainerEntrypoint", Json::array({"/bin/bash"})},
                                                         {"ContainerArguments", Json::array({"-c", "true"})}}));
    const auto plan = plan_training(document);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->command.entrypoint, std::vector<std::string>{"/bin/bash"});
    EXPECT_EQ(plan->command.arguments, (std::vector<std::string>{"-c", "true"}));
}

TEST(TrainingPlan, RefusesImagesAndLimits) {
    EXPECT_NE(refusal("AlgorithmSpecification.TrainingImage", R"("My/image:1")").find("My/image:1"), std::string::npos);
    EXPECT_NE(refusal("StoppingCondition.MaxRuntimeInSeconds", "2419201").find("28 days"), std::string::npos);
    EXPECT_NE(refusal("ResourceConfig.InstanceCount", "0").find("InstanceCount"), std::string::npos);
    const auto metrics = refusal("AlgorithmSpecification.MetricDefinitions", R"([{"Name":"a","Regex":"b=(.);"}])");
    EXPECT_TRUE(metrics.starts_with("You can't override the metric definitions")) << metrics;
}

TEST(TrainingPlan, ChecksMetricDefinitionsOfOpenContainers) {
    auto document = request();
    auto algorithm = *Json::parse(R"({"TrainingInputMode":"File","TrainingImage":"a/sagemaker-xgboost:1.7-1",
                                      "MetricDefinitions":[{"Name":"m","Regex":"x=(.);"}]})");
    document.set("AlgorithmSpecification", algorithm);
    ASSERT_TRUE(plan_training(document));
    EXPECT_EQ(plan_training(document)->metric_definitions.size(), 1u);
    algorithm.set("MetricDefinitions", *Json::parse(R"([{"Name":"m","Regex":"x=(."}])"));
    document.set("AlgorithmSpecification", algorithm);
    EXPECT_FALSE(plan_training(document));
}

TEST(TrainingPlan, InstanceGroupsAreHostsOfTheirOwnSize) {
    const std::string groups = R"({"VolumeSizeInGB": 5, "InstanceGroups": [
        {"InstanceGroupName": "data", "InstanceType": "ml.c5.xlarge", "InstanceCount": 2},
        {"InstanceGroupName": "net", "InstanceType": "ml.m5.2xlarge", "InstanceCount": 1}]})";
    auto document = request();
    document.set("ResourceConfig", *Json::parse(groups));
    const auto plan = plan_training(document);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->training.hosts, 3);
    ASSERT_EQ(plan->training.groups.size(), 2u);
    EXPECT_EQ(plan->training.groups[1].name, "net");
    ASSERT_EQ(plan->wanted_by_host.size(), 3u);
    EXPECT_EQ(plan->wanted_by_host[1].cpus, 4);
    EXPECT_EQ(plan->wanted_by_host[2].cpus, 8);
    EXPECT_EQ(plan->wanted.cpus, 8);
    EXPECT_EQ(refusal("ResourceConfig.InstanceGroups",
                      R"([{"InstanceGroupName": "a", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1}])"),
              "InstanceType or InstanceCount cannot be specified with InstanceGroups");
    const auto twice = replace_all(groups, "\"net\"", "\"data\"");
    EXPECT_EQ(refusal("ResourceConfig", twice), "Instance group names must be unique. The name data is used twice.");
    const auto unknown = replace_all(groups, "ml.m5.2xlarge", "ml.x9.large");
    EXPECT_NE(refusal("ResourceConfig", unknown).find("'ml.x9.large'"), std::string::npos);
}

TEST(TrainingPlan, SpotNeedsAWaitAtLeastAsLongAsItsRun) {
    EXPECT_EQ(refusal("EnableManagedSpotTraining", "true"),
              "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds");
    EXPECT_EQ(refusal("StoppingCondition.MaxWaitTimeInSeconds", "60"),
              "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true");
    auto document = request();
    document.set("EnableManagedSpotTraining", true);
    document.set("StoppingCondition", *Json::parse(R"({"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60})"));
    document.set("RetryStrategy", *Json::parse(R"({"MaximumRetryAttempts": 30})"));
    const auto plan = plan_training(document);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_TRUE(plan->life.spot);
    EXPECT_EQ(plan->life.max_wait, std::chrono::seconds(60));
    EXPECT_EQ(plan->life.max_retries, 30);
}

}  // namespace
}  // namespace millwright::resources
