"""Managed spot training: interruptions, checkpoints between the segments, limits of time, what is billed."""
import subprocess
import sys
import time

import pytest
import resumable
from botocore.exceptions import ClientError
from server import BIN, Server

HYPERPARAMETERS = {"objective": "binary:logistic", "eval_metric": "logloss", "max_depth": "3"}


def jobs_command(server, *words):
    return subprocess.run([BIN / "millwright", "jobs", "--data-dir", server.folder, *words], capture_output=True,
                          text=True, timeout=90)


def wait_for(sm, name, secondary, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = sm.describe_training_job(TrainingJobName=name)
        if job["SecondaryStatus"] == secondary:
            return job
        assert job["TrainingJobStatus"] in ("InProgress", "Stopping"), job
        time.sleep(0.01)
    raise AssertionError(f"{name} is still {job['SecondaryStatus']}")


def checkpoints(s3, bucket, name):
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"checkpoints/{name}/").get("Contents", [])
    return [item["Key"] for item in listed]


def has_model(s3, bucket, name):
    return "Contents" in s3.list_objects_v2(Bucket=bucket, Prefix=f"output/{name}/output/")


@pytest.fixture
def spot_request(training_request, bucket, unique):
    def make(rounds, run=300, wait=600, **changes):
        return training_request({**HYPERPARAMETERS, "num_round": str(rounds)}, EnableManagedSpotTraining=True,
                                StoppingCondition={"MaxRuntimeInSeconds": run, "MaxWaitTimeInSeconds": wait},
                                CheckpointConfig={"S3Uri": f"s3://{bucket}/checkpoints/{unique}"}, **changes)

    return make


@pytest.mark.parametrize("hosts", [1, 2])
def test_an_interrupted_job_goes_on_from_its_checkpoints(server, sm, s3, bucket, log_lines, finish, unique, hosts):
    resumable.put_source(s3, bucket)
    # It would take half a minute. Once it has been interrupted twice it hurries.
    steps, pause = 600, 0.05
    spot = dict(EnableManagedSpotTraining=True,
                StoppingCondition={"MaxRuntimeInSeconds": 300, "MaxWaitTimeInSeconds": 600})
    sm.create_training_job(**resumable.request(server.account, bucket, unique, steps, pause, slow_segments=2, hosts=hosts,
                                                **spot))
    for number in (1, 2):
        wait_for(sm, unique, "Training", 120)
        deadline = time.monotonic() + 120
        known = set(checkpoints(s3, bucket, unique))
        while set(checkpoints(s3, bucket, unique)) == known:  # something new to go on from
            assert time.monotonic() < deadline
            time.sleep(0.02)
        told = jobs_command(server, "interrupt", unique)
        assert told.returncode == 0, told.stderr
        while jobs_text(sm, unique).count("Interrupted") < number:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not has_model(s3, bucket, unique)
    job = finish(unique, 120)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    segment = ["Starting", "Downloading", "Training"]
    statuses = [status for status in jobs_text(sm, unique) if status != "Pending"]
    assert statuses == [*segment, "Interrupted", *segment, "Interrupted", *segment, "Uploading", "Completed"]
    assert all(step["StatusMessage"] for step in job["SecondaryStatusTransitions"])
    begun = [int(line.rsplit(" ", 1)[1]) for line in log_lines(unique) if line.startswith("segment begins")]
    assert len(begun) == 3 and begun[0] == 0 < begun[1] < begun[2] < steps, begun
    # Three segments took the time, and no more than was trained is billed.
    assert job["TrainingTimeInSeconds"] >= begun[2] * pause
    assert 1 <= job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]

    sm.create_training_job(**resumable.request(server.account, bucket, unique + "-whole", steps, pause=0, hosts=hosts))
    assert finish(unique + "-whole", 120)["TrainingJobStatus"] == "Completed"
    assert resumable.result_of(s3, bucket, unique) == resumable.result_of(s3, bucket, unique + "-whole")


def jobs_text(sm, name):
    return [step["Status"] for step in sm.describe_training_job(TrainingJobName=name)["SecondaryStatusTransitions"]]


def test_max_wait_ends_a_job(sm, s3, bucket, spot_request, training_request, finish, unique):
    # The wait begins with the request, the run with the job: it begins late, because another one has the machine.
    other = training_request({**HYPERPARAMETERS, "num_round": "1000000"}, TrainingJobName=unique + "-other")
    other["ResourceConfig"]["InstanceType"] = "ml.m5.24xlarge"  # shrunk to the whole machine
    sm.create_training_job(**other)
    wait_for(sm, unique + "-other", "Training")
    sm.create_training_job(**spot_request(1_000_000, run=15, wait=15))
    wait_for(sm, unique, "Pending")
    time.sleep(5)
    sm.stop_training_job(TrainingJobName=unique + "-other")
    job = finish(unique)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert jobs_text(sm, unique)[-2:] == ["Stopping", "MaxWaitTimeExceeded"]
    assert job["TrainingTimeInSeconds"] >= 1
    assert checkpoints(s3, bucket, unique)


@pytest.mark.parametrize("condition, words", [
    ({"MaxRuntimeInSeconds": 60}, "It must be present and be greater than or equal to MaxRuntimeInSeconds"),
    ({"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59}, "It must be present and be greater than or equal to"),
])
def test_the_wait_is_at_least_the_run(sm, spot_request, condition, words):
    with pytest.raises(ClientError) as caught:
        sm.create_training_job(**{**spot_request(1), "StoppingCondition": condition})
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "Invalid MaxWaitTimeInSeconds. " + words in caught.value.response["Error"]["Message"]


def test_a_wait_is_for_spot_jobs_only(sm, training_request):
    with pytest.raises(ClientError) as caught:
        sm.create_training_job(**training_request(
            StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}))
    assert "It is only supported when EnableManagedSpotTraining is set to true" in str(caught.value)


def test_only_running_spot_jobs_are_interrupted(server, sm, training_request, finish, unique):
    sm.create_training_job(**training_request({**HYPERPARAMETERS, "num_round": "1000000"}))
    wait_for(sm, unique, "Training")
    refused = jobs_command(server, "interrupt", unique)
    assert refused.returncode == 1
    assert "does not use managed spot training" in refused.stderr
    stopped = jobs_command(server, "stop", unique)
    assert stopped.returncode == 0, stopped.stderr
    assert finish(unique)["TrainingJobStatus"] == "Stopped"
    assert "not found" in jobs_command(server, "interrupt", "no-such-job").stderr


def test_interruptions_come_as_configured(tmp_path, training_request, s3, bucket):
    """On a server of its own, whose spot instances last a second on average."""
    config = '[spot]\nmean_seconds_between_interruptions = 1\nseed = "7"\nbilled_share = 0.5\n'
    server = Server(tmp_path / "data", config=config).start()
    try:
        there = server.client("s3")
        there.create_bucket(Bucket="spot", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        for item in s3.list_objects_v2(Bucket=bucket, Prefix="data/train/")["Contents"]:
            there.put_object(Bucket="spot", Key=item["Key"],
                             Body=s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
        sm = server.client("sagemaker")
        request = training_request({**HYPERPARAMETERS, "num_round": "1000000"}, uri="s3://spot/data/train/",
                                   EnableManagedSpotTraining=True,
                                   StoppingCondition={"MaxRuntimeInSeconds": 300, "MaxWaitTimeInSeconds": 600},
                                   CheckpointConfig={"S3Uri": "s3://spot/checkpoints"},
                                   OutputDataConfig={"S3OutputPath": "s3://spot/output"})
        request["RoleArn"] = f"arn:aws:iam::{server.account}:role/SageMakerRole"
        name = request["TrainingJobName"]
        sm.create_training_job(**request)
        deadline = time.monotonic() + 120
        while "Interrupted" not in jobs_text(sm, name):
            assert time.monotonic() < deadline and sm.describe_training_job(TrainingJobName=name)[
                "TrainingJobStatus"] == "InProgress", jobs_text(sm, name)
            time.sleep(0.05)
        sm.stop_training_job(TrainingJobName=name)
        while True:
            job = sm.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] == "Stopped":
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert job["BillableTimeInSeconds"] == max(1, -(-job["TrainingTimeInSeconds"] // 2))
    finally:
        server.end_everything()


def test_the_sdk_prints_what_was_saved(server, environment, bucket, s3, unique):
    """fit() of SDK v2 with use_spot_instances, as in its documentation; interrupted once on the way."""
    resumable.put_source(s3, bucket)
    script = f"""
import sagemaker
from sagemaker.estimator import Estimator
estimator = Estimator(image_uri="{resumable.IMAGE}", role="SageMakerRole", instance_count=1, instance_type="ml.m5.large",
                      output_path="s3://{bucket}/output", use_spot_instances=True, max_run=300, max_wait=600,
                      checkpoint_s3_uri="s3://{bucket}/checkpoints/{unique}", hyperparameters=dict(
                          sagemaker_program="train.py", sagemaker_submit_directory="s3://{bucket}/{resumable.SOURCE_KEY}",
                          steps=300, pause=0.05, slow_segments=1000))
estimator.fit(job_name="{unique}")
"""
    fit = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 240
        while jobs_command(server, "interrupt", unique).returncode != 0:
            assert time.monotonic() < deadline and fit.poll() is None, fit.communicate()
            time.sleep(0.1)
        output, _ = fit.communicate(timeout=300)
    finally:
        fit.kill()
    assert fit.returncode == 0, output
    assert "Managed Spot Training savings: " in output, output
    assert "The managed spot instances were interrupted (interruption 1)" in output or "Interrupted" in output, output
    assert "finished" in output
