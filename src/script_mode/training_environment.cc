#include "script_mode/training_environment.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace millwright::script_mode {
namespace {

struct FrameworkEntry {
    Framework framework;
    std::string_view name, module;  // the module that the image names in SAGEMAKER_TRAINING_MODULE
};
constexpr FrameworkEntry kFrameworks[] = {
    {Framework::PyTorch, "pytorch", "sagemaker_pytorch_container.training:main"},
    {Framework::TensorFlow, "tensorflow", "sagemaker_tensorflow_container.training:main"},
    {Framework::Mxnet, "mxnet", "sagemaker_mxnet_container.training:main"},
    {Framework::Chainer, "chainer", "sagemaker_chainer_container.training:main"},
    {Framework::ScikitLearn, "scikit-learn", "sagemaker_sklearn_container.training:main"},
    {Framework::Xgboost, "xgboost", "sagemaker_xgboost_container.training:main"},
    {Framework::Python, "python", ""},
};

const FrameworkEntry& entry_of(Framework framework) {
    return *std::find_if(std::begin(kFrameworks), std::end(kFrameworks),
                         [&](const FrameworkEntry& entry) { return entry.framework == framework; });
}

constexpr std::string_view kPrefix = "sagemaker_";
constexpr std::string_view kTuningMetric = "_tuning_objective_metric";
// With a meaning of their own: neither the user's nor the framework's.
constexpr std::array<std::string_view, 9> kReserved = {"sagemaker_program",
                                                       "sagemaker_submit_directory",
                                                       "sagemaker_enable_cloudwatch_metrics",
                                                       "sagemaker_region",
                                                       "sagemaker_container_log_level",
                                                       "sagemaker_job_name",
                                                       "default_user_module_name",
                                                       kTuningMetric,
                                                       "sagemaker_s3_output"};
// Each makes the current instance group part of the distribution.
constexpr std::string_view kDistributions[] = {"sagemaker_mpi_enabled",
                                               "sagemaker_parameter_server_enabled",
                                               "sagemaker_distributed_dataparallel_enabled",
                                               "sagemaker_pytorch_ddp_enabled",
                                               "sagemaker_pytorch_xla_multi_worker_enabled",
                                               "sagemaker_multi_worker_mirrored_strategy_enabled",
                                               "sagemaker_torch_distributed_enabled"};
constexpr std::string_view kDefaultGroup = "homogeneousCluster";

std::string variable(const Machine& machine, const std::string& name) {
    const auto found = machine.variables.find(name);
    return found == machine.variables.end() ? "" : found->second;
}

Result<Value> parse_config(std::string_view text, const char* file) {
    Result<Value> value = Value::parse(text);
    if (!value) return invalid_input(std::string(file) + " is not JSON: " + value.error().message);
    if (!value->is_dict()) return invalid_input(std::string(file) + " is not a JSON object");
    return value;
}

void split_hyperparameters(TrainingEnvironment& out, const Value& all) {
    for (const auto& [name, value] : all.members()) {
        const bool reserved = std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end();
        Value& home = reserved                    ? out.reserved
                      : name.starts_with(kPrefix) ? out.framework_parameters
                                                  : out.hyperparameters;
        home.set(name, value);
    }
}

void append_hosts_of(const TrainingEnvironment& environment, std::string_view group, std::vector<std::string>& hosts) {
    for (const Value& entry : environment.resource_config["instance_groups"].items())
        if (entry["instance_group_name"].text() == group)
            for (std::string& host : entry["hosts"].string_items()) hosts.push_back(std::move(host));
}

void read_groups(TrainingEnvironment& out) {
    append_hosts_of(out, out.instance_group, out.instance_group_hosts);
    const Value* wanted = out.framework_parameters.find("sagemaker_distribution_instance_groups");
    if (wanted != nullptr) {
        out.distribution_groups = wanted->string_items();
    } else if (std::any_of(std::begin(kDistributions), std::end(kDistributions),
                           [&](std::string_view name) { return out.asks_for(name); })) {
        out.distribution_groups = {out.instance_group};
    }
    if (out.resource_config["instance_groups"].items().empty()) out.distribution_hosts = out.hosts;
    for (const std::string& group : out.distribution_groups) append_hosts_of(out, group, out.distribution_hosts);
    out.master_host = out.distribution_hosts.empty() ? out.hosts[0] : out.distribution_hosts[0];
}

Result<void> read_resources(TrainingEnvironment& out) {
    const Value& resources = out.resource_config;
    out.hosts = resources["hosts"].string_items();
    out.current_host = resources["current_host"].text();
    if (out.hosts.empty() || out.current_host.empty())
        return invalid_input("resourceconfig.json names no hosts or no current host");
    out.instance_type = resources["current_instance_type"].text_or("local");
    out.instance_group = resources["current_group_name"].text_or(kDefaultGroup);
    out.network_interface = resources["network_interface_name"].text_or("eth0");
    return {};
}

// TensorFlow: jobs of one tuning job must not write to the same place.
void separate_model_folders(TrainingEnvironment& out) {
    if (out.framework != Framework::TensorFlow || !out.reserved.has(kTuningMetric)) return;
    const std::string folder = out.hyperparameters["model_dir"].text();
    if (folder.empty() || folder.starts_with("/opt/ml")) return;
    out.hyperparameters.set("model_dir",
                            Value::string(folder + "/" + variable(out.machine, "TRAINING_JOB_NAME") + "/model"));
}

std::string upper(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return out;
}

std::string variable_text(const Value& value) {
    if (value.is_none()) return "";
    return value.is_string() ? value.text() : value.dump();
}

std::string module_name(const std::string& program) {
    return program.ends_with(".py") ? program.substr(0, program.size() - 3) : program;
}

Value optional_string(const std::string& text) { return text.empty() ? Value() : Value::string(text); }

std::string framework_module(const TrainingEnvironment& environment) {
    const std::string given = variable(environment.machine, "SAGEMAKER_TRAINING_MODULE");
    return given.empty() ? std::string(entry_of(environment.framework).module) : given;
}

Value log_level(const TrainingEnvironment& environment) {
    const Value* level = environment.reserved.find("sagemaker_container_log_level");
    return level == nullptr ? Value::integer(20) : *level;
}

Value instance_group_names(const TrainingEnvironment& environment) {
    std::vector<std::string> names;
    for (const Value& group : environment.resource_config["instance_groups"].items())
        names.push_back(group["instance_group_name"].text());
    return Value::strings(names);
}

Value instance_groups_by_name(const TrainingEnvironment& environment) {
    Value out = Value::dict();
    for (const Value& group : environment.resource_config["instance_groups"].items())
        out.set(group["instance_group_name"].text(), group);
    return out;
}

Value channel_folders(const TrainingEnvironment& environment) {
    Value out = Value::dict();
    for (const auto& [name, config] : environment.input_data_config.members())
        out.set(name, Value::string(environment.base + "/input/data/" + name));
    return out;
}

// What both SM_* and SM_TRAINING_ENV show, under the same names.
std::vector<Value::Member> common_properties(const TrainingEnvironment& e) {
    return {
        {"current_host", Value::string(e.current_host)},
        {"current_instance_group", Value::string(e.instance_group)},
        {"current_instance_group_hosts", Value::strings(e.instance_group_hosts)},
        {"current_instance_type", Value::string(e.instance_type)},
        {"distribution_instance_groups", Value::strings(e.distribution_groups)},
        {"framework_module", optional_string(framework_module(e))},
        {"hosts", Value::strings(e.hosts)},
        {"input_config_dir", Value::string(e.base + "/input/config")},
        {"input_data_config", e.input_data_config},
        {"input_dir", Value::string(e.base + "/input")},
        {"instance_groups", instance_group_names(e)},
        {"instance_groups_dict", instance_groups_by_name(e)},
        {"is_hetero", Value::boolean(e.resource_config["instance_groups"].items().size() > 1)},
        {"log_level", log_level(e)},
        {"model_dir", Value::string(e.model_folder())},
        {"module_dir", Value::string(e.submit_directory)},
        {"module_name", Value::string(module_name(e.program))},
        {"network_interface_name", Value::string(e.network_interface)},
        {"num_cpus", Value::integer(e.machine.cpus)},
        {"num_gpus", Value::integer(e.machine.gpus)},
        {"num_neurons", Value::integer(0)},
        {"output_data_dir", Value::string(e.output_folder() + "/data")},
        {"output_dir", Value::string(e.output_folder())},
        {"output_intermediate_dir", Value::string(e.output_folder() + "/intermediate")},
        {"resource_config", e.resource_config},
        {"user_entry_point", Value::string(e.program)},
    };
}

Value whole_environment(const TrainingEnvironment& e, const std::vector<Value::Member>& common) {
    const Value* topology = e.resource_config.find("topology");
    Value out = Value::dict(common);
    out.set("additional_framework_parameters", e.framework_parameters);
    out.set("channel_input_dirs", channel_folders(e));
    out.set("distribution_hosts", Value::strings(e.distribution_hosts));
    out.set("hyperparameters", e.hyperparameters);
    out.set("is_master", Value::boolean(e.is_master()));
    out.set("is_modelparallel_enabled", Value());
    out.set("is_smddpmprun_installed", Value::boolean(false));
    out.set("is_smddprun_installed", Value::boolean(false));
    out.set("job_name", optional_string(variable(e.machine, "TRAINING_JOB_NAME")));
    out.set("master_hostname", Value::string(e.master_host));
    out.set("topology", topology == nullptr ? Value::list() : *topology);
    return out;
}

using Variables = std::map<std::string, std::string>;

void add_image_variables(const TrainingEnvironment& e, Variables& out) {
    const auto by_default = [&](const char* name, std::string value) {
        if (!e.machine.variables.contains(name)) out[name] = std::move(value);
    };
    by_default("PYTHONUNBUFFERED", "1");
    by_default("PYTHONDONTWRITEBYTECODE", "1");
    by_default("PYTHONIOENCODING", "UTF-8");
    by_default("LANG", "C.UTF-8");
    by_default("LC_ALL", "C.UTF-8");
    if (!framework_module(e).empty()) by_default("SAGEMAKER_TRAINING_MODULE", framework_module(e));
    if (e.framework == Framework::PyTorch) {
        out["MASTER_ADDR"] = e.hosts[0];
        out["MASTER_PORT"] = "7777";
        out["NCCL_SOCKET_IFNAME"] = e.network_interface;
        out["NCCL_IB_DISABLE"] = "1";
        out["NCCL_DEBUG"] = "WARN";
    }
    if (e.framework == Framework::Xgboost) {
        const std::string config = e.base + "/input/config/";
        by_default("SM_INPUT_TRAINING_CONFIG_FILE", config + "hyperparameters.json");
        by_default("SM_INPUT_DATA_CONFIG_FILE", config + "inputdataconfig.json");
        by_default("SM_CHECKPOINT_CONFIG_FILE", config + "checkpointconfig.json");
    }
}

std::string python_path(const TrainingEnvironment& e) {
    const std::string given = variable(e.machine, "PYTHONPATH");
    const auto places = split(given, ':');
    std::string out = e.code_folder();
    if (!e.machine.toolkit.empty() && std::find(places.begin(), places.end(), e.machine.toolkit) == places.end())
        out += ":" + e.machine.toolkit;
    return given.empty() ? out : out + ":" + given;
}

}  // namespace

Framework framework_of(std::string_view name) {
    for (const FrameworkEntry& entry : kFrameworks)
        if (entry.name == name) return entry.framework;
    return Framework::Python;
}

std::string_view to_string(Framework framework) { return entry_of(framework).name; }

int TrainingEnvironment::rank() const {
    const auto found = std::find(hosts.begin(), hosts.end(), current_host);
    return found == hosts.end() ? 0 : static_cast<int>(found - hosts.begin());
}

bool TrainingEnvironment::asks_for(std::string_view name) const {
    const Value& value = framework_parameters[name];
    if (value.is_string() && equals_ignoring_case(value.text(), "false")) return false;
    return value.truth();
}

Result<Value> decode_hyperparameters(std::string_view json) {
    Value raw = TRY(parse_config(json, "hyperparameters.json"));
    Value out = Value::dict();
    for (const auto& [name, value] : raw.members()) {
        Result<Value> decoded = value.is_string() ? Value::parse(value.text()) : Result<Value>(value);
        out.set(name, decoded ? std::move(*decoded) : value);
    }
    return out;
}

Result<TrainingEnvironment> read_environment(Framework framework, std::string base, const ConfigFiles& files,
                                             Machine machine) {
    TrainingEnvironment out;
    out.framework = framework;
    out.base = std::move(base);
    out.machine = std::move(machine);
    Value hyperparameters = TRY(decode_hyperparameters(files.hyperparameters));
    out.input_data_config = TRY(parse_config(files.input_data, "inputdataconfig.json"));
    out.resource_config = TRY(parse_config(files.resources, "resourceconfig.json"));
    split_hyperparameters(out, hyperparameters);
    TRY(read_resources(out));
    read_groups(out);

    out.program = variable(out.machine, "SAGEMAKER_PROGRAM");
    if (out.program.empty()) out.program = out.reserved["sagemaker_program"].text();
    out.submit_directory = out.reserved["sagemaker_submit_directory"].text();
    if (out.submit_directory.empty()) out.submit_directory = variable(out.machine, "SAGEMAKER_SUBMIT_DIRECTORY");
    if (out.submit_directory.empty()) out.submit_directory = out.code_folder();
    out.job_name = out.reserved["sagemaker_job_name"].text();
    out.region = out.reserved["sagemaker_region"].text();
    for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
        if (out.region.empty()) out.region = variable(out.machine, name);
    separate_model_folders(out);
    return out;
}

std::vector<std::string> script_arguments(const Value& hyperparameters) {
    std::map<std::string, const Value*> sorted;
    for (const auto& [name, value] : hyperparameters.members()) sorted[name] = &value;
    std::vector<std::string> out;
    for (const auto& [name, value] : sorted) {
        out.push_back(name.empty() ? "" : (name.size() > 1 ? "--" : "-") + name);
        if (value->is_dict()) {
            std::map<std::string, const Value*> items;
            for (const auto& [key, item] : value->members()) items[key] = &item;
            std::string text;
            for (const auto& [key, item] : items) text += (text.empty() ? "" : ",") + key + "=" + item->str();
            out.push_back(text);
        } else {
            out.push_back(value->is_none() ? "" : value->str());
        }
    }
    return out;
}

std::vector<std::string> split_as_shell(const std::vector<std::string>& arguments) {
    std::vector<std::string> out;
    std::string word;
    bool in_word = false;
    char quote = 0;
    const std::string text = join(arguments, " ");
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote == '\'' && c != '\'') {
            word += c;
        } else if (c == '\\' && i + 1 < text.size()) {
            const char next = text[++i];
            if (quote == '"' && std::string_view("$`\"\\\n").find(next) == std::string_view::npos) word += c;
            word += next;
            in_word = true;
        } else if (quote != 0) {
            if (c == quote) {
                quote = 0;
            } else {
                word += c;
            }
        } else if (c == '\'' || c == '"') {
            quote = c;
            in_word = true;
        } else if (c == ' ' || c == '\t' || c == '\n') {
            if (in_word) out.push_back(std::exchange(word, ""));
            in_word = false;
        } else {
            word += c;
            in_word = true;
        }
    }
    if (quote != 0) return arguments;
    if (in_word) out.push_back(word);
    return out;
}

bool splits_arguments(Framework framework) {
    return framework == Framework::PyTorch || framework == Framework::TensorFlow;
}

std::map<std::string, std::string> script_variables(const TrainingEnvironment& e,
                                                    const std::vector<std::string>& arguments) {
    Variables out;
    const std::vector<Value::Member> common = common_properties(e);
    for (const auto& [name, value] : common) out["SM_" + upper(name)] = variable_text(value);
    std::vector<std::string> channels;
    const Value folders = channel_folders(e);
    for (const auto& [name, folder] : folders.members()) {
        channels.push_back(name);
        out["SM_CHANNEL_" + upper(name)] = folder.text();
    }
    std::sort(channels.begin(), channels.end());
    out["SM_CHANNELS"] = Value::strings(channels).dump();
    out["SM_HPS"] = e.hyperparameters.dump();
    for (const auto& [name, value] : e.hyperparameters.members()) {
        // A name with '=' would be another variable.
        if (name.find('=') == std::string::npos) out["SM_HP_" + upper(name)] = variable_text(value);
    }
    out["SM_FRAMEWORK_PARAMS"] = e.framework_parameters.dump();
    out["SM_USER_ARGS"] = Value::strings(arguments).dump();
    out["SM_TRAINING_ENV"] = whole_environment(e, common).dump();
    if (e.resource_config["topology"].truth()) out["SM_TOPOLOGY"] = e.resource_config["topology"].dump();

    out["SAGEMAKER_JOB_NAME"] = e.job_name;
    out["CURRENT_HOST"] = e.current_host;
    out["SAGEMAKER_REGION"] = e.region;
    out["PYTHONPATH"] = python_path(e);
    add_image_variables(e, out);
    return out;
}

}  // namespace millwright::script_mode
