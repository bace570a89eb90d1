#include "script_mode/distribution.h"

#include <arpa/inet.h>

#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "script_mode/peer.h"
#include "script_mode/remote_shell.h"

namespace millwright::script_mode {
namespace {

// Ports as the images of SageMaker use them; scripts have been seen to rely on the first three.
constexpr const char* kTorchPort = "7777";
constexpr const char* kMxnetPort = "8000";
constexpr int kMirroredPort = 8890;
constexpr int kTaskPort = 2222, kParameterServerPort = 2223;

constexpr const char* kTensorflowServer =
    "import json, os\n"
    "os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\n"
    "import tensorflow as tf\n"
    "config = json.loads(os.environ['TF_CONFIG'])\n"
    "cluster = tf.train.ClusterSpec(config['cluster'])\n"
    "tf.distribute.Server(cluster, job_name='ps', task_index=config['task']['index'], protocol='grpc').join()\n";

// Importing mxnet with DMLC_ROLE scheduler or server runs that role until all workers have ended.
constexpr const char* kMxnetRole = "import mxnet";

using Names = std::vector<std::string>;

LaunchPlan plan_process(const TrainingEnvironment& environment, const ScriptCommand& script) {
    LaunchPlan plan;
    plan.main.name = "script";
    plan.main.command = script.command;
    if (environment.framework == Framework::PyTorch) {
        plan.environment = {{"MASTER_ADDR", environment.master_host},
                            {"MASTER_PORT", kTorchPort},
                            {"NCCL_SOCKET_IFNAME", environment.network_interface},
                            {"NCCL_IB_DISABLE", "1"},
                            {"NCCL_DEBUG", "WARN"}};
    }
    return plan;
}

Names helper(std::initializer_list<std::string> arguments) {
    Names command = {runner_program(), "helper"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
}

// The master's sign of life. Whoever follows it knows that the master has ended, however it did.
void announce(LaunchPlan& plan) {
    plan.before.push_back({"announcer", helper({"announce", std::to_string(kAnnouncePort)}), {}, "/", true});
}

// Runs `command` and then stays until the master has ended, for the sake of what else runs on this host.
Names follow_master(const TrainingEnvironment& environment, const Names& command) {
    Names result = helper({"follow", environment.master_host, std::to_string(kAnnouncePort), "--"});
    result.insert(result.end(), command.begin(), command.end());
    return result;
}

size_t position(const Names& names, const std::string& name) {
    return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

// --- torchrun ---

Result<LaunchPlan> plan_torchrun(const TrainingEnvironment& environment, const ScriptCommand& script) {
    if (script.kind == ScriptCommand::Kind::Shell)
        return invalid_input("torch_distributed starts Python scripts only; the entry point is " + script.target);
    LaunchPlan plan = plan_process(environment, script);
    plan.launcher = "torchrun";
    const auto& hosts = environment.distribution_hosts;
    Names command = {script.command.front(),
                     "-m",
                     "torch.distributed.run",
                     "--nnodes",
                     std::to_string(hosts.size()),
                     "--nproc_per_node",
                     std::to_string(environment.default_processes_per_host())};
    if (hosts.size() > 1) {
        for (const std::string& word :
             {std::string("--master_addr"), environment.master_host, std::string("--master_port"),
              std::string(kTorchPort), std::string("--node_rank"),
              std::to_string(position(hosts, environment.current_host))})
            command.push_back(word);
    }
    if (script.kind == ScriptCommand::Kind::PythonModule) command.push_back("-m");
    command.push_back(script.target);
    command.insert(command.end(), script.arguments.begin(), script.arguments.end());
    plan.main.command = std::move(command);
    return plan;
}

// --- MPI ---

struct MpiWish {
    long long per_host = 1;
    long long processes = 0;
    Names options;
    bool torch_variables = false;  // RANK, WORLD_SIZE, LOCAL_RANK for the script
};

// Open MPI 5 no longer reads "-bind-to"; "--bind-to" is understood by all versions.
std::string modern_option(const std::string& option) {
    const bool letters = option.size() > 2 && option[0] == '-' && option[1] >= 'a' && option[1] <= 'z';
    return letters ? "-" + option : option;
}

// What users give beside options of mpirun: --NCCL_DEBUG LEVEL is the toolkit's own.
Names custom_options(const std::string& text) {
    Names result;
    const Names words = split_as_shell({text});
    for (size_t i = 0; i < words.size(); ++i) {
        if (words[i].starts_with("--NCCL_DEBUG=")) {
            result.insert(result.end(), {"-x", words[i].substr(2)});
        } else if (words[i] == "--NCCL_DEBUG" && i + 1 < words.size()) {
            result.insert(result.end(), {"-x", "NCCL_DEBUG=" + words[++i]});
        } else {
            result.push_back(modern_option(words[i]));
        }
    }
    return result;
}

Names mpirun(const TrainingEnvironment& environment, const ScriptCommand& script, const MpiWish& wish) {
    Names slots;
    for (const std::string& host : environment.distribution_hosts)
        slots.push_back(host + ":" + std::to_string(wish.per_host));
    const std::string& interface = environment.network_interface;
    Names command = {"mpirun",
                     "--host",
                     join(slots, ","),
                     "-np",
                     std::to_string(wish.processes),
                     "--allow-run-as-root",
                     "--tag-output",
                     "--mca",
                     "btl_tcp_if_include",
                     interface,
                     "--mca",
                     "oob_tcp_if_include",
                     interface,
                     "--mca",
                     "plm_rsh_no_tree_spawn",
                     "1",
                     "--bind-to",
                     "none",
                     "--map-by",
                     "slot",
                     "--mca",
                     "pml",
                     "ob1",
                     "--mca",
                     "btl",
                     "^openib",
                     "--mca",
                     "orte_abort_on_non_zero_status",
                     "1",
                     "--mca",
                     "btl_vader_single_copy_mechanism",
                     "none",
                     "-x",
                     "NCCL_SOCKET_IFNAME=" + interface,
                     "-x",
                     "NCCL_DEBUG=WARN",
                     "-x",
                     "PATH"};
    if (environment.machine.variables.contains("LD_LIBRARY_PATH")) {
        command.push_back("-x");
        command.push_back("LD_LIBRARY_PATH");
    }
    command.insert(command.end(), wish.options.begin(), wish.options.end());
    const Names rank = helper({"rank", wish.torch_variables ? "torch" : "plain", "--"});
    command.insert(command.end(), rank.begin(), rank.end());
    command.insert(command.end(), script.command.begin(), script.command.end());
    return command;
}

LaunchPlan plan_mpi_of(const TrainingEnvironment& environment, const ScriptCommand& script, const MpiWish& wish) {
    LaunchPlan plan = plan_process(environment, script);
    plan.environment["OMPI_ALLOW_RUN_AS_ROOT"] = plan.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
    // Open MPI 5 and 4: how a process is started on another host.
    const std::string agent = runner_program() + " helper rsh";
    plan.environment["PRTE_MCA_plm_ssh_agent"] = plan.environment["OMPI_MCA_plm_rsh_agent"] = agent;
    if (!environment.machine.variables.contains("HOME")) plan.environment["HOME"] = "/root";
    if (environment.is_master()) {
        announce(plan);
        for (const std::string& host : environment.distribution_hosts)
            if (host != environment.current_host) plan.peers.push_back({host, kRemoteShellPort});
        plan.launcher = "mpirun";
        plan.main = {"mpirun", mpirun(environment, script, wish)};
    } else {
        plan.before.push_back({"remote shell", helper({"rshd"}), {}, "", true});
        plan.launcher = "the wait for " + environment.master_host;
        plan.main = {"MPI worker", follow_master(environment, {})};
    }
    return plan;
}

long long count_or(const TrainingEnvironment& environment, const char* name, long long otherwise) {
    const auto value = environment.framework_parameters[name].as_integer();
    return value && *value > 0 ? *value : otherwise;
}

long long host_count(const TrainingEnvironment& environment) {
    return static_cast<long long>(environment.distribution_hosts.size());
}

Result<LaunchPlan> plan_mpi(const TrainingEnvironment& environment, const ScriptCommand& script) {
    MpiWish wish;
    wish.per_host =
        count_or(environment, "sagemaker_mpi_num_of_processes_per_host", environment.default_processes_per_host());
    wish.processes = count_or(environment, "sagemaker_mpi_num_processes", wish.per_host * host_count(environment));
    wish.options = custom_options(environment.framework_parameters["sagemaker_mpi_custom_mpi_options"].text_or(""));
    return plan_mpi_of(environment, script, wish);
}

Result<LaunchPlan> plan_torch_ddp(const TrainingEnvironment& environment, const ScriptCommand& script) {
    MpiWish wish;
    wish.per_host = environment.default_processes_per_host();
    wish.processes = wish.per_host * host_count(environment);
    wish.torch_variables = true;
    return plan_mpi_of(environment, script, wish);
}

bool chainer_uses_mpi(const TrainingEnvironment& environment) {
    if (environment.framework != Framework::Chainer) return false;
    const Value* wish = environment.framework_parameters.find("sagemaker_use_mpi");
    if (wish != nullptr && !wish->is_none()) return environment.asks_for("sagemaker_use_mpi");
    return environment.hosts.size() > 1;
}

Result<LaunchPlan> plan_chainer_mpi(const TrainingEnvironment& environment, const ScriptCommand& script) {
    MpiWish wish;
    wish.per_host = count_or(environment, "sagemaker_process_slots_per_host", environment.default_processes_per_host());
    wish.processes = count_or(environment, "sagemaker_num_processes", wish.per_host * host_count(environment));
    wish.options = custom_options(environment.framework_parameters["sagemaker_additional_mpi_options"].text_or(""));
    return plan_mpi_of(environment, script, wish);
}

// --- TensorFlow ---

Value addresses(const Names& hosts, int port) {
    Names result;
    for (const std::string& host : hosts) result.push_back(host + ":" + std::to_string(port));
    return Value::strings(result);
}

std::string tf_config(Value cluster, const std::string& type, size_t index) {
    Value task = Value::dict({{"index", Value::integer(static_cast<long long>(index))}, {"type", Value::string(type)}});
    return Value::dict(
               {{"cluster", std::move(cluster)}, {"environment", Value::string("cloud")}, {"task", std::move(task)}})
        .dump();
}

Result<LaunchPlan> plan_mirrored(const TrainingEnvironment& environment, const ScriptCommand& script) {
    LaunchPlan plan = plan_process(environment, script);
    const auto& hosts = environment.distribution_hosts;
    plan.environment["TF_CONFIG"] = tf_config(Value::dict({{"worker", addresses(hosts, kMirroredPort)}}), "worker",
                                              position(hosts, environment.current_host));
    return plan;
}

Result<LaunchPlan> plan_tensorflow_servers(const TrainingEnvironment& environment, const ScriptCommand& script) {
    LaunchPlan plan = plan_process(environment, script);
    const auto& hosts = environment.distribution_hosts;
    if (hosts.size() < 2) return plan;  // as in the image: a single host has no use for servers
    const Names workers(hosts.begin() + 1, hosts.end());
    const Value cluster = Value::dict({{"master", addresses({hosts.front()}, kTaskPort)},
                                       {"ps", addresses(hosts, kParameterServerPort)},
                                       {"worker", addresses(workers, kTaskPort)}});
    const bool master = environment.is_master();
    const size_t index = position(hosts, environment.current_host);
    plan.environment["TF_CONFIG"] = master ? tf_config(cluster, "master", 0) : tf_config(cluster, "worker", index - 1);
    if (master) announce(plan);
    plan.before.push_back({"parameter server",
                           {environment.machine.python, "-c", kTensorflowServer},
                           {{"TF_CONFIG", tf_config(cluster, "ps", index)}, {"CUDA_VISIBLE_DEVICES", "-1"}},
                           "/",
                           true});
    // The master goes on using the servers of hosts whose own script has ended.
    if (!master) plan.main.command = follow_master(environment, script.command);
    return plan;
}

// --- MXNet ---

// The scheduler binds to what stands in DMLC_PS_ROOT_URI, which must be an address for that.
std::string numeric_address(const std::string& host) {
    const auto addresses = addresses_of(host);
    char text[INET_ADDRSTRLEN] = {};
    if (addresses.empty() || inet_ntop(AF_INET, &addresses[0], text, sizeof text) == nullptr) return host;
    return text;
}

std::map<std::string, std::string> mxnet_role(const TrainingEnvironment& environment, const std::string& role) {
    const auto& hosts = environment.distribution_hosts;
    const auto hyperparameter = [&](const char* name, const char* otherwise) {
        const Value* value = environment.hyperparameters.find(name);
        return value == nullptr ? std::string(otherwise) : value->str();
    };
    const std::string count = std::to_string(hosts.size());
    return {{"DMLC_NUM_WORKER", count},
            {"DMLC_NUM_SERVER", count},
            {"DMLC_ROLE", role},
            {"DMLC_PS_ROOT_URI", numeric_address(environment.master_host)},
            {"DMLC_PS_ROOT_PORT", hyperparameter("_ps_port", kMxnetPort)},
            {"DMLC_INTERFACE", environment.network_interface},
            {"PS_VERBOSE", hyperparameter("_ps_verbose", "0")}};
}

Result<LaunchPlan> plan_mxnet_servers(const TrainingEnvironment& environment, const ScriptCommand& script) {
    LaunchPlan plan = plan_process(environment, script);
    for (const auto& [name, value] : mxnet_role(environment, "worker")) plan.environment[name] = value;
    const auto background = [&](const char* role) {
        plan.before.push_back(
            {role, {environment.machine.python, "-c", kMxnetRole}, mxnet_role(environment, role), "/", true});
    };
    if (environment.is_master()) {
        announce(plan);
        background("scheduler");
    }
    background("server");
    if (!environment.is_master()) plan.main.command = follow_master(environment, script.command);
    return plan;
}

// --- the choice ---

struct Refusal {
    const char* parameter;
    const char* message;
};
constexpr Refusal kRefusals[] = {
    {"sagemaker_distributed_dataparallel_enabled",
     "SageMaker's data parallel library (smdistributed dataparallel) is closed source and runs on AWS's GPU instances "
     "only; use distribution={'torch_distributed': {'enabled': True}} or MPI"},
    {"sagemaker_pytorch_xla_multi_worker_enabled",
     "PyTorch XLA (distribution pytorchxla) needs AWS's own images; use distribution={'torch_distributed': {'enabled': "
     "True}}"},
};

bool is_torch(Framework framework) { return framework == Framework::PyTorch || framework == Framework::Python; }
bool is_tensorflow(Framework framework) { return framework == Framework::TensorFlow; }
bool is_mxnet(Framework framework) { return framework == Framework::Mxnet; }
bool is_any(Framework) { return true; }

struct Way {
    const char* parameter;
    bool (*fits)(Framework);
    Result<LaunchPlan> (*plan)(const TrainingEnvironment&, const ScriptCommand&);
};
constexpr Way kWays[] = {
    {"sagemaker_torch_distributed_enabled", is_torch, plan_torchrun},
    {"sagemaker_pytorch_ddp_enabled", is_torch, plan_torch_ddp},
    {"sagemaker_mpi_enabled", is_any, plan_mpi},
    {"sagemaker_multi_worker_mirrored_strategy_enabled", is_tensorflow, plan_mirrored},
    {"sagemaker_parameter_server_enabled", is_tensorflow, plan_tensorflow_servers},
    {"sagemaker_parameter_server_enabled", is_mxnet, plan_mxnet_servers},
};

Result<void> check_refusals(const TrainingEnvironment& environment) {
    for (const Refusal& refusal : kRefusals)
        if (environment.asks_for(refusal.parameter))
            return invalid_input(std::string(refusal.message) + " (hyperparameter " + refusal.parameter + ")");
    if (environment.hyperparameters.has("mp_parameters"))
        return invalid_input(
            "SageMaker's model parallel library (smdistributed modelparallel) is closed source and not available here "
            "(hyperparameter mp_parameters)");
    return {};
}

// The one way that was asked for; null: none.
Result<const Way*> find_way(const TrainingEnvironment& environment) {
    const Way* found = nullptr;
    std::string unfit;
    for (const Way& way : kWays) {
        if (!environment.asks_for(way.parameter)) continue;
        if (!way.fits(environment.framework)) {
            unfit = way.parameter;
        } else if (found != nullptr) {
            return invalid_input(std::string("the job asks for two distributions at once: ") + found->parameter +
                                 " and " + way.parameter);
        } else {
            found = &way;
        }
    }
    if (found == nullptr && !unfit.empty())
        return invalid_input(unfit + " has no meaning for " + std::string(to_string(environment.framework)));
    return found;
}

bool takes_part(const TrainingEnvironment& environment) {
    const auto& hosts = environment.distribution_hosts;
    return position(hosts, environment.current_host) < hosts.size();
}

}  // namespace

Result<LaunchPlan> plan_launch(const TrainingEnvironment& environment, const ScriptCommand& script) {
    TRY(check_refusals(environment));
    const Way* way = TRY(find_way(environment));
    if (way == nullptr && chainer_uses_mpi(environment)) {
        TrainingEnvironment all = environment;  // nobody named the hosts, because nobody asked
        if (all.distribution_hosts.empty()) all.distribution_hosts = all.hosts;
        return plan_chainer_mpi(all, script);
    }
    if (way == nullptr || !takes_part(environment)) return plan_process(environment, script);
    return way->plan(environment, script);
}

}  // namespace millwright::script_mode
