"""Fixtures: one server for the whole run, clients for it, buckets and data."""
import contextlib
import io
import json
import os
import sys
import tarfile
import time
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "examples"))
from server import Server  # noqa: E402


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("millwright") / "data").start()
    yield running
    running.end_everything()


@pytest.fixture(scope="session")
def environment(server):
    """The environment of a user's shell after `eval "$(millwright env)"`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAGEMAKER_"))}
    return {**clean, **server.environment()}


@pytest.fixture(scope="session")
def s3(server):
    return server.client("s3")


@pytest.fixture(scope="session")
def sm(server):
    return server.client("sagemaker")


@pytest.fixture(scope="session")
def logs(server):
    return server.client("logs")


@pytest.fixture(scope="session")
def runtime(server):
    return server.client("sagemaker-runtime")


@pytest.fixture(scope="session")
def bucket(s3):
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return name


@pytest.fixture(scope="session")
def training_data(s3, bucket):
    """A small separable CSV below s3://<bucket>/data/train/."""
    import numpy as np
    random = np.random.RandomState(7)
    features = random.rand(400, 5)
    labels = (features[:, 0] + features[:, 1] > 1).astype(int)
    text = io.StringIO()
    np.savetxt(text, np.column_stack([labels, features]), delimiter=",", fmt="%.9g")
    s3.put_object(Bucket=bucket, Key="data/train/part-0.csv", Body=text.getvalue().encode())
    return f"s3://{bucket}/data/train/"


@pytest.fixture
def unique():
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:16]}"


XGBOOST_IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
PCA_IMAGE = "174872318107.dkr.ecr.us-west-2.amazonaws.com/pca:1"


@pytest.fixture
def training_request(server, bucket, training_data, unique):
    """A function that makes a CreateTrainingJob request; keyword arguments replace top-level members."""

    def make(hyperparameters=None, image=XGBOOST_IMAGE, uri=training_data, content_type="text/csv", **changes):
        request = dict(
            TrainingJobName=unique,
            RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole",
            AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
            InputDataConfig=[{"ChannelName": "train", "ContentType": content_type, "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}}}],
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/output"},
            ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 300},
            HyperParameters=hyperparameters or {"num_round": "5", "objective": "binary:logistic"})
        request.update(changes)
        return request

    return make


PYTHON_IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"


@pytest.fixture
def script_request(s3, bucket, training_request, unique):
    """A function that makes the request of a script job from files {name: text}; as the estimators do it, they travel
    as a sourcedir.tar.gz. Without further words the job needs no data and runs in the plain Python environment."""

    def make(files, entry="train.py", hyperparameters=None, image=PYTHON_IMAGE, **changes):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, text in files.items():
                body = text if isinstance(text, bytes) else text.encode()
                about = tarfile.TarInfo(name)
                about.size, about.mode = len(body), 0o755
                archive.addfile(about, io.BytesIO(body))
        key = f"{changes.get('TrainingJobName', unique)}/source/sourcedir.tar.gz"
        s3.put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
        parameters = {"sagemaker_program": entry, "sagemaker_submit_directory": f"s3://{bucket}/{key}",
                      **(hyperparameters or {})}
        changes.setdefault("InputDataConfig", [])
        request = training_request({name: json.dumps(value) for name, value in parameters.items()}, image, **changes)
        if not request["InputDataConfig"]:
            del request["InputDataConfig"]
        return request

    return make


@pytest.fixture
def log_lines(logs):
    """A function that returns all log lines of a training job's host."""

    def read(name, host="algo-1"):
        group = "/aws/sagemaker/TrainingJobs"
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/{host}-")["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return []  # no job has begun yet
        lines, token = [], None
        while streams:
            more = {"nextToken": token} if token else {}
            page = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True,
                                       **more)
            if page["nextForwardToken"] == token:
                break
            lines += [event["message"] for event in page["events"]]
            token = page["nextForwardToken"]
        return lines

    return read


@pytest.fixture
def finish(sm):
    """Waits for a job's end and returns its description."""

    def wait(name, seconds=180):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = sm.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
                return job
            time.sleep(0.05)
        raise AssertionError(f"{name} is still {job['TrainingJobStatus']}: {job['SecondaryStatusTransitions']}")

    return wait


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    item.has_failed = getattr(item, "has_failed", False) or report.failed


@pytest.fixture(autouse=True)
def end_the_jobs_of_a_failed_test(request):
    """Where there is room for one job, the next test would wait for what this one has left."""
    sm = request.getfixturevalue("sm") if "sm" in request.fixturenames else None
    yield
    if sm is None or not getattr(request.node, "has_failed", False):
        return
    for job in sm.list_training_jobs(StatusEquals="InProgress", MaxResults=100)["TrainingJobSummaries"]:
        with contextlib.suppress(ClientError):
            sm.stop_training_job(TrainingJobName=job["TrainingJobName"])
