"""@remote of SDK v2."""
import pytest
from remote_functions import *  # noqa: F403  the tests

PYTHON_IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"


@pytest.fixture
def settings(aws):
    return dict(instance_type="ml.m5.large", image_uri=PYTHON_IMAGE, role="SageMakerRole")


@pytest.fixture
def remote_function(settings):
    from sagemaker import remote_function
    return remote_function
