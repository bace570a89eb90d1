"""Training jobs through boto3: status machine, logs, metrics, artifacts, stop, list, tags."""
import io
import json
import tarfile
import time

import pytest
from botocore.exceptions import ClientError


def code_of(caught):
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_job_trains_and_leaves_a_model(sm, s3, bucket, training_request, finish, unique):
    arn = sm.create_training_job(**training_request())["TrainingJobArn"]
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["TrainingJobArn"] == arn
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/output/{unique}/output/model.tar.gz"
    statuses = [t["Status"] for t in job["SecondaryStatusTransitions"]]
    assert statuses[0] == "Starting" and statuses[-1] == "Completed"
    assert {"Downloading", "Training", "Uploading"} <= set(statuses)
    assert all(t["StatusMessage"] and t["StartTime"] for t in job["SecondaryStatusTransitions"])
    assert job["BillableTimeInSeconds"] >= 1 and job["TrainingTimeInSeconds"] >= 1
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]
    content = s3.get_object(Bucket=bucket, Key=f"output/{unique}/output/model.tar.gz")["Body"].read()
    assert tarfile.open(fileobj=io.BytesIO(content)).getnames() == ["xgboost-model"]


def test_logs_follow_the_paging_rules(sm, logs, training_request, finish, unique):
    sm.create_training_job(**training_request())
    finish(unique)
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=unique + "/", orderBy="LogStreamName", limit=1)
    assert "nextToken" not in streams  # SDK v1 and v2 would ask for ever
    name = streams["logStreams"][0]["logStreamName"]
    assert name.startswith(f"{unique}/algo-1-")
    messages, token = [], None
    for _ in range(100):
        page = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True, limit=2,
                                   **({"nextToken": token} if token else {}))
        if not page["events"]:
            assert page["nextForwardToken"] == token
            break
        messages += [event["message"] for event in page["events"]]
        token = page["nextForwardToken"]
    assert any("#011train-" in message for message in messages), messages


def test_metrics_reach_cloudwatch_and_the_description(sm, server, training_request, finish, unique):
    sm.create_training_job(**training_request({"num_round": "5", "objective": "binary:logistic", "eval_metric": "logloss"}))
    job = finish(unique)
    final = {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]}
    assert 0 < final["train:logloss"] < 0.7
    now = time.time()
    points = server.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs", MetricName="train:logloss", Period=60, Statistics=["Minimum", "SampleCount"],
        Dimensions=[{"Name": "TrainingJobName", "Value": unique}], StartTime=now - 600, EndTime=now + 60)["Datapoints"]
    assert sum(p["SampleCount"] for p in points) == 5
    assert min(p["Minimum"] for p in points) == pytest.approx(final["train:logloss"])


def test_two_hosts_train_together(sm, s3, bucket, training_request, finish, unique):
    for part in range(2):
        rows = "".join(f"{(i + part) % 2},{(i + part) % 2},{i % 7}\n" for i in range(100))
        s3.put_object(Bucket=bucket, Key=f"data/{unique}/part-{part}.csv", Body=rows.encode())
    request = training_request(uri=f"s3://{bucket}/data/{unique}/")
    request["ResourceConfig"]["InstanceCount"] = 2
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    sm.create_training_job(**request)
    job = finish(unique, 120)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_stop_ends_a_running_job(sm, training_request, finish, unique):
    sm.create_training_job(**training_request({"num_round": "1000000", "objective": "binary:logistic"}))
    deadline = time.monotonic() + 90
    while sm.describe_training_job(TrainingJobName=unique)["SecondaryStatus"] != "Training":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    sm.stop_training_job(TrainingJobName=unique)
    job = finish(unique, 90)
    assert job["TrainingJobStatus"] == "Stopped"
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]][-2:] == ["Stopping", "Stopped"] or \
        "Stopping" in [t["Status"] for t in job["SecondaryStatusTransitions"]]
    with pytest.raises(ClientError) as caught:
        sm.stop_training_job(TrainingJobName=unique)
    assert code_of(caught)[0] == "ValidationException" and "Stopped" in code_of(caught)[1]


def test_max_runtime_stops_a_job(sm, training_request, finish, unique):
    request = training_request({"num_round": "1000000", "objective": "binary:logistic"})
    request["StoppingCondition"]["MaxRuntimeInSeconds"] = 1
    sm.create_training_job(**request)
    job = finish(unique, 60)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_manifest_names_the_objects(sm, s3, bucket, training_request, training_data, finish, unique):
    s3.put_object(Bucket=bucket, Key=f"manifests/{unique}", Body=json.dumps([{"prefix": training_data}, "part-0.csv"]).encode())
    request = training_request(uri=f"s3://{bucket}/manifests/{unique}")
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
    sm.create_training_job(**request)
    assert finish(unique)["TrainingJobStatus"] == "Completed"


def test_list_filters_sorts_and_pages(sm, training_request, finish, unique):
    names = [f"{unique}-{letter}" for letter in "cab"]
    for name in names:
        sm.create_training_job(**training_request(TrainingJobName=name))
    for name in names:
        finish(name)
    pages = sm.get_paginator("list_training_jobs").paginate(NameContains=unique, SortBy="Name", SortOrder="Ascending",
                                                            PaginationConfig={"PageSize": 2})
    listed = [[job["TrainingJobName"] for job in page["TrainingJobSummaries"]] for page in pages]
    assert listed == [sorted(names)[:2], sorted(names)[2:]]
    newest = sm.list_training_jobs(NameContains=unique, SortBy="CreationTime", SortOrder="Descending")["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in newest] == names[::-1]
    assert sm.list_training_jobs(NameContains=unique, StatusEquals="Failed")["TrainingJobSummaries"] == []
    with pytest.raises(ClientError) as caught:
        sm.list_training_jobs(NextToken="not a token")
    assert code_of(caught)[0] == "ValidationException"


def test_tags(sm, training_request, finish, unique):
    arn = sm.create_training_job(**training_request(Tags=[{"Key": "team", "Value": "a"}]))["TrainingJobArn"]
    finish(unique)
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "b"}])
    sm.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "b"}]


def test_the_input_is_linked_and_never_changed(sm, s3, bucket, training_data, training_request, finish, unique):
    before = s3.head_object(Bucket=bucket, Key="data/train/part-0.csv")["ETag"]
    sm.create_training_job(**training_request())
    finish(unique)
    body = s3.get_object(Bucket=bucket, Key="data/train/part-0.csv")["Body"].read()
    import hashlib
    assert before == f'"{hashlib.md5(body).hexdigest()}"'
