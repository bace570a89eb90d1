// What the toolkits know about a training job: the three configuration files, split and interpreted, and from them the
// command line and the variables of the user's script. Everything here is a pure function of its arguments.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "script_mode/value.h"

namespace millwright::script_mode {

enum class Framework { PyTorch, TensorFlow, Mxnet, Chainer, ScikitLearn, Xgboost, Python };
// "pytorch", "tensorflow", "mxnet", "chainer", "scikit-learn", "xgboost", "python"; anything else is Python.
Framework framework_of(std::string_view name);
std::string_view to_string(Framework framework);

// Contents of <base>/input/config/*.json.
struct ConfigFiles {
    std::string hyperparameters = "{}", input_data = "{}", resources = "{}";
};

// What only the machine can tell.
struct Machine {
    int cpus = 1;         // that the job may use: affinity and quota, not what the machine has
    int gpus = 0;         // device nodes that the job sees
    std::string python;   // absolute path of the environment's interpreter; empty: none
    std::string toolkit;  // folder with the packages sagemaker_training and sagemaker_containers; empty: none
    std::map<std::string, std::string> variables;  // the environment the runner was started with
};

struct TrainingEnvironment {
    Framework framework = Framework::Python;
    std::string base = "/opt/ml";  // SAGEMAKER_BASE_DIR
    Machine machine;

    Value hyperparameters = Value::dict();       // of the user, decoded: what the script gets
    Value framework_parameters = Value::dict();  // sagemaker_* without a meaning of their own: distribution and others
    Value reserved = Value::dict();              // sagemaker_program, sagemaker_region, …
    Value input_data_config = Value::dict();
    Value resource_config = Value::dict();

    std::vector<std::string> hosts;  // all of the job, in the order of resourceconfig.json
    std::string current_host;
    std::string instance_type;   // "local" when the file has none
    std::string instance_group;  // "homogeneousCluster" when the file has none
    std::vector<std::string> instance_group_hosts;
    std::vector<std::string> distribution_groups;  // groups that the distribution spans
    std::vector<std::string> distribution_hosts;   // their hosts; all hosts without groups
    std::string master_host;                       // first of distribution_hosts, else of hosts
    std::string network_interface;                 // "eth0" when the file has none

    std::string program;           // sagemaker_program or SAGEMAKER_PROGRAM; empty: none
    std::string submit_directory;  // sagemaker_submit_directory or SAGEMAKER_SUBMIT_DIRECTORY; default: code_folder()
    std::string job_name, region;

    std::string code_folder() const { return base + "/code"; }
    std::string model_folder() const { return base + "/model"; }
    std::string output_folder() const { return base + "/output"; }
    bool is_master() const { return current_host == master_host; }
    // Position of the current host in `hosts`; 0 when it is not there.
    int rank() const;
    // GPUs, or 1 without any.
    int default_processes_per_host() const { return machine.gpus > 0 ? machine.gpus : 1; }
    // framework_parameters[name] is true (the SDKs send JSON true, other clients "true" or "True").
    bool asks_for(std::string_view name) const;
};

// InvalidInput: a file is not JSON, or has no hosts.
Result<TrainingEnvironment> read_environment(Framework framework, std::string base, const ConfigFiles& files,
                                             Machine machine);

// Each value as json.loads reads it, or itself where it is not JSON.
Result<Value> decode_hyperparameters(std::string_view json);

// Arguments of the script: keys sorted, "--key value", "-k value" for keys of one letter, None as an empty argument,
// dicts as "a=1,b=2", everything else as str() prints it.
std::vector<std::string> script_arguments(const Value& hyperparameters);

// As a shell would split the arguments once more: the PyTorch and TensorFlow images pass them through one, so there
// "64 32" is two arguments and an empty value none. Quotes and backslashes count, variables and wildcards do not. The
// same arguments when a quote is left open.
std::vector<std::string> split_as_shell(const std::vector<std::string>& arguments);
bool splits_arguments(Framework framework);

// All variables for the script: SM_*, SAGEMAKER_JOB_NAME, CURRENT_HOST, SAGEMAKER_REGION, PYTHONPATH, and those of the
// framework's image. Distribution adds its own.
std::map<std::string, std::string> script_variables(const TrainingEnvironment& environment,
                                                    const std::vector<std::string>& arguments);

}  // namespace millwright::script_mode
