"""A server whose data directory lies on a small file system that is filled by objects, by logs and by a job.

While it is full: a clear error within a second for what adds something, and everything that looks, stops or deletes
works. When there is room again everything goes on without a restart. As root only, because file systems are mounted.
"""
import contextlib
import errno
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import time

import pytest
from botocore.exceptions import ClientError
from promises import BUCKET, GROUP, IMAGE, Promises, Workload, bad_ends, broken_promises, client, prepare, training_request
from server import Server

MIB = 1 << 20
PYTHON_IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"
# On 64 MiB: 16 MiB stay in reserve.
SIZE = 64
SECONDS_TO_ANSWER = 4  # a second on a machine that has nothing else to do


def tmpfs(folder, size):
    folder.mkdir()
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=700", "tmpfs", folder], capture_output=True)


def ext4(folder, size):
    folder.mkdir()
    image = folder.with_suffix(".img")
    with open(image, "wb") as file:
        file.truncate(size * MIB)
    if not shutil.which("mkfs.ext4"):
        pytest.skip("there is no mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    return subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True)


def unmount(folder):
    for _ in range(100):  # the last run may still be letting go of it
        if subprocess.run(["umount", folder], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "--lazy", folder], check=True)  # it goes with the last one that uses it


@pytest.fixture(params=[tmpfs, ext4], ids=["tmpfs", "ext4"])
def small(request, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting file systems needs root")
    folder = tmp_path / "disk"
    mounted = request.param(folder, SIZE)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode().strip()}")
    with contextlib.ExitStack() as at_the_end:  # each step, also when the one before it fails
        at_the_end.callback(unmount, folder)
        server = Server(folder / "data")
        at_the_end.callback(server.end_everything)
        server.start()
        prepare(server)
        yield server


def free(server):
    status = os.statvfs(server.folder)
    return status.f_bavail * status.f_frsize


class Timed:
    """The slowest of some calls."""

    def __init__(self):
        self.slowest = 0.0

    def __call__(self, call, **arguments):
        begun = time.monotonic()
        try:
            return call(**arguments)
        finally:
            self.slowest = max(self.slowest, time.monotonic() - begun)


def refused_soon(timed, call, arguments):
    for number in range(20):
        try:
            timed(call, **arguments(number))
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError("there is room for everything")


def fill_with_objects(server, timed):
    """Until the server refuses; returns the keys it took."""
    s3, keys = client(server, "s3"), []
    for size in (2 * MIB, 64 << 10):
        for _ in range(4000):
            key = f"filling/{len(keys)}"
            try:
                timed(s3.put_object, Bucket=BUCKET, Key=key, Body=os.urandom(size))
            except ClientError as error:
                assert (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]) == \
                    ("InsufficientStorage", 507), error
                break
            keys.append(key)
    return keys


def create_when_there_is_room(server, name):
    return when_there_is_room(client(server, "sagemaker").create_training_job, **training_request(server, name))


def when_there_is_room(call, **arguments):
    """The server looks for room every few milliseconds."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return call(**arguments)
        except ClientError:
            assert time.monotonic() < deadline, "the server does not recover"
            time.sleep(0.05)


def test_full_of_objects(small):
    s3, sm, timed = client(small, "s3"), client(small, "sagemaker"), Timed()
    sm.create_model(ModelName="old", ExecutionRoleArn=f"arn:aws:iam::{small.account}:role/SageMakerRole",
                    PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/data/x.csv"})
    name = f"long-{time.monotonic_ns()}"
    sm.create_training_job(**training_request(small, name, rounds="100000000"))
    deadline = time.monotonic() + 60
    while (job := sm.describe_training_job(TrainingJobName=name))["SecondaryStatus"] != "Training":
        assert time.monotonic() < deadline and job["TrainingJobStatus"] == "InProgress", job
        time.sleep(0.05)
    keys = fill_with_objects(small, timed)
    room = free(small)

    # Beside the reserve there is none: what adds something is refused, in the words of its service.
    # Now and then a temporary file that goes leaves room for one more, but never for many.
    assert refused_soon(timed, sm.create_training_job, lambda number: training_request(small, f"late-{number}")) == \
        ("ResourceLimitExceeded", 400)
    assert refused_soon(timed, s3.put_object, lambda number: {"Bucket": BUCKET, "Key": f"late-{number}", "Body": b"x" * MIB}) == \
        ("InsufficientStorage", 507)

    # What looks, stops and deletes works.
    timed(sm.describe_training_job, TrainingJobName=name)
    timed(sm.list_training_jobs)
    timed(s3.list_objects_v2, Bucket=BUCKET)
    timed(s3.get_object, Bucket=BUCKET, Key=keys[0])["Body"].read()
    timed(sm.stop_training_job, TrainingJobName=name)
    timed(sm.delete_model, ModelName="old")
    assert bad_ends(small, [name]) == []
    assert sm.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Stopped"
    for key in keys[:3]:
        timed(s3.delete_object, Bucket=BUCKET, Key=key)
    timed(s3.delete_objects, Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys[3:1000]]})

    # There is room again, and nobody has restarted anything.
    for begin in range(1000, len(keys), 1000):
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys[begin:begin + 1000]]})
    create_when_there_is_room(small, "after")
    s3.put_object(Bucket=BUCKET, Key="more", Body=b"x" * MIB)
    assert bad_ends(small, ["after"]) == []
    after = sm.describe_training_job(TrainingJobName="after")
    assert after["TrainingJobStatus"] == "Completed", after.get("FailureReason")
    print(f"{len(keys)} objects until full, {room >> 10} KiB left then; slowest answer {timed.slowest * 1000:.0f} ms")
    assert timed.slowest < SECONDS_TO_ANSWER


def test_full_of_log_events(small):
    logs, timed = client(small, "logs"), Timed()
    logs.create_log_stream(logGroupName=GROUP, logStreamName="filling")
    taken = []
    for number in range(400):
        events = [{"timestamp": int(time.time() * 1000), "message": f"{number}.{i} " + "x" * 9000} for i in range(50)]
        try:
            timed(logs.put_log_events, logGroupName=GROUP, logStreamName="filling", logEvents=events)
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("LimitExceededException", "ServiceUnavailableException"), error
            break
        taken += [event["message"] for event in events]
    else:
        raise AssertionError("the disk was never full")
    token, lines = {}, []
    while True:
        page = timed(logs.get_log_events, logGroupName=GROUP, logStreamName="filling", startFromHead=True, **token)
        if token == {"nextToken": page["nextForwardToken"]}:
            break
        lines += [event["message"] for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}
    assert lines == taken
    timed(logs.delete_log_stream, logGroupName=GROUP, logStreamName="filling")
    when_there_is_room(logs.create_log_stream, logGroupName=GROUP, logStreamName="after")
    when_there_is_room(logs.put_log_events, logGroupName=GROUP, logStreamName="after",
                       logEvents=[{"timestamp": int(time.time() * 1000), "message": "x" * 9000}])
    print(f"{len(taken)} events until full; slowest answer {timed.slowest * 1000:.0f} ms")
    assert timed.slowest < SECONDS_TO_ANSWER


def script(server, name, text):
    """The request of a job that runs this text."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo("train.py")
        about.size = len(text)
        archive.addfile(about, io.BytesIO(text.encode()))
    client(server, "s3").put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=packed.getvalue())
    parameters = {"sagemaker_program": "train.py", "sagemaker_submit_directory": f"s3://{BUCKET}/{name}.tar.gz"}
    request = training_request(server, name, AlgorithmSpecification={
        "TrainingImage": PYTHON_IMAGE, "TrainingInputMode": "File"},
        HyperParameters={key: json.dumps(value) for key, value in parameters.items()})
    del request["InputDataConfig"]
    return request


FILL = """
import os, sys, time
with open("/opt/ml/model/big", "wb") as file:
    for _ in range(500):
        file.write(os.urandom(1 << 20))
        file.flush()
        sys.stdout.write("x" * 100000 + "\\n")
time.sleep(60)
"""


def test_full_of_what_a_job_writes(small):
    sm, s3, timed = client(small, "sagemaker"), client(small, "s3"), Timed()
    sm.create_training_job(**script(small, "filler", FILL))
    ended, worst = threading.Event(), []

    def others():  # who works meanwhile is told the truth, quickly
        while not ended.is_set():
            timed(sm.describe_training_job, TrainingJobName="filler")
            timed(s3.list_objects_v2, Bucket=BUCKET)
            try:
                timed(s3.put_object, Bucket=BUCKET, Key="probes/other", Body=b"y" * 10000)
            except ClientError as error:
                worst.append(error.response["Error"]["Code"])
            time.sleep(0.02)

    thread = threading.Thread(target=others, daemon=True)
    thread.start()
    try:
        assert bad_ends(small, ["filler"], seconds=600) == []  # the first may have to build the environment
    finally:
        ended.set()
        thread.join()
    job = sm.describe_training_job(TrainingJobName="filler")
    print(f"the job: {job['FailureReason']}; others: {len(worst)} refusals; slowest answer {timed.slowest * 1000:.0f} ms")
    assert job["TrainingJobStatus"] == "Failed"
    assert "disk" in job["FailureReason"].lower() or "no space" in job["FailureReason"].lower(), job["FailureReason"]
    assert set(worst) <= {"InsufficientStorage"} and timed.slowest < SECONDS_TO_ANSWER
    deadline = time.monotonic() + 60
    while free(small) < 25 * MIB:  # the failed job's files go after its end is told
        assert time.monotonic() < deadline, "the files of the job stay"
        time.sleep(0.05)
    create_when_there_is_room(small, "after")
    assert bad_ends(small, ["after"]) == []
    after = sm.describe_training_job(TrainingJobName="after")
    assert after["TrainingJobStatus"] == "Completed", after.get("FailureReason")


def test_what_was_acknowledged_on_a_full_disk_is_there_after_a_crash(small):
    notes = []
    fill_with_objects(small, Timed())
    client(small, "s3").delete_object(Bucket=BUCKET, Key="filling/0")  # so that it is full again and again
    work = Workload(small, Promises(notes.append), 1, size=0.4, tolerant=True, jobs=False).run()
    assert all(isinstance(failure, ClientError) for failure in work.failures), work.failures
    small.kill()
    small.start()
    reader_notes = notes + [json.dumps(["begin", 0, {f"object/filling/{n}": "any" for n in range(5000)}])]
    complaints = [line for line in broken_promises(small, reader_notes) if "object/filling/" not in line]
    assert work.failures and complaints == []


def fill_from_outside(hog):
    """To the last byte."""
    with open(hog, "ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC, error


def test_a_server_starts_on_a_disk_that_others_have_filled(small):
    s3 = client(small, "s3")
    for number in range(20):
        s3.put_object(Bucket=BUCKET, Key=f"kept/{number}", Body=b"x" * 1000)
    small.kill()
    hog = small.folder.parent / "hog"
    fill_from_outside(hog)
    small.start()
    s3, sm = client(small, "s3"), client(small, "sagemaker")
    fill_from_outside(hog)  # whatever the start has given back
    assert refused_soon(Timed(), sm.create_training_job, lambda number: training_request(small, f"late-{number}")) == \
        ("ResourceLimitExceeded", 400)
    assert s3.get_object(Bucket=BUCKET, Key="kept/0")["Body"].read() == b"x" * 1000
    for number in range(10):
        s3.delete_object(Bucket=BUCKET, Key=f"kept/{number}")
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="kept/")["KeyCount"] == 10
    hog.unlink()
    create_when_there_is_room(small, "afterwards")
    sm.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="afterwards", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
