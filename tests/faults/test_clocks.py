"""A wall clock that jumps while the server works: by an hour and by ten years, forwards and backwards.

The server runs under a shim that moves its wall clock only (shims/clock.c); launchers keep the real one, so the clocks of
the two differ by the jump, which is worse than a machine whose clock is set.
"""
import datetime
import mmap
import os
import struct
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import botocore.auth
import pytest
from botocore.exceptions import ClientError
from disk_model import build_shim
from promises import BUCKET, prepare, training_request
from server import SANITIZED, Server

HOUR, YEAR = 3600, 365 * 86400
SLOW = 10  # seconds that a busy machine may take to stop a job; far from any jump
JUMPS = {"an hour ahead": HOUR, "an hour back": -HOUR, "ten years ahead": 10 * YEAR, "ten years back": -10 * YEAR}


class ClockedServer(Server):
    def __init__(self, folder, library):
        super().__init__(folder)
        self.file = Path(folder).with_name("clock")
        self.file.write_bytes(bytes(4096))
        with open(self.file, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4096)
        self.variables = {"LD_PRELOAD": str(library), "MILLWRIGHT_CLOCK": str(self.file)}
        self.known = {}

    def set_clock(self, seconds):
        struct.pack_into("<q", self.memory, 0, int(seconds * 1e9))

    @property
    def offset(self):
        return datetime.timedelta(seconds=struct.unpack_from("<q", self.memory, 0)[0] / 1e9)

    def waits_by_the_wall_clock(self):
        return struct.unpack_from("<q", self.memory, 8)[0]

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cached(self, service):
        if service not in self.known:
            self.known[service] = self.client(service)
        return self.known[service]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock")
    made = ClockedServer(folder / "data", build_shim("clock", folder))
    try:
        made.start()
        prepare(made)
        yield made
    finally:
        made.end_everything()


@pytest.fixture
def follow(server, monkeypatch):
    """Clients whose clock is that of the server, plus `away` seconds."""
    away = [0.0]
    now = botocore.auth.get_current_datetime

    def current(*arguments, **options):
        return now(*arguments, **options) + server.offset + datetime.timedelta(seconds=away[0])

    monkeypatch.setattr(botocore.auth, "get_current_datetime", current)
    server.set_clock(0)
    yield away
    server.set_clock(0)


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def ended(server, name, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = server.cached("sagemaker").describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def reached(server, name, status, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = server.cached("sagemaker").describe_training_job(TrainingJobName=name)
        if any(step["Status"] == status for step in job["SecondaryStatusTransitions"]):
            return job
        time.sleep(0.02)
    raise AssertionError(job)


def sane(job):
    times = [t[key] for t in job["SecondaryStatusTransitions"] for key in ("StartTime", "EndTime") if key in t]
    assert times == sorted(times), times
    assert job["BillableTimeInSeconds"] >= 1 and job["TrainingTimeInSeconds"] >= 1


@pytest.mark.parametrize("jump", JUMPS)
def test_limits_and_bills_of_a_running_job_do_not_see_the_clock_jump(server, follow, jump):
    name, sm = f"jump-{uuid.uuid4().hex[:12]}", server.cached("sagemaker")
    # More rounds than fit into the limit, which so is what ends it.
    begun = time.monotonic()
    sm.create_training_job(**training_request(server, name, rounds="100000000",
                                              StoppingCondition={"MaxRuntimeInSeconds": 2}))
    reached(server, name, "Training")
    watched, cpu = time.monotonic(), server.cpu_seconds()
    time.sleep(0.5)
    server.set_clock(JUMPS[jump])
    job = ended(server, name)
    ran, used, lasted = time.monotonic() - begun, server.cpu_seconds() - cpu, time.monotonic() - watched
    assert job["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert 2 <= ran <= 40  # the stop and the upload included
    assert 2 <= job["TrainingTimeInSeconds"] <= 3 + SLOW and 2 <= job["BillableTimeInSeconds"] <= 3 + SLOW, job
    sane(job)
    print(f"{jump}: {job['BillableTimeInSeconds']} s billed of 2, the server used {used:.2f} s of CPU in {lasted:.1f} s")
    assert SANITIZED or used < 0.5 * max(lasted, 2)
    assert server.waits_by_the_wall_clock() == 0


@pytest.mark.parametrize("jump", JUMPS)
def test_an_idle_server_stays_idle_after_a_jump(server, follow, jump):
    server.set_clock(JUMPS[jump])
    used = []
    while not used or used[-1] >= 0.1:  # the jobs before may still be cleared away; who spins is never idle
        assert len(used) < 20, used
        time.sleep(0.2)
        cpu = server.cpu_seconds()
        time.sleep(0.5)
        used.append(server.cpu_seconds() - cpu)


@pytest.mark.parametrize("jump", JUMPS)
def test_signatures_are_judged_by_the_new_clock(server, follow, jump):
    s3, away = server.cached("s3"), follow
    url = server.client("s3", signature_version="s3v4").generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "data/x.csv"}, ExpiresIn=60)
    urllib.request.urlopen(url, timeout=10).read()
    server.set_clock(JUMPS[jump])
    s3.head_bucket(Bucket=BUCKET)
    for seconds in (-14 * 60, 14 * 60):
        away[0] = seconds
        s3.list_buckets()
    for seconds in (-16 * 60, 16 * 60):
        away[0] = seconds
        assert refusal(s3.list_buckets) == "RequestTimeTooSkewed"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, timeout=10)
    assert caught.value.code == 403


@pytest.mark.parametrize("jump", JUMPS)
def test_temporary_keys_live_as_long_as_they_were_promised_or_less(server, follow, jump):
    server.set_clock(JUMPS[jump])
    keys = server.cached("sts").assume_role(RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole",
                                            RoleSessionName="session", DurationSeconds=900)["Credentials"]
    session = server.boto_session(aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
                                  aws_session_token=keys["SessionToken"])
    s3 = session.client("s3", endpoint_url=server.url)
    s3.list_buckets()
    server.set_clock(JUMPS[jump] + 1200)
    assert refusal(s3.list_buckets) == "ExpiredToken"
    # Issued by a clock that was wrong, and then set right: years would be left.
    server.set_clock(JUMPS[jump] - 10 * YEAR)
    assert refusal(s3.list_buckets) == "ExpiredToken"


def test_what_is_kept_is_in_order_although_the_clock_went_back(server, follow):
    logs, cloudwatch = server.cached("logs"), server.cached("cloudwatch")
    logs.create_log_stream(logGroupName="/promised", logStreamName="back")
    lines = []
    for number, offset in enumerate((0, HOUR, -HOUR, 0)):
        server.set_clock(offset)
        now = time.time() + offset
        logs.put_log_events(logGroupName="/promised", logStreamName="back",
                            logEvents=[{"timestamp": int(now * 1000), "message": str(number)}])
        cloudwatch.put_metric_data(Namespace="clocks", MetricData=[{"MetricName": "m", "Value": 1.0}])
        lines.append(str(number))
    page = logs.get_log_events(logGroupName="/promised", logStreamName="back", startFromHead=True)
    assert [event["message"] for event in page["events"]] == lines
    stamps = [event["timestamp"] for event in page["events"]]
    assert stamps == sorted(stamps)
    now = time.time()
    points = cloudwatch.get_metric_statistics(Namespace="clocks", MetricName="m", StartTime=now - 3 * HOUR,
                                              EndTime=now + 3 * HOUR, Period=60, Statistics=["Sum"])["Datapoints"]
    assert sum(point["Sum"] for point in points) == 4


def test_a_server_that_starts_with_another_clock_keeps_jobs_and_keys(server, follow):
    sm = server.cached("sagemaker")
    for offset in (10 * YEAR, -10 * YEAR):
        name = f"restart-{uuid.uuid4().hex[:12]}"
        sm.create_training_job(**training_request(server, name, rounds="100000000",
                                                  StoppingCondition={"MaxRuntimeInSeconds": 3}))
        reached(server, name, "Training")
        server.stop()
        server.set_clock(offset)
        server.start()
        job = ended(server, name)
        assert job["SecondaryStatus"] == "MaxRuntimeExceeded" and 3 <= job["BillableTimeInSeconds"] <= 4 + SLOW
        sane(job)


def test_the_second_that_is_counted_twice_or_called_60(server, follow):
    name, sm = f"leap-{uuid.uuid4().hex[:12]}", server.cached("sagemaker")
    sm.create_training_job(**training_request(server, name))
    for _ in range(20):  # a clock that is held back, as smeared leap seconds are
        server.set_clock(server.offset.total_seconds() - 1)
        time.sleep(0.02)
    job = ended(server, name)
    assert job["TrainingJobStatus"] == "Completed" and job["BillableTimeInSeconds"] <= 3 + SLOW  # and not 20 more
    sane(job)
    server.set_clock(0)
    for text in ("2016-12-31T23:59:60Z", "20161231T235960Z"):
        request = urllib.request.Request(f"{server.url}/{BUCKET}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/"
                                         f"20161231/us-west-2/s3/aws4_request&X-Amz-Date={text}&X-Amz-Expires=60&"
                                         "X-Amz-SignedHeaders=host&X-Amz-Signature=0")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code in (400, 403)
    body = b'{"CreationTimeBefore": "2016-12-31T23:59:60Z"}'
    import botocore.awsrequest
    signed = botocore.awsrequest.AWSRequest("POST", server.url, data=body, headers={
        "X-Amz-Target": "SageMaker.ListTrainingJobs", "Content-Type": "application/x-amz-json-1.1"})
    botocore.auth.SigV4Auth(server.boto_session().get_credentials(), "sagemaker", "us-west-2").add_auth(signed)
    try:
        urllib.request.urlopen(urllib.request.Request(server.url, body, dict(signed.headers)), timeout=10).read()
    except urllib.error.HTTPError as error:
        assert error.code == 400
