"""What scripts import from here: env, encoders, modules, worker and their like."""
from sagemaker_training import content_types, encoders, entry_point, errors, files, functions, mapping, modules
from sagemaker_training import params, process, runner
from sagemaker_training import logging_config as logging
from sagemaker_containers import _env as env
from sagemaker_containers._env import training_env
from sagemaker_containers.beta.framework import transformer, worker
