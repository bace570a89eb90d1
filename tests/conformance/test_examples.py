"""Each example of the repository, run as a user runs it."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("name", ["xgboost_sdk_v2.py", "pca_sdk_v2.py", "xgboost_boto3.py"])
def test_python_example(name, environment):
    result = subprocess.run([sys.executable, EXAMPLES / name], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]


def test_cli_example(environment):
    path = str(Path(sys.executable).parent) + os.pathsep + environment["PATH"]
    result = subprocess.run(["bash", EXAMPLES / "xgboost_cli.sh"], env={**environment, "PATH": path}, capture_output=True,
                            text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert "Completed" in result.stdout
