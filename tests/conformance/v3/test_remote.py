"""@remote of SDK v3."""
import pytest
from conftest import PYTHON_IMAGE
from remote_functions import *  # noqa: F403  the tests


@pytest.fixture
def settings(role):
    return dict(instance_type="ml.m5.large", image_uri=PYTHON_IMAGE, role=role)


@pytest.fixture
def remote_function(settings):
    """The SDK asks for a region as soon as it is imported, so it is not before the shell is there."""
    from sagemaker.core import remote_function
    return remote_function
