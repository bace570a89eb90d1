"""kill -9 of the server, and now and then of a launcher, while resumable jobs run: on one host and on two, with a Pipe
channel, on spot instances that are interrupted every few seconds.

Nothing that was acknowledged may be lost, no segment may run twice, none may hang or leave anything behind, and every
job must end with the bytes of an undisturbed one. MILLWRIGHT_TRAINING_KILLS=300 for the long run.
"""
import contextlib
import os
import random
import signal
import threading
import time
import uuid
from pathlib import Path

import pytest
import resumable
from server import Server, launchers_of
from test_kill import await_nothing_left, what_is_left

KILLS = int(os.environ.get("MILLWRIGHT_TRAINING_KILLS", "30"))
STEPS = 40
BUCKET = "kill-training"
GROUP = "/aws/sagemaker/TrainingJobs"
SPOT = dict(EnableManagedSpotTraining=True, StoppingCondition={"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 7200})
PIPE = dict(pipe=f"s3://{BUCKET}/data/")
# What comes from the same arithmetic has the same result; the name before "-" says which.
KINDS = {"one-plain": {}, "one-spot": SPOT, "two-plain": dict(hosts=2), "two-spot": dict(hosts=2, **SPOT),
         "pipe-plain": PIPE, "pipe-spot": {**PIPE, **SPOT}}


def make_request(server, kind, name, pause):
    return resumable.request(server.account, BUCKET, name, STEPS, pause=pause, RetryStrategy={"MaximumRetryAttempts": 30},
                             **KINDS[kind])


class Creator:
    """A thread that keeps a few jobs waiting, and notes what was acknowledged."""

    def __init__(self, server):
        self.server, self.acknowledged, self.ending = server, {}, threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        number = 0
        while not self.ending.is_set():
            try:
                sm = self.server.client("sagemaker", read_timeout=5)
                if len(sm.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]) < 3:
                    kind = list(KINDS)[number % len(KINDS)]
                    number += 1
                    name = f"{kind}-{uuid.uuid4().hex[:12]}"
                    sm.create_training_job(**make_request(self.server, kind, name, 0.04))
                    self.acknowledged[name] = kind
            except Exception:  # the server is being killed; only acknowledged work counts
                pass
            self.ending.wait(0.1)

    def finish(self):
        self.ending.set()
        self.thread.join(60)


def wait_for_end(sm, name, deadline):
    while True:
        job = sm.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            return job
        assert time.monotonic() < deadline, (name, job["SecondaryStatusTransitions"])
        time.sleep(0.05)


def lines_of(logs, name):
    streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/algo-1-")["logStreams"]
    if not streams:
        return []
    page = logs.get_log_events(logGroupName=GROUP, logStreamName=streams[0]["logStreamName"], startFromHead=True)
    return [event["message"] for event in page["events"]]


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "data", config="[spot]\nmean_seconds_between_interruptions = 3\n").start()
    yield running
    running.end_everything()


@pytest.fixture
def references(server):
    """The results of undisturbed jobs."""
    s3, sm = server.client("s3"), server.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    resumable.put_source(s3, BUCKET)
    for number in range(3):
        s3.put_object(Bucket=BUCKET, Key=f"data/{number}", Body=random.Random(number).randbytes(100_000))
    results = {}
    for kind in ("one-plain", "two-plain", "pipe-plain"):
        sm.create_training_job(**make_request(server, kind, kind, 0))
        job = wait_for_end(sm, kind, time.monotonic() + 600)  # the first may have to build the environment
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        results[kind.split("-")[0]] = resumable.result_of(s3, BUCKET, kind)
    assert len(set(results.values())) == 3
    return results


def kill_again_and_again(server, chooser):
    """How many launchers were killed, too, and the ids of the runs that were seen."""
    launchers, runs = 0, set()
    for number in range(KILLS):
        time.sleep(chooser.uniform(0.02, 1.5))
        runs.update(path.name for path in (server.folder / "jobs").iterdir())
        if number % 10 == 9:
            for pid in launchers_of(server.folder)[:1]:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.kill(pid, signal.SIGKILL)
                    launchers += 1
        server.kill()
        server.start()
    return launchers, runs


def check_job(job, lines, launchers_killed):
    name = job["TrainingJobName"]
    steps = job["SecondaryStatusTransitions"]
    statuses = [step["Status"] for step in steps]
    assert job["TrainingJobStatus"] == "Completed", (name, job.get("FailureReason"), statuses)
    assert statuses.count("Completed") == 1 and statuses[-1] == "Completed", statuses
    assert all(a["EndTime"] == b["StartTime"] and a["StartTime"] <= a["EndTime"] for a, b in zip(steps, steps[1:]))
    segments = 1 + statuses.count("Interrupted") + statuses.count("Restarting")
    begun = [int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("segment begins")]
    # A segment may be interrupted before its first line; none has two. A killed launcher may take the record along.
    assert 1 <= len(begun) <= segments + launchers_killed, (name, begun, statuses)
    assert begun == sorted(begun), (name, begun)  # no segment falls behind what was saved
    assert 1 <= job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"] <= 600
    return segments


def test_resumable_jobs_survive_any_kill(server, references):
    creator = Creator(server)
    launchers_killed, runs = kill_again_and_again(server, random.Random(20261123))
    creator.finish()

    s3, sm, logs = server.client("s3"), server.client("sagemaker"), server.client("logs")
    deadline = time.monotonic() + 300
    segments = 0
    assert len(creator.acknowledged) >= KILLS / 10
    for name, kind in creator.acknowledged.items():
        segments += check_job(wait_for_end(sm, name, deadline), lines_of(logs, name), launchers_killed)
        assert resumable.result_of(s3, BUCKET, name) == references[kind.split("-")[0]], name
    for status in ("InProgress", "Stopping"):  # what was created without an answer ends, too
        for job in sm.list_training_jobs(StatusEquals=status)["TrainingJobSummaries"]:
            wait_for_end(sm, job["TrainingJobName"], deadline)

    await_nothing_left(server, runs)
    print(f"{KILLS} kills of the server, {launchers_killed} of launchers, {len(creator.acknowledged)} jobs, "
          f"{segments} segments")
    assert runs and what_is_left(server, runs) == []
