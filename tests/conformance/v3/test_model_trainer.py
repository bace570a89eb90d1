"""ModelTrainer of SDK v3, unmodified: it sends its own drivers as a channel and an entry point that runs them."""
import io
import json
import re
import tarfile
import textwrap
import time

import pytest
from conftest import PYTHON_IMAGE
from distributions import SCRIPTS
from frameworks import FRAMEWORKS, accuracy_in_plain_python
from sagemaker.core.utils.exceptions import FailedStatusError
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode
from sagemaker.train.distributed import MPI, Torchrun

PYTORCH_IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.0.0-cpu-py310"
REPORT = textwrap.dedent("""
    import json, os, socket, sys
    print("report", json.dumps(dict(
        argv=sys.argv[1:], host=os.environ["SM_CURRENT_HOST"], rank=os.environ["SM_CURRENT_HOST_RANK"],
        hosts=json.loads(os.environ["SM_HOSTS"]), master=os.environ["SM_MASTER_ADDR"],
        peers=[socket.gethostbyname(h) for h in json.loads(os.environ["SM_HOSTS"])])), flush=True)
    open(os.path.join(os.environ["SM_MODEL_DIR"], socket.gethostname()), "w").write("trained")
    """)
RANKS = textwrap.dedent("""
    import socket
    from mpi4py import MPI
    world = MPI.COMM_WORLD
    print("rank", world.rank, "of", world.size, "on", socket.gethostname(), "sum", world.allreduce(world.rank + 1))
    """)


@pytest.fixture
def trainer(role, code):
    def make(text, hosts=1, **more):
        source = SourceCode(source_dir=code({"train.py": text}), entry_script="train.py")
        return ModelTrainer(training_image=PYTHON_IMAGE, source_code=source, role=role, base_job_name="v3",
                            compute=Compute(instance_type="ml.m5.large", instance_count=hosts), **more)

    return make


def name_of(trainer):
    return trainer._latest_training_job.training_job_name


def test_trains_on_two_hosts(trainer, log_lines, s3):
    made = trainer(REPORT, hosts=2, hyperparameters={"epochs": 2, "name": "x y", "rates": [1, 2]})
    made.train()
    job = made._latest_training_job.refresh()
    assert job.training_job_status == "Completed"
    bucket, key = job.model_artifacts.s3_model_artifacts.removeprefix("s3://").split("/", 1)
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
    for rank, host in enumerate(["algo-1", "algo-2"]):
        line = next(text for text in log_lines(name_of(made), host) if text.startswith("report "))
        report = json.loads(line.removeprefix("report "))
        assert report["argv"] == ["--epochs", "2", "--name", "x y", "--rates", "[1, 2]"]
        assert (report["host"], report["rank"], report["master"]) == (host, str(rank), "algo-1")
        assert report["hosts"] == ["algo-1", "algo-2"] and len(set(report["peers"])) == 2


def test_mpi_on_two_hosts(trainer, log_lines):
    """The SDK's own driver: sshd, paramiko, ssh and mpirun. Its worker looks for the end every 30 s."""
    made = trainer(RANKS, hosts=2,
                   distributed=MPI(process_count_per_node=2, mpi_additional_options=["--map-by", "ppr:1:node"]))
    made.train()
    lines = "\n".join(log_lines(name_of(made)))
    assert "rank 0 of 2 on algo-1 sum 3" in lines
    assert "rank 1 of 2 on algo-2 sum 3" in lines


@pytest.mark.parametrize("hosts, per_host", [(1, 2), (2, 1)])
def test_torchrun_trains_a_network_on_the_digits(hosts, per_host, role, digits_folders, log_lines, s3, tmp_path):
    made = ModelTrainer(
        training_image=PYTORCH_IMAGE, role=role, base_job_name="v3-torch", hyperparameters={"epochs": 15},
        source_code=SourceCode(source_dir=str(SCRIPTS), entry_script="torch_digits.py"),
        distributed=Torchrun(process_count_per_node=per_host),
        compute=Compute(instance_type="ml.m5.large", instance_count=hosts))
    made.train(input_data_config=[InputData(channel_name=name, data_source=str(digits_folders / name))
                                  for name in ("training", "testing")])
    reports = [line for host in range(hosts) for line in log_lines(name_of(made), f"algo-{host + 1}")
               if "accuracy=" in line]
    assert len(reports) == 2 and all(" world=2 " in line and "agree=True" in line for line in reports)
    assert {re.search(r"host=(\S+)", line).group(1) for line in reports} == {f"algo-{i + 1}" for i in range(hosts)}
    artifacts = made._latest_training_job.refresh().model_artifacts.s3_model_artifacts
    bucket, key = artifacts.removeprefix("s3://").split("/", 1)
    with tarfile.open(fileobj=io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())) as archive:
        archive.extractall(tmp_path)
    accuracy = accuracy_in_plain_python(SCRIPTS / "predict_pytorch.py", FRAMEWORKS["pytorch"].recipes[2], tmp_path,
                                        digits_folders / "testing")
    print(f"{hosts} hosts: accuracy {accuracy:.4f}")
    assert accuracy >= 0.92


def test_a_failure_points_to_the_log(trainer, log_lines):
    """The SDK's driver writes the failure file, with its own traceback; the script's is in the log."""
    made = trainer("raise ValueError('the data is not as it was said to be')")
    with pytest.raises(FailedStatusError, match="exit code: 1 .*of log stream"):
        made.train()
    assert any("ValueError: the data is not as it was said to be" in line for line in log_lines(name_of(made)))


def test_train_returns_within_two_seconds_of_the_end(trainer, sm):
    made = trainer("import time; time.sleep(6)")
    made.train()
    returned = time.time()
    end = sm.describe_training_job(TrainingJobName=name_of(made))["TrainingEndTime"].timestamp()
    print(f"train() returned {returned - end:.2f} s after the end")
    assert returned - end < 2
