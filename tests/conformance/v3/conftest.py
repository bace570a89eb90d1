"""SageMaker SDK v3 lives in a Python environment of its own; the fixtures of the folder above serve it, too."""
import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent.parent / "frameworks"))
PYTHON_IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"


@pytest.fixture(scope="session", autouse=True)
def shell(server):
    """The SDK keeps one client per process, made from the environment: so it must stand before the first call."""
    for name in [n for n in os.environ if n.startswith(("AWS_", "SAGEMAKER_"))]:
        del os.environ[name]
    os.environ.update(server.environment())
    return server


@pytest.fixture(scope="session")
def role(server):
    return f"arn:aws:iam::{server.account}:role/SageMakerRole"


@pytest.fixture
def code(tmp_path):
    """A function that writes a folder of code and returns its path."""

    def write(files):
        folder = tmp_path / "code"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        return str(folder)

    return write


@pytest.fixture(scope="session")
def digits_folders(tmp_path_factory):
    """Folders "training" and "testing", each with digits.npz and digits.csv (the label first)."""
    from frameworks import write_digits
    return write_digits(tmp_path_factory.mktemp("digits"))
