"""The job as a script sees it: folders, hosts, hyperparameters, channels."""
import json
import os
import re
import socket

from sagemaker_training import mapping, params

SAGEMAKER_BASE_PATH = "/opt/ml"
BASE_PATH_ENV = "SAGEMAKER_BASE_DIR"
HYPERPARAMETERS_FILE = "hyperparameters.json"
RESOURCE_CONFIG_FILE = "resourceconfig.json"
INPUT_DATA_CONFIG_FILE = "inputdataconfig.json"

base_dir = os.environ.get(BASE_PATH_ENV) or SAGEMAKER_BASE_PATH
code_dir = os.path.join(base_dir, "code")
model_dir = os.path.join(base_dir, "model")
input_dir = os.path.join(base_dir, "input")
input_config_dir = os.path.join(input_dir, "config")
output_dir = os.path.join(base_dir, "output")
output_data_dir = os.path.join(output_dir, "data")
output_intermediate_dir = os.path.join(output_dir, "intermediate")
hyperparameters_file_dir = os.path.join(input_config_dir, HYPERPARAMETERS_FILE)
input_data_config_file_dir = os.path.join(input_config_dir, INPUT_DATA_CONFIG_FILE)
resource_config_file_dir = os.path.join(input_config_dir, RESOURCE_CONFIG_FILE)


def _read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read_hyperparameters():
    """Each value as JSON, or itself where it is not JSON."""

    def decoded(value):
        try:
            return json.loads(value)
        except (ValueError, TypeError):
            return value

    return {name: decoded(value) for name, value in _read_json(hyperparameters_file_dir).items()}


def read_resource_config():
    return _read_json(resource_config_file_dir)


def read_input_data_config():
    return _read_json(input_data_config_file_dir)


def channel_path(channel):
    return os.path.join(input_dir, "data", channel)


def num_gpus():
    """GPUs that the job was given."""
    known = os.environ.get("SM_NUM_GPUS")
    return int(known) if known else sum(bool(re.fullmatch(r"nvidia\d+", name)) for name in os.listdir("/dev"))


def num_cpus():
    """Processors that the job may use; the machine may have more."""
    known = os.environ.get("SM_NUM_CPUS")
    return int(known) if known else len(os.sched_getaffinity(0))


def num_neurons(instance_type=None):
    return 0


def write_env_vars(env_vars=None):
    os.environ.update(env_vars or {})


def _property(name, text):
    return property(lambda self: self._values[name], doc=text)


class Environment(mapping.MappingMixin):
    """A snapshot of the job. Its properties are entries of a dictionary, too: env["hosts"] is env.hosts."""

    additional_framework_parameters = _property("additional_framework_parameters", "sagemaker_* of the distribution")
    channel_input_dirs = _property("channel_input_dirs", "folder of each channel")
    current_host = _property("current_host", "such as algo-1")
    current_instance_group = _property("current_instance_group", "name of the group of this host")
    current_instance_group_hosts = _property("current_instance_group_hosts", "hosts of that group")
    current_instance_type = _property("current_instance_type", "such as ml.m5.large")
    distribution_hosts = _property("distribution_hosts", "hosts that train together")
    distribution_instance_groups = _property("distribution_instance_groups", "groups that train together")
    framework_module = _property("framework_module", "the image's module, or None")
    hosts = _property("hosts", "all hosts of the job, sorted")
    hyperparameters = _property("hyperparameters", "those of the user, decoded")
    input_config_dir = _property("input_config_dir", "folder of the configuration files")
    input_data_config = _property("input_data_config", "content of inputdataconfig.json")
    input_dir = _property("input_dir", "/opt/ml/input")
    instance_groups = _property("instance_groups", "names of all groups")
    instance_groups_dict = _property("instance_groups_dict", "the groups by name")
    is_hetero = _property("is_hetero", "more than one instance group")
    is_master = _property("is_master", "this is the first host")
    is_modelparallel_enabled = _property("is_modelparallel_enabled", "always None here")
    is_smddpmprun_installed = _property("is_smddpmprun_installed", "always False here")
    is_smddprun_installed = _property("is_smddprun_installed", "always False here")
    job_name = _property("job_name", "name of the training job")
    log_level = _property("log_level", "of Python's logging")
    master_hostname = _property("master_hostname", "the first host")
    model_dir = _property("model_dir", "what lies here in the end is the model")
    module_dir = _property("module_dir", "where the code came from")
    module_name = _property("module_name", "the entry point without .py")
    network_interface_name = _property("network_interface_name", "to the other hosts")
    num_cpus = _property("num_cpus", "processors the job may use")
    num_gpus = _property("num_gpus", "GPUs of the job")
    num_neurons = _property("num_neurons", "always 0 here")
    output_data_dir = _property("output_data_dir", "what lies here in the end is uploaded as output.tar.gz")
    output_dir = _property("output_dir", "/opt/ml/output")
    output_intermediate_dir = _property("output_intermediate_dir", "/opt/ml/output/intermediate")
    resource_config = _property("resource_config", "content of resourceconfig.json")
    topology = _property("topology", "of rack-scale GPU types; empty otherwise")
    user_entry_point = _property("user_entry_point", "the script")

    def __init__(self, resource_config=None, input_data_config=None, hyperparameters=None):
        resources = resource_config or read_resource_config()
        channels = read_input_data_config() if input_data_config is None else input_data_config
        everything = read_hyperparameters() if hyperparameters is None else hyperparameters
        reserved, own = mapping.split_by_criteria(everything, params.SAGEMAKER_HYPERPARAMETERS, params.SAGEMAKER_PREFIX)
        further = {k: v for k, v in reserved.items() if k not in params.SAGEMAKER_HYPERPARAMETERS}
        program = os.environ.get(params.USER_PROGRAM_ENV) or reserved.get(params.USER_PROGRAM_PARAM)
        self._s3_output = reserved.get(params.S3_OUTPUT_LOCATION_PARAM)
        self._values = {
            "additional_framework_parameters": further,
            "channel_input_dirs": {name: channel_path(name) for name in channels},
            "framework_module": os.environ.get(params.FRAMEWORK_TRAINING_MODULE_ENV) or None,
            "hyperparameters": own,
            "input_config_dir": input_config_dir,
            "input_data_config": channels,
            "input_dir": input_dir,
            "is_modelparallel_enabled": None,
            "is_smddpmprun_installed": False,
            "is_smddprun_installed": False,
            "job_name": os.environ.get(params.TRAINING_JOB_ENV),
            "log_level": reserved.get(params.LOG_LEVEL_PARAM, 20),
            "model_dir": model_dir,
            "module_dir": str(reserved.get(params.SUBMIT_DIR_PARAM) or os.environ.get(params.SUBMIT_DIR_ENV) or code_dir),
            "module_name": program[:-3] if program and program.endswith(".py") else program,
            "num_cpus": num_cpus(),
            "num_gpus": num_gpus(),
            "num_neurons": 0,
            "output_data_dir": output_data_dir,
            "output_dir": output_dir,
            "output_intermediate_dir": output_intermediate_dir,
            "user_entry_point": program,
            **self._resources(resources, further)}

    @staticmethod
    def _resources(config, parameters):
        """What resourceconfig.json says, and which of its hosts a distribution spans."""
        groups = config.get("instance_groups", [])
        current = config.get("current_group_name", "homogeneousCluster")
        spanned = parameters.get(params.DISTRIBUTION_INSTANCE_GROUPS)
        if spanned is None:
            wanted = [parameters.get(name) for name in params.DISTRIBUTIONS]
            spanned = [current] if any(w and str(w).lower() != "false" for w in wanted) else []
        hosts = config["hosts"]
        together = [host for name in spanned for group in groups if group["instance_group_name"] == name
                    for host in group["hosts"]] if groups else list(hosts)
        master = (together or hosts)[0]
        return {
            "current_host": config["current_host"],
            "current_instance_group": current,
            "current_instance_group_hosts": next(
                (group["hosts"] for group in groups if group["instance_group_name"] == current), []),
            "current_instance_type": config.get("current_instance_type", "local"),
            "distribution_hosts": together,
            "distribution_instance_groups": spanned,
            "hosts": hosts,
            "instance_groups": [group["instance_group_name"] for group in groups],
            "instance_groups_dict": {group["instance_group_name"]: group for group in groups},
            "is_hetero": len(groups) > 1,
            "is_master": config["current_host"] == master,
            "master_hostname": master,
            "network_interface_name": config.get("network_interface_name", "eth0"),
            "resource_config": config,
            "topology": config.get("topology", [])}

    def sagemaker_s3_output(self):
        return self._s3_output

    def to_cmd_args(self):
        return mapping.to_cmd_args(self.hyperparameters)

    def to_env_vars(self):
        """The SM_* variables of this job."""
        names = [
            "hosts", "network_interface_name", "user_entry_point", "resource_config", "input_data_config", "output_data_dir",
            "current_host", "current_instance_type", "current_instance_group", "current_instance_group_hosts",
            "instance_groups", "instance_groups_dict", "distribution_instance_groups", "is_hetero", "module_name",
            "log_level", "framework_module", "input_dir", "input_config_dir", "output_dir", "num_cpus", "num_gpus",
            "num_neurons", "model_dir", "module_dir", "output_intermediate_dir"]
        values = {name: self._values[name] for name in names}
        values.update(hps=self.hyperparameters, framework_params=self.additional_framework_parameters,
                      channels=sorted(self.channel_input_dirs), training_env=dict(self), user_args=self.to_cmd_args())
        if self.topology:
            values["topology"] = self.topology
        values.update({f"channel_{name}": path for name, path in self.channel_input_dirs.items()})
        values.update({f"hp_{name}": value for name, value in self.hyperparameters.items()})
        return mapping.to_env_vars(values)


def wait_hostname_resolution():
    """All hosts have addresses when a job of Millwright starts; asking costs nothing."""
    for host in Environment().hosts:
        socket.gethostbyname(host)
