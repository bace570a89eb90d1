#include "script_mode/distribution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "script_mode/remote_shell.h"

namespace millwright::script_mode {
namespace {

using testing::HasSubstr;
using testing::Not;

// Two hosts by default; `hyperparameters` as the SDK sends them.
TrainingEnvironment environment_of(Framework framework, const std::string& hyperparameters,
                                   const std::string& host = "algo-1",
                                   const std::string& hosts = R"("algo-1","algo-2")", Machine machine = {}) {
    ConfigFiles files;
    files.hyperparameters = hyperparameters;
    files.resources =
        R"({"current_host":")" + host + R"(","current_instance_type":"ml.m5.large","hosts":[)" + hosts +
        R"(],"instance_groups":[{"instance_group_name":"homogeneousCluster","instance_type":"ml.m5.large","hosts":[)" +
        hosts + R"(]}],"network_interface_name":"eth0"})";
    machine.python = "/env/bin/python";
    return read_environment(framework, "/opt/ml", files, machine).value();
}

ScriptCommand script() {
    return {ScriptCommand::Kind::PythonScript,
            {"/env/bin/python", "train.py", "--epochs", "2"},
            "train.py",
            {"--epochs", "2"}};
}

std::string words(const std::vector<std::string>& command) {
    return replace_all(join(command, " "), runner_program(), "RUNNER");
}

TEST(Distribution, WithoutAWishTheScriptIsOneProcessPerHost) {
    const auto plan = plan_launch(environment_of(Framework::TensorFlow, "{}"), script()).value();
    EXPECT_EQ(words(plan.main.command), "/env/bin/python train.py --epochs 2");
    EXPECT_TRUE(plan.before.empty());
    EXPECT_TRUE(plan.environment.empty());
}

TEST(Distribution, PyTorchAlwaysKnowsItsMaster) {
    const auto plan = plan_launch(environment_of(Framework::PyTorch, "{}", "algo-2"), script()).value();
    EXPECT_EQ(words(plan.main.command), "/env/bin/python train.py --epochs 2");
    const std::map<std::string, std::string> expected = {{"MASTER_ADDR", "algo-1"},
                                                         {"MASTER_PORT", "7777"},
                                                         {"NCCL_SOCKET_IFNAME", "eth0"},
                                                         {"NCCL_IB_DISABLE", "1"},
                                                         {"NCCL_DEBUG", "WARN"}};
    EXPECT_EQ(plan.environment, expected);
}

TEST(Distribution, TorchrunGetsRankAndMaster) {
    const std::string wish = R"({"sagemaker_torch_distributed_enabled":"true"})";
    const auto plan = plan_launch(environment_of(Framework::PyTorch, wish, "algo-2"), script()).value();
    EXPECT_EQ(words(plan.main.command),
              "/env/bin/python -m torch.distributed.run --nnodes 2 --nproc_per_node 1 --master_addr algo-1 "
              "--master_port 7777 --node_rank 1 train.py --epochs 2");
    EXPECT_EQ(plan.launcher, "torchrun");
    Machine machine;
    machine.gpus = 4;
    const auto alone =
        plan_launch(environment_of(Framework::PyTorch, wish, "algo-1", R"("algo-1")", machine), script());
    EXPECT_EQ(words(alone->main.command),
              "/env/bin/python -m torch.distributed.run --nnodes 1 --nproc_per_node 4 train.py --epochs 2");
}

TEST(Distribution, TorchrunTakesModulesButNoShellScripts) {
    const std::string wish = R"({"sagemaker_torch_distributed_enabled":"true"})";
    ScriptCommand module = script();
    module.kind = ScriptCommand::Kind::PythonModule;
    module.target = "package";
    const auto plan = plan_launch(environment_of(Framework::PyTorch, wish, "algo-1", R"("algo-1")"), module).value();
    EXPECT_THAT(words(plan.main.command), HasSubstr("--nproc_per_node 1 -m package --epochs 2"));
    ScriptCommand shell{ScriptCommand::Kind::Shell, {"/bin/sh", "-c", "./run.sh"}, "./run.sh", {}};
    const auto refused = plan_launch(environment_of(Framework::PyTorch, wish), shell);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("./run.sh"));
}

TEST(Distribution, MpiStartsOnTheMasterAndWaitsForTheOthers) {
    const std::string wish = R"({"sagemaker_mpi_enabled":"true","sagemaker_mpi_num_of_processes_per_host":"2",)"
                             R"("sagemaker_mpi_custom_mpi_options":"\"-verbose --NCCL_DEBUG=INFO -x A='b c' -np 3\""})";
    const auto plan = plan_launch(environment_of(Framework::TensorFlow, wish), script()).value();
    EXPECT_EQ(words(plan.main.command),
              "mpirun --host algo-1:2,algo-2:2 -np 4 --allow-run-as-root --tag-output --mca btl_tcp_if_include eth0 "
              "--mca oob_tcp_if_include eth0 --mca plm_rsh_no_tree_spawn 1 --bind-to none --map-by slot --mca pml ob1 "
              "--mca btl ^openib --mca orte_abort_on_non_zero_status 1 --mca btl_vader_single_copy_mechanism none "
              "-x NCCL_SOCKET_IFNAME=eth0 -x NCCL_DEBUG=WARN -x PATH --verbose -x NCCL_DEBUG=INFO -x A=b c --np 3 "
              "RUNNER helper rank plain -- /env/bin/python train.py --epochs 2");
    ASSERT_EQ(plan.peers.size(), 1u);
    EXPECT_EQ(plan.peers[0].host, "algo-2");
    EXPECT_EQ(plan.peers[0].port, kRemoteShellPort);
    ASSERT_EQ(plan.before.size(), 1u);
    EXPECT_EQ(words(plan.before[0].command), "RUNNER helper announce 7593");
    EXPECT_EQ(plan.environment.at("PRTE_MCA_plm_ssh_agent"), runner_program() + " helper rsh");
    EXPECT_EQ(plan.environment.at("OMPI_MCA_plm_rsh_agent"), runner_program() + " helper rsh");
    EXPECT_EQ(plan.environment.at("HOME"), "/root");
}

TEST(Distribution, AnMpiWorkerServesUntilTheMasterEnds) {
    const auto plan =
        plan_launch(environment_of(Framework::PyTorch, R"({"sagemaker_mpi_enabled":"true"})", "algo-2"), script())
            .value();
    EXPECT_EQ(words(plan.main.command), "RUNNER helper follow algo-1 7593 --");
    ASSERT_EQ(plan.before.size(), 1u);
    EXPECT_EQ(words(plan.before[0].command), "RUNNER helper rshd");
    EXPECT_TRUE(plan.before[0].essential);
    EXPECT_TRUE(plan.peers.empty());
}

TEST(Distribution, TorchDdpHasTorchsVariables) {
    const auto plan =
        plan_launch(environment_of(Framework::PyTorch, R"({"sagemaker_pytorch_ddp_enabled":"true"})"), script())
            .value();
    EXPECT_THAT(words(plan.main.command), HasSubstr("-np 2 "));
    EXPECT_THAT(words(plan.main.command), HasSubstr("RUNNER helper rank torch -- /env/bin/python train.py"));
    EXPECT_EQ(plan.environment.at("MASTER_ADDR"), "algo-1");
}

TEST(Distribution, ChainerUsesMpiOnSeveralHostsUnlessToldNotTo) {
    const auto plan = plan_launch(environment_of(Framework::Chainer, "{}"), script()).value();
    EXPECT_THAT(words(plan.main.command), testing::StartsWith("mpirun --host algo-1:1,algo-2:1 -np 2 "));
    const auto alone = plan_launch(environment_of(Framework::Chainer, "{}", "algo-1", R"("algo-1")"), script()).value();
    EXPECT_EQ(words(alone.main.command), "/env/bin/python train.py --epochs 2");
    const auto never = plan_launch(environment_of(Framework::Chainer, R"({"sagemaker_use_mpi":"false"})"), script());
    EXPECT_EQ(words(never->main.command), "/env/bin/python train.py --epochs 2");
    const std::string wish =
        R"({"sagemaker_use_mpi":"true","sagemaker_num_processes":"3","sagemaker_process_slots_per_host":"2",)"
        R"("sagemaker_additional_mpi_options":"\"-x B=1\""})";
    const auto exact = plan_launch(environment_of(Framework::Chainer, wish), script()).value();
    EXPECT_THAT(words(exact.main.command), HasSubstr("--host algo-1:2,algo-2:2 -np 3 "));
    EXPECT_THAT(words(exact.main.command), HasSubstr(" -x B=1 RUNNER"));
}

TEST(Distribution, TensorFlowWorkersFindEachOtherInTfConfig) {
    const std::string wish = R"({"sagemaker_multi_worker_mirrored_strategy_enabled":"true"})";
    const auto plan = plan_launch(environment_of(Framework::TensorFlow, wish, "algo-2"), script()).value();
    EXPECT_EQ(plan.environment.at("TF_CONFIG"),
              R"({"cluster":{"worker":["algo-1:8890","algo-2:8890"]},"environment":"cloud",)"
              R"("task":{"index":1,"type":"worker"}})");
    EXPECT_TRUE(plan.before.empty());
}

constexpr const char* kServerCluster =
    R"({"cluster":{"master":["algo-1:2222"],"ps":["algo-1:2223","algo-2:2223"],"worker":["algo-2:2222"]},)"
    R"("environment":"cloud","task":{"index":)";

TEST(Distribution, TensorFlowParameterServersRunOnEveryHost) {
    const std::string wish = R"({"sagemaker_parameter_server_enabled":"true"})";
    const auto master = plan_launch(environment_of(Framework::TensorFlow, wish), script()).value();
    EXPECT_EQ(master.environment.at("TF_CONFIG"), std::string(kServerCluster) + R"(0,"type":"master"}})");
    EXPECT_EQ(words(master.main.command), "/env/bin/python train.py --epochs 2");
    ASSERT_EQ(master.before.size(), 2u);
    EXPECT_EQ(words(master.before[0].command), "RUNNER helper announce 7593");
    EXPECT_EQ(master.before[1].environment.at("TF_CONFIG"), std::string(kServerCluster) + R"(0,"type":"ps"}})");

    const auto worker = plan_launch(environment_of(Framework::TensorFlow, wish, "algo-2"), script()).value();
    EXPECT_EQ(worker.environment.at("TF_CONFIG"), std::string(kServerCluster) + R"(0,"type":"worker"}})");
    EXPECT_EQ(words(worker.main.command), "RUNNER helper follow algo-1 7593 -- /env/bin/python train.py --epochs 2");
    ASSERT_EQ(worker.before.size(), 1u);
    EXPECT_EQ(worker.before[0].environment.at("TF_CONFIG"), std::string(kServerCluster) + R"(1,"type":"ps"}})");
    EXPECT_TRUE(worker.before[0].essential);

    const auto alone = plan_launch(environment_of(Framework::TensorFlow, wish, "algo-1", R"("algo-1")"), script());
    EXPECT_FALSE(alone->environment.contains("TF_CONFIG"));
}

TEST(Distribution, MxnetHasASchedulerAndAServerPerHost) {
    const std::string wish = R"({"sagemaker_parameter_server_enabled":"true","_ps_verbose":"1"})";
    const auto master = plan_launch(environment_of(Framework::Mxnet, wish), script()).value();
    std::map<std::string, std::string> expected = {{"DMLC_NUM_WORKER", "2"},
                                                   {"DMLC_NUM_SERVER", "2"},
                                                   {"DMLC_ROLE", "worker"},
                                                   {"DMLC_PS_ROOT_URI", "algo-1"},
                                                   {"DMLC_PS_ROOT_PORT", "8000"},
                                                   {"DMLC_INTERFACE", "eth0"},
                                                   {"PS_VERBOSE", "1"}};
    EXPECT_EQ(master.environment, expected);
    ASSERT_EQ(master.before.size(), 3u);
    expected["DMLC_ROLE"] = "scheduler";
    EXPECT_EQ(master.before[1].environment, expected);
    expected["DMLC_ROLE"] = "server";
    EXPECT_EQ(master.before[2].environment, expected);
    const auto worker = plan_launch(environment_of(Framework::Mxnet, wish, "algo-2"), script()).value();
    ASSERT_EQ(worker.before.size(), 1u);
    EXPECT_EQ(worker.before[0].environment, expected);
    EXPECT_THAT(words(worker.main.command), testing::StartsWith("RUNNER helper follow algo-1 7593 -- "));
}

TEST(Distribution, HostsOutsideTheNamedGroupsRunTheScriptAlone) {
    ConfigFiles files;
    files.hyperparameters = R"({"sagemaker_mpi_enabled":"true","sagemaker_distribution_instance_groups":"[\"gpus\"]"})";
    files.resources =
        R"({"current_host":"algo-2","hosts":["algo-1","algo-2"],"current_group_name":"readers","instance_groups":[)"
        R"({"instance_group_name":"gpus","instance_type":"ml.m5.large","hosts":["algo-1"]},)"
        R"({"instance_group_name":"readers","instance_type":"ml.m5.large","hosts":["algo-2"]}]})";
    const auto environment = read_environment(Framework::PyTorch, "/opt/ml", files, {}).value();
    EXPECT_EQ(words(plan_launch(environment, script())->main.command), "/env/bin/python train.py --epochs 2");
}

TEST(Distribution, WhatCannotBeHereIsRefusedByName) {
    const auto message = [](Framework framework, const std::string& hyperparameters) {
        const auto plan = plan_launch(environment_of(framework, hyperparameters), script());
        return plan ? std::string() : plan.error().message;
    };
    EXPECT_THAT(message(Framework::PyTorch, R"({"sagemaker_distributed_dataparallel_enabled":"true"})"),
                HasSubstr("smdistributed dataparallel"));
    EXPECT_THAT(message(Framework::PyTorch, R"({"sagemaker_pytorch_xla_multi_worker_enabled":"true"})"),
                HasSubstr("pytorchxla"));
    EXPECT_THAT(message(Framework::PyTorch, R"({"mp_parameters":"{\"partitions\":2}"})"), HasSubstr("modelparallel"));
    EXPECT_THAT(message(Framework::ScikitLearn, R"({"sagemaker_parameter_server_enabled":"true"})"),
                HasSubstr("no meaning for scikit-learn"));
    EXPECT_THAT(message(Framework::TensorFlow,
                        R"({"sagemaker_parameter_server_enabled":"true","sagemaker_mpi_enabled":"true"})"),
                HasSubstr("two distributions at once"));
    EXPECT_EQ(message(Framework::PyTorch, R"({"sagemaker_distributed_dataparallel_enabled":"false"})"), "");
}

}  // namespace
}  // namespace millwright::script_mode
