"""SageMaker SDK v1.72.1, unmodified, through the examples a user would start from."""
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize("name", ["xgboost_sdk_v1.py", "pca_sdk_v1.py"])
def test_example_runs(name, environment):
    result = subprocess.run([sys.executable, EXAMPLES / name], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert "Training seconds" in result.stdout or "Billable seconds" in result.stdout, result.stdout
