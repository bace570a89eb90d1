#include "script_mode/training_environment.h"

#include <gtest/gtest.h>

namespace millwright::script_mode {
namespace {

constexpr const char* kResources =
    R"({"current_host":"algo-2","current_instance_type":"ml.m5.large","current_group_name":"homogeneousCluster",
        "hosts":["algo-1","algo-2"],"network_interface_name":"eth0",
        "instance_groups":[{"instance_group_name":"homogeneousCluster","instance_type":"ml.m5.large",
                            "hosts":["algo-1","algo-2"]}]})";

TrainingEnvironment environment_of(const char* hyperparameters, Framework framework = Framework::ScikitLearn,
                                   std::map<std::string, std::string> variables = {},
                                   const char* resources = kResources) {
    const ConfigFiles files{hyperparameters, R"({"train":{"TrainingInputMode":"File"},"eval-Data":{}})", resources};
    auto out = read_environment(framework, "/opt/ml", files, Machine{4, 1, "/env/bin/python", "/toolkit", variables});
    EXPECT_TRUE(out) << out.error().message;
    return std::move(*out);
}

std::map<std::string, std::string> variables_of(const TrainingEnvironment& environment) {
    return script_variables(environment, script_arguments(environment.hyperparameters));
}

TEST(Hyperparameters, AreJsonOrThemselves) {
    const auto value = decode_hyperparameters(
        R"({"a":"5","b":"\"x\"","c":"x y","d":"[1, 2]","e":"1e-3","f":"","g":"null","h":7,"i":"True","j":"0012"})");
    ASSERT_TRUE(value);
    EXPECT_EQ(value->repr(),
              "{'a': 5, 'b': 'x', 'c': 'x y', 'd': [1, 2], 'e': 0.001, 'f': '', 'g': None, 'h': 7, "
              "'i': 'True', 'j': '0012'}");
    EXPECT_FALSE(decode_hyperparameters("[]"));
    EXPECT_FALSE(decode_hyperparameters("{"));
}

TEST(Arguments, AreSortedAndPrintedAsPythonDoes) {
    struct Case {
        const char* hyperparameters;
        std::vector<std::string> arguments;
    };
    const Case cases[] = {
        {"{}", {}},
        {R"({"lr":"0.00001","batch-size":"64","b":"1"})", {"-b", "1", "--batch-size", "64", "--lr", "1e-05"}},
        {R"({"flag":"null","on":"true","off":"false"})", {"--flag", "", "--off", "False", "--on", "True"}},
        {R"({"layers":"[64, \"x\"]"})", {"--layers", "[64, 'x']"}},
        {R"({"map":"{\"b\": 2, \"a\": null}"})", {"--map", "a=None,b=2"}},
        {R"({"name":"\"two words\"","B":"1","a":"2"})", {"-B", "1", "-a", "2", "--name", "two words"}},
    };
    for (const Case& c : cases)
        EXPECT_EQ(script_arguments(*decode_hyperparameters(c.hyperparameters)), c.arguments) << c.hyperparameters;
}

TEST(Arguments, AreSplitOnceMoreWhereTheImagesDo) {
    using Words = std::vector<std::string>;
    EXPECT_EQ(split_as_shell({"--layers", "64 32", "--flag", "", "--x", "1"}),
              (Words{"--layers", "64", "32", "--flag", "--x", "1"}));
    EXPECT_EQ(
        split_as_shell({"--a", "'one word'", "--b", "say \"hi there\"", "--c", "a\\ b", "--d", "\"q\\\"w\\e\"", "''"}),
        (Words{"--a", "one word", "--b", "say", "hi there", "--c", "a b", "--d", "q\"w\\e", ""}));
    EXPECT_EQ(split_as_shell({"--a", "it's", "--b", "x y"}), (Words{"--a", "it's", "--b", "x y"}));
    EXPECT_EQ(split_as_shell({"--a", "$HOME/*;`ls`"}), (Words{"--a", "$HOME/*;`ls`"}));
    EXPECT_TRUE(splits_arguments(Framework::PyTorch) && splits_arguments(Framework::TensorFlow));
    EXPECT_FALSE(splits_arguments(Framework::ScikitLearn) || splits_arguments(Framework::Mxnet));
}

TEST(Environment, SplitsReservedNamesFromTheUsers) {
    const auto e =
        environment_of(R"({"epochs":"2","sagemaker_program":"\"src/train.py\"","sagemaker_region":"\"eu-west-1\"",
        "sagemaker_submit_directory":"\"s3://b/k/sourcedir.tar.gz\"","sagemaker_job_name":"\"j\"",
        "sagemaker_container_log_level":"10","sagemaker_mpi_enabled":"true","_tuning_objective_metric":"loss"})");
    EXPECT_EQ(e.hyperparameters.dump(), R"({"epochs":2})");
    EXPECT_EQ(e.framework_parameters.dump(), R"({"sagemaker_mpi_enabled":true})");
    EXPECT_EQ(e.program, "src/train.py");
    EXPECT_EQ(e.submit_directory, "s3://b/k/sourcedir.tar.gz");
    EXPECT_EQ(e.job_name, "j");
    EXPECT_EQ(e.region, "eu-west-1");
    EXPECT_TRUE(e.asks_for("sagemaker_mpi_enabled"));
    EXPECT_EQ(e.distribution_groups, (std::vector<std::string>{"homogeneousCluster"}));
    EXPECT_EQ(e.distribution_hosts, (std::vector<std::string>{"algo-1", "algo-2"}));
    EXPECT_EQ(e.master_host, "algo-1");
    EXPECT_EQ(e.rank(), 1);
    EXPECT_FALSE(e.is_master());
}

TEST(Environment, VariablesNameProgramAndFolderWhenHyperparametersDoNot) {
    const auto e =
        environment_of("{}", Framework::Python,
                       {{"SAGEMAKER_PROGRAM", "t.py"}, {"SAGEMAKER_SUBMIT_DIRECTORY", "/x"}, {"AWS_REGION", "r"}});
    EXPECT_EQ(e.program, "t.py");
    EXPECT_EQ(e.submit_directory, "/x");
    EXPECT_EQ(e.region, "r");
}

TEST(Environment, GroupsSpanTheHostsTheyName) {
    const auto e =
        environment_of(R"({"sagemaker_distribution_instance_groups":"[\"b\"]","sagemaker_mpi_enabled":"true"})",
                       Framework::PyTorch, {},
                       R"({"current_host":"algo-3","current_group_name":"b","hosts":["algo-1","algo-2","algo-3"],
        "instance_groups":[{"instance_group_name":"a","instance_type":"x","hosts":["algo-2"]},
                           {"instance_group_name":"b","instance_type":"y","hosts":["algo-3","algo-1"]}]})");
    EXPECT_EQ(e.distribution_hosts, (std::vector<std::string>{"algo-3", "algo-1"}));
    EXPECT_EQ(e.master_host, "algo-3");
    EXPECT_EQ(e.instance_type, "local");
    const auto variables = variables_of(e);
    EXPECT_EQ(variables.at("SM_IS_HETERO"), "true");
    EXPECT_EQ(variables.at("SM_INSTANCE_GROUPS"), R"(["a","b"])");
    EXPECT_EQ(variables.at("SM_CURRENT_INSTANCE_GROUP_HOSTS"), R"(["algo-3","algo-1"])");
    EXPECT_EQ(variables.at("SM_INSTANCE_GROUPS_DICT"),
              R"({"a":{"hosts":["algo-2"],"instance_group_name":"a","instance_type":"x"},)"
              R"("b":{"hosts":["algo-3","algo-1"],"instance_group_name":"b","instance_type":"y"}})");
}

TEST(Environment, FilesThatMakeNoSenseAreRefused) {
    for (const char* resources : {"", "[]", "{}", R"({"hosts":[],"current_host":"algo-1"})", R"({"hosts":["algo-1"]})"})
        EXPECT_FALSE(read_environment(Framework::Python, "/opt/ml", {"{}", "{}", resources}, {})) << resources;
}

TEST(Variables, AreThoseOfTheToolkit) {
    const auto e =
        environment_of(R"({"learning-rate":"0.1","k":"null","names":"[\"a\", \"ü\"]","sagemaker_program":"\"train.py\"",
        "sagemaker_job_name":"\"job\"","sagemaker_region":"\"eu-west-1\"","sagemaker_x":"1"})",
                       Framework::ScikitLearn, {{"PYTHONPATH", "/more"}, {"TRAINING_JOB_NAME", "job"}});
    const auto variables = variables_of(e);
    const std::map<std::string, std::string> expected = {
        {"SM_HOSTS", R"(["algo-1","algo-2"])"},
        {"SM_CURRENT_HOST", "algo-2"},
        {"SM_NETWORK_INTERFACE_NAME", "eth0"},
        {"SM_CURRENT_INSTANCE_TYPE", "ml.m5.large"},
        {"SM_CURRENT_INSTANCE_GROUP", "homogeneousCluster"},
        {"SM_CURRENT_INSTANCE_GROUP_HOSTS", R"(["algo-1","algo-2"])"},
        {"SM_INSTANCE_GROUPS", R"(["homogeneousCluster"])"},
        {"SM_INSTANCE_GROUPS_DICT", R"({"homogeneousCluster":{"hosts":["algo-1","algo-2"],)"
                                    R"("instance_group_name":"homogeneousCluster","instance_type":"ml.m5.large"}})"},
        {"SM_DISTRIBUTION_INSTANCE_GROUPS", "[]"},
        {"SM_IS_HETERO", "false"},
        {"SM_CHANNELS", R"(["eval-Data","train"])"},
        {"SM_CHANNEL_TRAIN", "/opt/ml/input/data/train"},
        {"SM_CHANNEL_EVAL-DATA", "/opt/ml/input/data/eval-Data"},
        {"SM_HPS", R"({"k":null,"learning-rate":0.1,"names":["a","\u00fc"]})"},
        {"SM_HP_LEARNING-RATE", "0.1"},
        {"SM_HP_K", ""},
        {"SM_HP_NAMES", R"(["a","\u00fc"])"},
        {"SM_USER_ARGS", R"(["-k","","--learning-rate","0.1","--names","['a', '\u00fc']"])"},
        {"SM_USER_ENTRY_POINT", "train.py"},
        {"SM_MODULE_NAME", "train"},
        {"SM_MODULE_DIR", "/opt/ml/code"},
        {"SM_FRAMEWORK_MODULE", "sagemaker_sklearn_container.training:main"},
        {"SM_FRAMEWORK_PARAMS", R"({"sagemaker_x":1})"},
        {"SM_INPUT_DIR", "/opt/ml/input"},
        {"SM_INPUT_CONFIG_DIR", "/opt/ml/input/config"},
        {"SM_OUTPUT_DIR", "/opt/ml/output"},
        {"SM_OUTPUT_DATA_DIR", "/opt/ml/output/data"},
        {"SM_OUTPUT_INTERMEDIATE_DIR", "/opt/ml/output/intermediate"},
        {"SM_MODEL_DIR", "/opt/ml/model"},
        {"SM_INPUT_DATA_CONFIG", R"({"eval-Data":{},"train":{"TrainingInputMode":"File"}})"},
        {"SM_RESOURCE_CONFIG", Value::parse(kResources)->dump()},
        {"SM_NUM_CPUS", "4"},
        {"SM_NUM_GPUS", "1"},
        {"SM_NUM_NEURONS", "0"},
        {"SM_LOG_LEVEL", "20"},
        {"SAGEMAKER_JOB_NAME", "job"},
        {"CURRENT_HOST", "algo-2"},
        {"SAGEMAKER_REGION", "eu-west-1"},
        {"PYTHONPATH", "/opt/ml/code:/toolkit:/more"},
        {"PYTHONUNBUFFERED", "1"},
        {"PYTHONDONTWRITEBYTECODE", "1"},
        {"PYTHONIOENCODING", "UTF-8"},
        {"LANG", "C.UTF-8"},
        {"LC_ALL", "C.UTF-8"},
        {"SAGEMAKER_TRAINING_MODULE", "sagemaker_sklearn_container.training:main"},
    };
    auto rest = variables;
    for (const auto& [name, value] : expected) {
        ASSERT_TRUE(variables.contains(name)) << name;
        EXPECT_EQ(variables.at(name), value) << name;
        rest.erase(name);
    }
    ASSERT_EQ(rest.size(), 1u);
    EXPECT_TRUE(rest.contains("SM_TRAINING_ENV"));
}

TEST(Variables, TrainingEnvHasEveryPropertyOfTheToolkit) {
    const auto whole = Value::parse(variables_of(environment_of(R"({"a":"1","sagemaker_program":"\"t.py\""})",
                                                                Framework::Python, {{"TRAINING_JOB_NAME", "n"}}))
                                        .at("SM_TRAINING_ENV"));
    ASSERT_TRUE(whole);
    std::vector<std::string> names;
    for (const auto& [name, value] : whole->members()) names.push_back(name);
    EXPECT_EQ(names, (std::vector<std::string>{"additional_framework_parameters",
                                               "channel_input_dirs",
                                               "current_host",
                                               "current_instance_group",
                                               "current_instance_group_hosts",
                                               "current_instance_type",
                                               "distribution_hosts",
                                               "distribution_instance_groups",
                                               "framework_module",
                                               "hosts",
                                               "hyperparameters",
                                               "input_config_dir",
                                               "input_data_config",
                                               "input_dir",
                                               "instance_groups",
                                               "instance_groups_dict",
                                               "is_hetero",
                                               "is_master",
                                               "is_modelparallel_enabled",
                                               "is_smddpmprun_installed",
                                               "is_smddprun_installed",
                                               "job_name",
                                               "log_level",
                                               "master_hostname",
                                               "model_dir",
                                               "module_dir",
                                               "module_name",
                                               "network_interface_name",
                                               "num_cpus",
                                               "num_gpus",
                                               "num_neurons",
                                               "output_data_dir",
                                               "output_dir",
                                               "output_intermediate_dir",
                                               "resource_config",
                                               "topology",
                                               "user_entry_point"}));
    EXPECT_EQ((*whole)["job_name"].text(), "n");
    EXPECT_TRUE((*whole)["framework_module"].is_none());
    EXPECT_EQ((*whole)["channel_input_dirs"]["train"].text(), "/opt/ml/input/data/train");
}

TEST(Variables, FrameworksAddTheirOwn) {
    const auto torch = variables_of(environment_of("{}", Framework::PyTorch));
    EXPECT_EQ(torch.at("MASTER_ADDR"), "algo-1");
    EXPECT_EQ(torch.at("MASTER_PORT"), "7777");
    EXPECT_EQ(torch.at("NCCL_SOCKET_IFNAME"), "eth0");
    EXPECT_EQ(torch.at("NCCL_IB_DISABLE"), "1");
    EXPECT_EQ(torch.at("NCCL_DEBUG"), "WARN");
    const auto xgboost = variables_of(environment_of("{}", Framework::Xgboost));
    EXPECT_EQ(xgboost.at("SM_INPUT_TRAINING_CONFIG_FILE"), "/opt/ml/input/config/hyperparameters.json");
    EXPECT_EQ(xgboost.at("SM_INPUT_DATA_CONFIG_FILE"), "/opt/ml/input/config/inputdataconfig.json");
    EXPECT_EQ(xgboost.at("SM_CHECKPOINT_CONFIG_FILE"), "/opt/ml/input/config/checkpointconfig.json");
    EXPECT_FALSE(xgboost.contains("MASTER_ADDR"));
}

TEST(Variables, TensorFlowTuningJobsGetAModelFolderEach) {
    const std::map<std::string, std::string> job = {{"TRAINING_JOB_NAME", "tune-001"}};
    const auto model_dir = [&](const char* hyperparameters, Framework framework) {
        return environment_of(hyperparameters, framework, job).hyperparameters["model_dir"].str();
    };
    const char* tuned = R"({"model_dir":"\"s3://b/p\"","_tuning_objective_metric":"loss"})";
    EXPECT_EQ(model_dir(tuned, Framework::TensorFlow), "s3://b/p/tune-001/model");
    EXPECT_EQ(model_dir(tuned, Framework::PyTorch), "s3://b/p");
    EXPECT_EQ(model_dir(R"({"model_dir":"\"s3://b/p\""})", Framework::TensorFlow), "s3://b/p");
    EXPECT_EQ(model_dir(R"({"model_dir":"/opt/ml/model","_tuning_objective_metric":"loss"})", Framework::TensorFlow),
              "/opt/ml/model");
}

TEST(Variables, ThePathOfTheToolkitIsGivenOnce) {
    const auto path = [](const char* given) {
        return variables_of(environment_of("{}", Framework::Python, {{"PYTHONPATH", given}})).at("PYTHONPATH");
    };
    EXPECT_EQ(path(""), "/opt/ml/code:/toolkit");
    EXPECT_EQ(path("/a:/toolkit"), "/opt/ml/code:/a:/toolkit");
}

TEST(Variables, WhatTheUserHasSetOfTheImagesDefaultsStays) {
    const auto variables = variables_of(environment_of("{}", Framework::Python, {{"PYTHONUNBUFFERED", "0"}}));
    EXPECT_FALSE(variables.contains("PYTHONUNBUFFERED"));
}

}  // namespace
}  // namespace millwright::script_mode
