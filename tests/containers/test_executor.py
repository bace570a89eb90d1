"""The container executor's own tests, which need a real engine: the life of runs, adoption, networks, hardening."""
import os
import subprocess

import pytest
from conftest import BUSYBOX
from server import BIN

TESTS = BIN / "executors_container_tests"


def test_runs_live_and_end_as_the_interface_says(engine):
    if not TESTS.exists():
        pytest.skip(f"{TESTS} is not built")
    before = {about["Id"] for about in engine.ours()}
    done = subprocess.run([TESTS, "--gtest_filter=ContainerRuntimeTest.*", "--gtest_brief=1"], capture_output=True, text=True, timeout=900,
                          env={**os.environ, "MILLWRIGHT_CONTAINER_TEST_SOCKET": engine.socket,
                               "MILLWRIGHT_CONTAINER_TEST_IMAGE": BUSYBOX})
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "SKIPPED" not in done.stdout, done.stdout[-2000:]
    assert {about["Id"] for about in engine.ours()} <= before
