"""How long after the end of a job the clients that wait for it return, with holding of Describe (default) and without.

  build/python/v2/bin/python bench/bench_waiting.py [--rounds N] [--seconds N] [--only boto3|sdk]

Shows boto3's waiter and, of the interpreter's SageMaker SDK, fit() of v1 and v2 or train() of v3, all unmodified; so
run it with the interpreter of each SDK. The job sleeps --seconds in between; its end is the TrainingEndTime that
Describe tells. The peer is the same server with `[waiting] hold_seconds = 0`, in turn; with it, boto3's waiter alone
takes two minutes a round.
"""
import argparse
import contextlib
import importlib.metadata
import io
import os
import statistics
import sys
import tarfile
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/conformance"))
from server import Server  # noqa: E402

IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"
BUCKET = "bench-waiting"


def wait_with_boto3(server, folder):
    sm, name = server.client("sagemaker"), f"bench-{uuid.uuid4().hex[:12]}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder / "train.py", "train.py")
    server.client("s3").put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=packed.getvalue())
    sm.create_training_job(
        TrainingJobName=name, RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        HyperParameters={"sagemaker_program": "train.py", "sagemaker_submit_directory": f"s3://{BUCKET}/{name}.tar.gz"})
    sm.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name)
    return name


def fit_of_estimator(server, folder):
    from sagemaker.sklearn import SKLearn
    old = importlib.metadata.version("sagemaker").startswith("1.")
    sizes = ("train_instance_count", "train_instance_type") if old else ("instance_count", "instance_type")
    version = "0.23-1" if old else "1.2-1"
    estimator = SKLearn(entry_point=str(folder / "train.py"), role="SageMakerRole", framework_version=version,
                        py_version="py3", output_path=f"s3://{BUCKET}/out", code_location=f"s3://{BUCKET}/code",
                        **dict(zip(sizes, (1, "ml.m5.large"))))
    estimator.fit()
    return estimator.latest_training_job.name


def train_of_model_trainer(server, folder):
    from sagemaker.train import ModelTrainer
    from sagemaker.core.training.configs import Compute, SourceCode
    trainer = ModelTrainer(
        training_image=IMAGE, role=f"arn:aws:iam::{server.account}:role/SageMakerRole", base_job_name="bench",
        source_code=SourceCode(source_dir=str(folder), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1))
    trainer.train()
    return trainer._latest_training_job.training_job_name


def clients(only):
    version = importlib.metadata.version("sagemaker")
    ours = train_of_model_trainer if version.startswith("3.") else fit_of_estimator
    known = {"boto3": ("boto3's waiter", wait_with_boto3),
             "sdk": (f"{ours.__name__.split('_')[0]}() of SDK {version}", ours)}
    return [client for name, client in known.items() if only in (None, name)]


def seconds_after_the_end(server, client, folder):
    """The SDKs keep clients made from the environment: every measurement is a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.environ.update(server.environment())
            with (open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing),
                  contextlib.redirect_stderr(nothing)):
                name = client(server, folder)
                returned = time.time()
            job = server.client("sagemaker").describe_training_job(TrainingJobName=name)
            os.write(write, repr(returned - job["TrainingEndTime"].timestamp()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError("a client failed: " + server.log()[-2000:])
    return float(text)


def run(servers, report, folder, rounds, only=None):
    """REQUIRES: `folder` holds train.py; `servers`: what to call the server -> a running server."""
    for server in servers.values():
        server.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    for title, client in clients(only):
        found = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                found[name].append(seconds_after_the_end(server, client, folder))
        for name, seconds in found.items():
            report(f"{title}, {name}: returns after the job's end, p50",
                   f"{statistics.median(seconds):.2f} s (max {max(seconds):.2f})")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--seconds", type=int, default=6)
    options.add_argument("--only", choices=("boto3", "sdk"))
    asked = options.parse_args()
    for name in [n for n in os.environ if n.startswith(("AWS_", "SAGEMAKER_"))]:
        del os.environ[name]
    os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "code").mkdir()
        (Path(folder) / "code/train.py").write_text(f"import time\ntime.sleep({asked.seconds})\n")
        servers = {"held": Server(Path(folder) / "held"),
                   "not held": Server(Path(folder) / "plain", config="[waiting]\nhold_seconds = 0\n")}
        try:
            for server in servers.values():
                server.start()
            run(servers, lambda name, value: print(f"  {name:<70} {value}", flush=True), Path(folder) / "code",
                asked.rounds, asked.only)
        finally:
            for server in servers.values():
                if server.process:
                    server.end_everything()


if __name__ == "__main__":
    main()
