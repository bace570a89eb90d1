"""What a job used and costs: host metrics in CloudWatch, `millwright cost`, quotas, and when a waiting job will start."""
import csv
import datetime
import io
import json
import subprocess
import time

import pytest
from botocore.exceptions import ClientError
from server import BIN, Server

GROUP = "/aws/sagemaker/TrainingJobs"
LONG = {"num_round": "1000000", "objective": "binary:logistic"}


def cost(server, *options):
    result = subprocess.run([BIN / "millwright", "cost", "--data-dir", server.folder, *options], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def wait_for(sm, name, secondary):
    deadline = time.monotonic() + 90
    while (job := sm.describe_training_job(TrainingJobName=name))["SecondaryStatus"] != secondary:
        assert time.monotonic() < deadline and "FailureReason" not in job, job
        time.sleep(0.05)
    return job


def test_host_metrics_are_in_cloudwatch_while_the_job_runs(server, sm, training_request, finish, unique):
    cloudwatch = server.client("cloudwatch")
    host = {"Name": "Host", "Value": f"{unique}/algo-1"}
    sm.create_training_job(**training_request(LONG))
    wait_for(sm, unique, "Training")
    deadline = time.monotonic() + 90
    names = set()
    while not {"CPUUtilization", "MemoryUtilization", "DiskUtilization"} <= names:
        assert time.monotonic() < deadline, names
        time.sleep(0.2)
        names = {m["MetricName"] for m in cloudwatch.list_metrics(Namespace=GROUP, Dimensions=[host])["Metrics"]}
    assert sm.describe_training_job(TrainingJobName=unique)["TrainingJobStatus"] == "InProgress"
    sm.stop_training_job(TrainingJobName=unique)
    finish(unique)
    now = datetime.datetime.now(datetime.timezone.utc)
    span = dict(StartTime=now - datetime.timedelta(minutes=5), EndTime=now + datetime.timedelta(minutes=1))
    points = cloudwatch.get_metric_statistics(Namespace=GROUP, MetricName="CPUUtilization", Dimensions=[host], Period=60,
                                              Statistics=["Maximum"], Unit="Percent", **span)["Datapoints"]
    # ml.m5.large has two processors; measured over a second, a little more than both may be seen.
    assert points and all(0 < point["Maximum"] < 300 for point in points), points
    queries = [{"Id": "memory", "MetricStat": {"Metric": {"Namespace": GROUP, "MetricName": "MemoryUtilization",
                                                          "Dimensions": [host]}, "Period": 60, "Stat": "Average"}}]
    values = cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"][0]["Values"]
    assert values and all(0 < value <= 100 for value in values), values


def test_the_cost_of_jobs_is_exact_also_when_they_are_deleted(server, sm, training_request, finish, unique):
    names = [f"{unique}-{i}" for i in range(2)]
    for name in names:
        request = training_request(TrainingJobName=name, Tags=[{"Key": "run", "Value": unique}])
        request["ResourceConfig"].update(InstanceType="ml.m5.xlarge", InstanceCount=1)
        sm.create_training_job(**request)
    jobs = [finish(name) for name in names]
    sm.delete_training_job(TrainingJobName=names[0])
    report = json.loads(cost(server, "--json", "--as", "ml.p3.2xlarge"))
    lines = {line["key"]: line for line in report["lines"]}
    for name, job in zip(names, jobs):
        line, seconds = lines[name], job["BillableTimeInSeconds"]
        assert line["billable_seconds"] == seconds and line["instances"] == "1 x ml.m5.xlarge"
        assert line["list_usd"] == f"{(230000 * seconds + 1800) // 3600 / 1e6:.6f}"
        assert line["as_usd"] == f"{(3825000 * seconds + 1800) // 3600 / 1e6:.6f}"
    micro = sum(round(float(line["list_usd"]) * 1e6) for line in report["lines"] if line["list_usd"] is not None)
    assert report["total"]["list_usd"] == f"{micro / 1e6:.6f}"
    assert any(price.startswith("ml.m5.xlarge: $0.230000/h (20") for price in report["prices"])

    by_tag = {row["key"]: row for row in csv.DictReader(io.StringIO(cost(server, "--by", "tag", "run", "--csv")))}
    assert by_tag[unique]["jobs"] == "2"
    begun = jobs[0]["CreationTime"].astimezone(datetime.timezone.utc).date()  # midnight may have passed
    text = cost(server, "--by", "day", "--since", begun.isoformat())
    assert text.startswith("DAY ") and "ml.m5.xlarge: $0.230000/h" in text


def test_own_prices_are_taken_from_the_data_directory(server, sm, training_request, finish, unique):
    sm.create_training_job(**training_request())
    seconds = finish(unique)["TrainingTimeInSeconds"]
    prices = server.folder / "prices.toml"
    prices.write_text('own = 3.6\n["*"]\n"ml.m5.large" = {list = 36}\n')
    try:
        line = {line["key"]: line for line in json.loads(cost(server, "--json"))["lines"]}[unique]
        assert (line["list_usd"], line["own_usd"]) == (f"{seconds / 100:.6f}", f"{seconds / 1000:.6f}")
        prices.write_text("price = 1\n")
        result = subprocess.run([BIN / "millwright", "cost", "--data-dir", server.folder], capture_output=True, text=True)
        assert result.returncode == 1 and "prices.toml: price: expected" in result.stderr
    finally:
        prices.unlink()


@pytest.fixture
def start_with(tmp_path):
    """Starts a server of its own with this config.toml, and a bucket with data."""
    started = []

    def start(config):
        folder = tmp_path / "data"
        folder.mkdir(mode=0o700)
        (folder / "config.toml").write_text(config)
        server = Server(folder).start()
        started.append(server)
        s3 = server.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_object(Bucket="bucket", Key="train/a.csv", Body=b"1,2\n0,3\n" * 50)
        return server

    yield start
    for server in started:
        server.end_everything()


def small(server, training_request, name, **resources):
    request = training_request(LONG, uri="s3://bucket/train", TrainingJobName=name,
                               RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole",
                               OutputDataConfig={"S3OutputPath": "s3://bucket/out"})
    request["ResourceConfig"].update(resources)
    return request


def test_over_a_quota_the_answer_is_that_of_aws(start_with, training_request):
    limited = start_with('[quotas]\n"ml.m5.large for training job usage" = 1\nmax_runtime_seconds = 400\n')
    sm = limited.client("sagemaker")
    sm.create_training_job(**small(limited, training_request, "first"))
    with pytest.raises(ClientError) as caught:
        sm.create_training_job(**small(limited, training_request, "second", InstanceCount=2))
    error = caught.value.response["Error"]
    assert error["Code"] == "ResourceLimitExceeded"
    assert error["Message"].startswith(
        "The account-level service limit 'ml.m5.large for training job usage' is 1 Instances, with current utilization of 1 "
        "Instances and a request delta of 2 Instances. Please use AWS Service Quotas to request an increase for this quota.")
    with pytest.raises(ClientError) as caught:
        request = small(limited, training_request, "third", InstanceType="ml.c5.xlarge")
        request["StoppingCondition"]["MaxRuntimeInSeconds"] = 401
        sm.create_training_job(**request)
    assert "'Longest run time for a training job' is 400 Seconds" in caught.value.response["Error"]["Message"]
    assert [job["TrainingJobName"] for job in sm.list_training_jobs()["TrainingJobSummaries"]] == ["first"]
    sm.stop_training_job(TrainingJobName="first")
    deadline = time.monotonic() + 90
    while sm.describe_training_job(TrainingJobName="first")["TrainingJobStatus"] != "Stopped":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sm.create_training_job(**small(limited, training_request, "fourth"))


def test_strict_capacity_refuses_what_never_fits_as_aws_refuses(start_with, training_request):
    limited = start_with("[jobs]\nstrict_capacity = true\n")
    with pytest.raises(ClientError) as caught:
        limited.client("sagemaker").create_training_job(
            **small(limited, training_request, "huge", InstanceType="ml.p3.16xlarge", InstanceCount=3))
    error = caught.value.response["Error"]
    assert error["Code"] == "ResourceLimitExceeded"
    assert "'ml.p3.16xlarge for training job usage' is " in error["Message"]
    assert "a request delta of 3 Instances" in error["Message"] and "can never fit: this machine has" in error["Message"]


def test_a_waiting_job_says_when_it_will_start_at_the_latest(start_with, training_request):
    limited = start_with("[metrics]\nhost_interval_seconds = 0\n")
    sm = limited.client("sagemaker")
    whole = dict(InstanceType="ml.m5.24xlarge", InstanceCount=1)
    sm.create_training_job(**small(limited, training_request, "runs", **whole))
    wait_for(sm, "runs", "Training")
    sm.create_training_job(**small(limited, training_request, "waits", **whole))
    job = wait_for(sm, "waits", "Pending")
    message = job["SecondaryStatusTransitions"][-1]["StatusMessage"]
    assert message.startswith("Waiting for ") and "expected to start at most by " in message, message
    latest = datetime.datetime.strptime(message.rsplit(" by ", 1)[1], "%Y-%m-%d %H:%M UTC").replace(tzinfo=datetime.timezone.utc)
    away = (latest - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert 300 < away <= 300 + 120 + 60, "MaxRuntimeInSeconds, the grace, and up to a minute of rounding"
    time.sleep(1.5)
    assert limited.client("cloudwatch").list_metrics(Namespace=GROUP, MetricName="CPUUtilization")["Metrics"] == []
