"""CheckpointConfig: what a job writes reaches S3 while it runs, and a later job goes on from there."""
import io
import tarfile
import time

import pytest
from botocore.exceptions import ClientError

# No sampling, so that a resumed job draws no other numbers than an uninterrupted one.
HYPERPARAMETERS = {"objective": "binary:logistic", "eval_metric": "logloss", "max_depth": "3"}


def config(bucket, name, **changes):
    return {"S3Uri": f"s3://{bucket}/checkpoints/{name}", **changes}


def checkpoints(s3, bucket, name):
    """Rounds of the checkpoints in S3; anything else there is a fault."""
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"checkpoints/{name}/").get("Contents", [])
    keys = [item["Key"].removeprefix(f"checkpoints/{name}/") for item in listed]
    assert all(key.startswith("xgboost-checkpoint.") for key in keys), keys
    return sorted(int(key.removeprefix("xgboost-checkpoint.")) for key in keys)


def messages_of(logs, name):
    """All log lines of a job."""
    group = "/aws/sagemaker/TrainingJobs"
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name + "/")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return []  # no job has begun yet
    found = []
    for stream in streams:
        token = None
        for _ in range(200):
            page = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True,
                                       **({"nextToken": token} if token else {}))
            if not page["events"]:
                break
            found += [event["message"] for event in page["events"]]
            token = page["nextForwardToken"]
    return found


def model_of(s3, bucket, name):
    content = s3.get_object(Bucket=bucket, Key=f"output/{name}/output/model.tar.gz")["Body"].read()
    return tarfile.open(fileobj=io.BytesIO(content)).extractfile("xgboost-model").read()


def rounds_of(messages):
    """{round: what was printed for it}"""
    lines = [message for message in messages if "#011train-logloss" in message]
    return {int(line.partition("]")[0].rpartition("[")[2]): line.partition("#011")[2] for line in lines}


def test_checkpoints_are_in_s3_and_the_description_shows_where(sm, s3, bucket, training_request, finish, unique):
    where = config(bucket, unique, LocalPath="/state")
    sm.create_training_job(**training_request({**HYPERPARAMETERS, "num_round": "8"}, CheckpointConfig=where))
    assert sm.describe_training_job(TrainingJobName=unique)["CheckpointConfig"] == where
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["CheckpointConfig"] == where
    assert set(checkpoints(s3, bucket, unique)) >= {3, 4, 5, 6, 7}


def test_a_stopped_job_is_resumed_by_the_next(sm, s3, logs, bucket, training_request, finish, unique):
    where = config(bucket, unique)
    first = {**training_request({**HYPERPARAMETERS, "num_round": "1000000"}, CheckpointConfig=where),
             "TrainingJobName": unique + "-first"}
    sm.create_training_job(**first)
    deadline = time.monotonic() + 60
    while not any("train-logloss" in message for message in messages_of(logs, first["TrainingJobName"])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sm.stop_training_job(TrainingJobName=first["TrainingJobName"])
    assert finish(first["TrainingJobName"])["TrainingJobStatus"] == "Stopped"
    done = checkpoints(s3, bucket, unique)[-1] + 1
    rounds = done + 5

    requests = {"second": {"CheckpointConfig": where}, "whole": {}}
    for suffix, changes in requests.items():
        request = training_request({**HYPERPARAMETERS, "num_round": str(rounds)}, **changes)
        request["TrainingJobName"] = f"{unique}-{suffix}"
        sm.create_training_job(**request)
    for suffix in requests:
        job = finish(f"{unique}-{suffix}", 120)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")

    lines = messages_of(logs, unique + "-second")
    assert any(f"Resuming from iteration {done}" in line for line in lines), lines
    second, whole = rounds_of(lines), rounds_of(messages_of(logs, unique + "-whole"))
    assert sorted(second) == list(range(done, rounds))
    assert second == {number: whole[number] for number in second}
    assert checkpoints(s3, bucket, unique)[-1] == rounds - 1
    # The same bytes, so the same predictions.
    assert model_of(s3, bucket, unique + "-second") == model_of(s3, bucket, unique + "-whole")


def test_the_time_limit_leaves_checkpoints(sm, s3, bucket, training_request, finish, unique):
    sm.create_training_job(**training_request({**HYPERPARAMETERS, "num_round": "1000000"},
                                              StoppingCondition={"MaxRuntimeInSeconds": 6},
                                              CheckpointConfig=config(bucket, unique)))
    assert finish(unique)["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert checkpoints(s3, bucket, unique)


@pytest.mark.parametrize("path", ["/opt/ml/input/data/x", "/opt/ml/model", "relative", "/a/../b", "/usr/share"])
def test_reserved_local_paths_are_refused(sm, bucket, training_request, unique, path):
    with pytest.raises(ClientError) as caught:
        sm.create_training_job(**training_request(CheckpointConfig=config(bucket, unique, LocalPath=path)))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "CheckpointConfig.LocalPath" in caught.value.response["Error"]["Message"]


def test_a_missing_bucket_is_refused(sm, training_request, unique):
    with pytest.raises(ClientError) as caught:
        sm.create_training_job(**training_request(CheckpointConfig={"S3Uri": f"s3://{unique}/x"}))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "CheckpointConfig.S3Uri" in caught.value.response["Error"]["Message"]
