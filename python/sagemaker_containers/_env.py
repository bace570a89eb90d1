"""sagemaker_training.environment under its older names."""
from sagemaker_training.environment import *  # noqa: F401,F403
from sagemaker_training.environment import Environment

TrainingEnv = Environment


def training_env(resource_config=None, input_data_config=None, hyperparameters=None):
    return TrainingEnv(resource_config, input_data_config, hyperparameters)
