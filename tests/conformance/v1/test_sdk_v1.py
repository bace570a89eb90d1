"""SageMaker SDK v1.72.1, unmodified, through the examples a user would start from. Both run at once: they mostly wait."""
import subprocess
import sys
from pathlib import Path

import pytest
from transfers import move_with_sdk

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
NAMES = ["xgboost_sdk_v1.py", "pca_sdk_v1.py"]


@pytest.fixture(scope="module")
def running(environment):
    started = {name: subprocess.Popen([sys.executable, EXAMPLES / name], env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True) for name in NAMES}
    yield started
    for process in started.values():
        if process.poll() is None:
            process.kill()


@pytest.mark.parametrize("name", NAMES)
def test_example_runs(name, running):
    output, _ = running[name].communicate(timeout=900)
    assert running[name].returncode == 0, output[-6000:]
    assert "Billable seconds: " in output and "Completed - Training job completed" in output


def test_moves_100_mib_both_ways(environment, bucket, tmp_path):
    move_with_sdk(environment, bucket, tmp_path)
