"""@remote, the same in SDK v2 and v3: a function of this process runs as a training job and returns or raises here.

The test modules of both generations import these tests and bring the fixtures `remote_function`, the SDK's module, and
`settings`, the arguments of the decorator.
"""
import pytest


@pytest.fixture
def remote(remote_function, settings):
    return remote_function.remote(**settings)


def test_a_function_returns_its_value(remote):
    @remote
    def add(a, b=1):
        import os
        import socket
        return {"sum": a + b, "host": socket.gethostname(), "job": os.environ["TRAINING_JOB_NAME"]}

    found = add(40, b=2)
    assert (found["sum"], found["host"]) == (42, "algo-1") and found["job"].startswith("add-")


def test_a_functions_error_is_raised_here(remote):
    @remote
    def refuse(a):
        raise ValueError(f"no such thing as {a}")

    with pytest.raises(ValueError, match="no such thing as seven"):
        refuse("seven")


def test_an_executor_runs_functions_side_by_side(remote_function, settings):
    with remote_function.RemoteExecutor(max_parallel_jobs=2, **settings) as executor:
        futures = [executor.submit(pow, base, 2) for base in (3, 4)]
        assert [future.result(timeout=300) for future in futures] == [9, 16]
