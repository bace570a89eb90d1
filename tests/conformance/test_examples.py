"""Each example of the repository, run as a user runs it. They mostly wait for their own SDK's polls, so all run at once."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMMANDS = {
    "xgboost_sdk_v2.py": [sys.executable, "-W", "ignore", EXAMPLES / "xgboost_sdk_v2.py"],
    "pca_sdk_v2.py": [sys.executable, "-W", "ignore", EXAMPLES / "pca_sdk_v2.py"],
    "script_sdk_v2.py": [sys.executable, "-W", "ignore", EXAMPLES / "script_sdk_v2.py"],
    "xgboost_boto3.py": [sys.executable, EXAMPLES / "xgboost_boto3.py"],
    "xgboost_cli.sh": ["bash", EXAMPLES / "xgboost_cli.sh"],
}
MUST_PRINT = {
    "xgboost_sdk_v2.py": "bit-equal to libxgboost: True",
    "pca_sdk_v2.py": "sin(angle) to LAPACK's subspace: ",
    "script_sdk_v2.py": "accuracy of the fetched model on 360 unseen digits: 0.9",
    "xgboost_boto3.py": "score of the first patient: ",
    "xgboost_cli.sh": "Completed",
}


@pytest.fixture(scope="module")
def running(environment):
    path = str(Path(sys.executable).parent) + os.pathsep + environment["PATH"]
    started = {name: subprocess.Popen(command, env={**environment, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True) for name, command in COMMANDS.items()}
    yield started
    for process in started.values():
        if process.poll() is None:
            process.kill()


@pytest.mark.parametrize("name", COMMANDS)
def test_example(name, running):
    output, _ = running[name].communicate(timeout=900)
    assert running[name].returncode == 0, output[-6000:]
    assert MUST_PRINT[name] in output
