"""kill -9 of the server, 50 times at random moments, while jobs run and objects are put.

What was acknowledged must be there afterwards, running jobs must end as if nothing had happened, and no process, mount or
cgroup may stay. Billing is compared with the launcher's own record.
"""
import json
import os
import random
import threading
import time
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from server import Server, launchers_of, mounts_and_cgroups

KILLS = int(os.environ.get("MILLWRIGHT_KILLS", "50"))
IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"


class Clients:
    """Threads that put objects and create jobs for as long as the test runs, and note what was acknowledged."""

    def __init__(self, server, bucket):
        self.server, self.bucket = server, bucket
        self.objects, self.jobs, self.deleted = {}, {}, set()
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.put_objects, args=(n,)) for n in range(2)]
        self.threads += [threading.Thread(target=self.create_jobs, args=(n,)) for n in range(2)]
        for thread in self.threads:
            thread.start()

    def finish(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)

    def put_objects(self, seed):
        chooser, number = random.Random(seed), 0
        while not self.ending.is_set():
            number += 1
            key, body = f"objects/{seed}/{number}", chooser.randbytes(chooser.choice([10, 5000, 300_000]))
            try:
                self.server.client("s3", read_timeout=5).put_object(Bucket=self.bucket, Key=key, Body=body)
                with self.lock:
                    self.objects[key] = body
                if number % 7 == 0:
                    self.server.client("s3", read_timeout=5).delete_object(Bucket=self.bucket, Key=key)
                    with self.lock:
                        self.deleted.add(key)
            except Exception:  # the server is being killed; only acknowledged work counts
                if number % 7 == 0:
                    with self.lock:
                        self.objects.pop(key, None)  # the delete may or may not have happened
                time.sleep(0.02)

    def create_jobs(self, seed):
        chooser = random.Random(100 + seed)
        while not self.ending.is_set():
            name = f"kill-{uuid.uuid4().hex[:12]}"
            rounds = chooser.choice(["3", "300", "3000"])
            try:
                self.server.client("sagemaker", read_timeout=5).create_training_job(**request(self.server, self.bucket, name, rounds))
                with self.lock:
                    self.jobs[name] = rounds
            except Exception:
                time.sleep(0.02)
            self.ending.wait(chooser.uniform(0.1, 0.6))


def request(server, bucket, name, rounds):
    return dict(
        TrainingJobName=name, RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/"}}}],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/output"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        HyperParameters={"num_round": rounds, "objective": "binary:logistic", "max_depth": "2"})


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "data").start()
    yield running
    running.end_everything()


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(server):
    s3 = server.client("s3")
    bucket = "kill-test-bucket"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    chooser = random.Random(20261122)
    rows = "".join(f"{i % 2},{i % 2 + chooser.random()},{chooser.random()}\n" for i in range(500))
    s3.put_object(Bucket=bucket, Key="data/x.csv", Body=rows.encode())

    clients, runs = Clients(server, bucket), set()
    for _ in range(KILLS):
        time.sleep(chooser.uniform(0.05, 1.2))
        runs.update(path.name for path in (server.folder / "jobs").iterdir())
        server.kill()
        server.start()
    clients.finish()

    s3, sm = server.client("s3"), server.client("sagemaker")
    assert len(clients.objects) > KILLS and len(clients.jobs) >= KILLS / 2
    for key, body in clients.objects.items():
        if key in clients.deleted:
            with pytest.raises(ClientError):
                s3.head_object(Bucket=bucket, Key=key)
        else:
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body, key

    deadline = time.monotonic() + 240
    for name in clients.jobs:
        while True:
            job = sm.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                break
            assert time.monotonic() < deadline, (name, job["SecondaryStatusTransitions"])
            time.sleep(0.05)
        assert job["TrainingJobStatus"] == "Completed", (name, job.get("FailureReason"))
        assert [t["Status"] for t in job["SecondaryStatusTransitions"]].count("Completed") == 1
        s3.head_object(Bucket=bucket, Key=f"output/{name}/output/model.tar.gz")
        assert 1 <= job["BillableTimeInSeconds"] <= 300

    time.sleep(1)
    assert launchers_of(server.folder) == []
    assert runs and mounts_and_cgroups(server.folder, runs) == []
