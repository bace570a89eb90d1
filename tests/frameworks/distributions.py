"""Jobs on two hosts, each with its framework's own way to work together: what to start, and what its log must say."""
import re
from dataclasses import dataclass, field
from pathlib import Path

from frameworks import FRAMEWORKS, accuracy_in_plain_python

SCRIPTS = Path(__file__).resolve().parent / "distributed"


@dataclass
class Distribution:
    framework: str
    script: str
    accuracy: float
    wish: dict = field(default_factory=dict)  # `distribution` of SDK v2, `distributions` of v1
    reporting: int = 2  # lines with an accuracy, over all hosts
    one_log: bool = False  # MPI brings all output to the first host
    hyperparameters: dict = field(default_factory=dict)


def enabled(name, **options):
    return {name: {"enabled": True, **options}}


TENSORFLOW_SERVERS = Distribution("tensorflow", "tensorflow_servers.py", 0.90, enabled("parameter_server"))
MXNET_SERVERS = Distribution("mxnet", "mxnet_servers.py", 0.92, enabled("parameter_server"))
CHAINER_MPI = Distribution("chainer", "chainer_mpi.py", 0.92, one_log=True)
XGBOOST_RABIT = Distribution("xgboost", "xgboost_rabit.py", 0.88)
V2 = {
    # SDK v2 offers torch_distributed for types with GPUs only; this is what it would send.
    "pytorch-torchrun": Distribution("pytorch", "torch_digits.py", 0.92,
                                     hyperparameters={"sagemaker_torch_distributed_enabled": True}),
    "pytorch-mpi": Distribution("pytorch", "torch_digits.py", 0.92, enabled("mpi", processes_per_host=2), reporting=4,
                                one_log=True),
    "tensorflow-mirrored": Distribution("tensorflow", "tensorflow_mirrored.py", 0.92,
                                        enabled("multi_worker_mirrored_strategy")),
    "tensorflow-servers": TENSORFLOW_SERVERS,
    "mxnet-servers": MXNET_SERVERS,
    "chainer-mpi": CHAINER_MPI,
    "xgboost-rabit": XGBOOST_RABIT,
}
V1 = {
    "pytorch-plain": Distribution("pytorch", "torch_digits.py", 0.92),
    "tensorflow-servers": TENSORFLOW_SERVERS,
    "mxnet-servers": MXNET_SERVERS,
    "chainer-mpi": CHAINER_MPI,
    "xgboost-rabit": XGBOOST_RABIT,
}
V2, V1 = ({name: one for name, one in some.items() if one.framework in FRAMEWORKS} for some in (V2, V1))


def check_log(distribution, log_lines, job):
    """Every process reports, all with the stated accuracy; returns the accuracies."""
    per_host = {host: log_lines(job, host) for host in ("algo-1", "algo-2")}
    reports = {host: [line for line in lines if "accuracy=" in line] for host, lines in per_host.items()}
    everything = reports["algo-1"] + reports["algo-2"]
    assert len(everything) == distribution.reporting, per_host
    if distribution.one_log:
        assert not reports["algo-2"]
    else:
        assert len(reports["algo-1"]) == len(reports["algo-2"])
    assert not any("agree=False" in line for line in everything), everything
    found = [float(re.search(r"accuracy=([0-9.]+)", line).group(1)) for line in everything]
    assert min(found) >= distribution.accuracy, everything
    return found


def check_model(distribution, recipe, model, data, reported):
    """What the first host saved predicts in plain Python, as well as a process said; returns the accuracy."""
    found = accuracy_in_plain_python(SCRIPTS / f"predict_{distribution.framework}.py", recipe, model, data)
    assert found >= distribution.accuracy
    assert min(abs(found - one) for one in reported) < 0.001, (found, reported)
    return found
