"""kill -9 of the server at random moments and at named fail points, while eight clients create, describe, stop, delete and
interrupt jobs, put objects, also in parts, and make endpoints.

What was acknowledged must be there afterwards, every job must end with one run at a time and be billed what its launchers
recorded, and no process, mount, cgroup or folder may stay. MILLWRIGHT_KILLS=1000 for the long run.
"""
import json
import os
import random
import re
import subprocess
import threading
import time
import uuid
from collections import defaultdict
from pathlib import Path

import pytest
from quick import Client, Refused
from server import BIN, ROOT, Server, launchers_of, mounts_and_cgroups, processes_of

KILLS = int(os.environ.get("MILLWRIGHT_KILLS", "50"))
SEED = int(os.environ.get("MILLWRIGHT_KILL_SEED", "20261122"))
BUCKET = "kill-test-bucket"
IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
MOST_WAITING = 8  # jobs; more would only wait
MOST_IN_VAIN = 8  # waits for a fail point that is not reached
TERMINAL = {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"}
FOLLOWS = {"Starting": {"Pending", "Downloading", "Restarting", "Stopping"},
           "Pending": {"Starting", "Downloading", "Restarting", "Stopping"},
           "Downloading": {"Downloading", "Pending", "Training", "Uploading", "Interrupted", "Restarting", "Stopping"},
           "Training": {"Uploading", "Interrupted", "Restarting", "Stopping"}, "Uploading": {"Stopping"},
           "Interrupted": {"Starting", "Stopping"}, "Restarting": {"Starting", "Pending", "Downloading", "Stopping"},
           "Stopping": set()}
# Long enough to see a launcher's record before it is removed with its folder.
ALWAYS = "jobs.after_clean_up=sleep:150"


def fail_points():
    """All names in the sources but the registry's, which test_kill_registry.py reaches, and those that need an engine."""
    names = set()
    for path in (ROOT / "src").rglob("*.cc"):
        if not path.name.endswith("_test.cc"):
            names.update(re.findall(r'FAIL_POINT(?:_AT_EXIT)?\("([^"]+)"\)', path.read_text()))
    return sorted(name for name in names if not name.startswith(("registry.", "containers.")))


class Records:
    """The launchers' records, kept by a second name before the server removes them."""

    def __init__(self, server, folder):
        self.jobs, self.kept = server.folder / "jobs", folder
        self.kept.mkdir()
        self.runs = set()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        while not self.ending.wait(0.03):
            self.look()

    def look(self):
        for run in list(self.jobs.iterdir()) if self.jobs.exists() else []:
            self.runs.add(run.name)
            for name in ("launch", "exit.json"):
                try:
                    os.link(run / name, self.kept / f"{run.name}.{name}")
                except OSError:
                    pass

    def finish(self):
        self.ending.set()
        self.thread.join()
        self.look()

    def by_job(self):
        """Name of the job to its runs' (begin, end) of the monotonic clock, in seconds, as far as they ran."""
        found = defaultdict(list)
        for launch in self.kept.glob("*.launch"):
            words = launch.read_bytes().split(b"\0")
            name = next((w.partition(b"=")[2].decode() for w in words if w.startswith(b"TRAINING_JOB_NAME=")), None)
            record = launch.with_suffix(".exit.json")
            if name is None or not record.exists():
                continue
            about = json.loads(record.read_text())
            if about.get("started_ms"):
                found[name].append((about["started_monotonic_ns"] / 1e9, about["ended_monotonic_ns"] / 1e9))
        return found


class Clients:
    """Eight threads that work for as long as the test runs, and note what was acknowledged."""

    def __init__(self, server):
        self.server = server
        self.lock = threading.Lock()
        self.objects = {}                      # key -> body, None when deleted; absent while a call is in doubt
        self.jobs, self.stopped = set(), set()  # acknowledged
        self.asked_to_stop = set()             # also without an answer
        self.removed = set()                   # deleted, or perhaps
        self.endpoints = {}                    # name -> True; absent when deleted, or perhaps
        self.counts = defaultdict(int)
        self.unexpected = []
        self.ending = threading.Event()
        roles = [self.create, self.create, self.create, self.stop, self.delete, self.put, self.put_in_parts, self.serve]
        self.threads = [threading.Thread(target=self.work, args=(role, n), daemon=True) for n, role in enumerate(roles)]
        for thread in self.threads:
            thread.start()

    def finish(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)

    def work(self, role, number):
        client, chooser = Client(self.server), random.Random(SEED * 100 + number)
        while not self.ending.is_set():
            try:
                role(client, chooser)
            except Refused as refused:
                if refused.status >= 500 and refused.status != 503:
                    self.unexpected.append(str(refused))
            except Exception:  # the server is being killed; only acknowledged work counts
                self.ending.wait(0.02)
            self.ending.wait(chooser.uniform(0.0, 0.1))

    def done(self, what):
        with self.lock:
            self.counts[what] += 1

    def create(self, client, chooser):
        if len(client.sagemaker("ListTrainingJobs", StatusEquals="InProgress")["TrainingJobSummaries"]) >= MOST_WAITING:
            return self.ending.wait(0.1)
        name = f"kill-{uuid.uuid4().hex[:12]}"
        client.sagemaker("CreateTrainingJob", **request(self.server.account, name, chooser))
        with self.lock:
            self.jobs.add(name)
        self.done("created")
        client.sagemaker("DescribeTrainingJob", TrainingJobName=name)
        return self.done("described")

    def any_job(self, chooser, first=0):
        with self.lock:
            known = sorted(self.jobs - self.removed)
        return chooser.choice(known[first:]) if known[first:] else None

    def stop(self, client, chooser):
        self.ending.wait(chooser.uniform(0, 0.5))
        waiting = client.sagemaker("ListTrainingJobs", StatusEquals="InProgress")["TrainingJobSummaries"]
        if not waiting:
            return
        name = chooser.choice(waiting)["TrainingJobName"]
        if chooser.random() < 0.5:
            told = subprocess.run([BIN / "millwright", "jobs", "interrupt", name, "--data-dir", self.server.folder],
                                  capture_output=True, timeout=20)
            return self.done("interrupted") if told.returncode == 0 else None
        with self.lock:
            self.asked_to_stop.add(name)
        client.sagemaker("StopTrainingJob", TrainingJobName=name)
        with self.lock:
            self.stopped.add(name)
        self.done("stopped")

    def delete(self, client, chooser):
        name = self.any_job(chooser)
        if not name or chooser.random() < 0.5:
            return
        if client.sagemaker("DescribeTrainingJob", TrainingJobName=name)["TrainingJobStatus"] in ("InProgress", "Stopping"):
            return
        with self.lock:
            self.removed.add(name)  # or perhaps not
        client.sagemaker("DeleteTrainingJob", TrainingJobName=name)
        self.done("deleted")

    def put(self, client, chooser):
        key, body = f"objects/{chooser.randrange(300)}", chooser.randbytes(chooser.choice([10, 5000, 300_000]))
        remove = chooser.random() < 0.2
        with self.lock:
            self.objects.pop(key, None)
        client.delete(BUCKET, key) if remove else client.put(BUCKET, key, body)
        with self.lock:
            self.objects[key] = None if remove else body
        self.done("put")

    def put_in_parts(self, client, chooser):
        key = f"parts/{chooser.randrange(30)}"
        parts = [bytes([chooser.randrange(256)]) * (5 << 20), chooser.randbytes(1000)]
        with self.lock:
            self.objects.pop(key, None)
        client.put_in_parts(BUCKET, key, parts)
        with self.lock:
            self.objects[key] = b"".join(parts)
        self.done("put in parts")
        self.ending.wait(0.3)

    def serve(self, client, chooser):
        name = f"endpoint-{chooser.randrange(2)}"
        status = self.status_of(client, name)
        if status is None:
            client.sagemaker("CreateEndpoint", EndpointName=name, EndpointConfigName="kill-config-1")
            with self.lock:
                self.endpoints[name] = True
            return self.done("created an endpoint")
        if status == "InService" and chooser.random() < 0.5:
            client.sagemaker("UpdateEndpoint", EndpointName=name, EndpointConfigName="kill-config-2")
            return self.done("updated an endpoint")
        if status not in ("InService", "Failed"):
            return self.ending.wait(0.05)
        with self.lock:
            self.endpoints.pop(name, None)
        client.sagemaker("DeleteEndpoint", EndpointName=name)
        return self.done("deleted an endpoint")

    def status_of(self, client, name):
        """None: there is no such endpoint, which must not be one that was acknowledged."""
        try:
            return client.sagemaker("DescribeEndpoint", EndpointName=name)["EndpointStatus"]
        except Refused as refused:
            if refused.status != 400:
                raise
            with self.lock:
                if self.endpoints.get(name):
                    self.unexpected.append(f"{name} was acknowledged and is not there")
            return None


def request(account, name, chooser):
    made = dict(
        TrainingJobName=name, RoleArn=f"arn:aws:iam::{account}:role/SageMakerRole",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}}}],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/output"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        HyperParameters={"num_round": chooser.choice(["3", "300", "3000"]), "objective": "binary:logistic", "max_depth": "2"})
    if chooser.random() < 0.4:
        wait = 1 if chooser.random() < 0.2 else 3600
        made |= dict(EnableManagedSpotTraining=True, RetryStrategy={"MaximumRetryAttempts": 5},
                     StoppingCondition={"MaxRuntimeInSeconds": min(300, wait), "MaxWaitTimeInSeconds": wait})
    return made


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "data", config="[jobs]\nvcpus = 4\n[spot]\nmean_seconds_between_interruptions = 3\n").start()
    yield running
    running.end_everything()


def prepare(server):
    """The bucket, the data, and a model that endpoints serve."""
    client, chooser = Client(server, timeout=60), random.Random(SEED)
    client.request("s3", "PUT", f"/{BUCKET}", body=b"<CreateBucketConfiguration><LocationConstraint>us-west-2"
                   b"</LocationConstraint></CreateBucketConfiguration>")
    rows = "".join(f"{i % 2},{i % 2 + chooser.random()},{chooser.random()}\n" for i in range(500))
    client.put(BUCKET, "data/x.csv", rows.encode())
    made = request(server.account, "the-model", random.Random(1))
    made["HyperParameters"]["num_round"] = "3"
    client.sagemaker("CreateTrainingJob", **made)
    job = wait_for_end(client, "the-model", 60)
    role = f"arn:aws:iam::{server.account}:role/SageMakerRole"
    client.sagemaker("CreateModel", ModelName="kill-model", ExecutionRoleArn=role, PrimaryContainer={
        "Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]})
    for number in (1, 2):
        client.sagemaker("CreateEndpointConfig", EndpointConfigName=f"kill-config-{number}", ProductionVariants=[{
            "VariantName": "all", "ModelName": "kill-model", "InstanceType": "ml.t2.medium", "InitialInstanceCount": 1}])


def wait_for_end(client, name, seconds):
    deadline = time.monotonic() + seconds
    while True:
        job = client.sagemaker("DescribeTrainingJob", TrainingJobName=name)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            return job
        assert time.monotonic() < deadline, (name, job["SecondaryStatusTransitions"])
        time.sleep(0.05)


def start(server, points):
    """False: it died while it started, as it was told to."""
    server.variables["MILLWRIGHT_FAIL_POINTS"] = ";".join([ALWAYS, *points])
    try:
        server.start()
        return True
    except RuntimeError:
        if server.process.poll() != -9:
            raise
        return False


def kill_again_and_again(server, chooser):
    """Every other time at a fail point: whichever is reached first of those that have not struck yet, later of the six that
    have struck least. How often each struck, and how many kills came at random."""
    hits, at_random, in_vain = dict.fromkeys(fail_points(), 0), 0, 0
    log = open(server.folder.parent / "data.log", errors="replace")
    log.seek(0, os.SEEK_END)
    for number in range(10 * KILLS + 1000):
        missing = [point for point in hits if not hits[point]]
        if at_random + sum(hits.values()) >= KILLS and (not missing or in_vain >= MOST_IN_VAIN):
            break
        least = sorted(hits, key=lambda point: (hits[point], chooser.random()))[:6]
        wanted = (missing or least) if number % 2 else []
        server.kill()
        died = not start(server, [f"{point}=kill@{chooser.choice([1, 2, 3]) if hits[point] else 1}" for point in wanted])
        deadline = time.monotonic() + (2 + in_vain if wanted else chooser.uniform(0.02, 0.6))
        while not died and time.monotonic() < deadline:
            died = server.process.poll() is not None
            time.sleep(0.005)
        struck = re.findall(r"fail point (\S+) kills", log.read())
        for point in struck:
            hits[point] += 1
        in_vain = 0 if struck else in_vain + bool(missing and wanted)
        at_random += not struck
    return hits, at_random


def check_objects(client, objects):
    for key, body in objects.items():
        if body is None:
            assert not client.exists(BUCKET, key), key
        else:
            assert client.get(BUCKET, key) == body, key


def check_job(client, name, clients, runs):
    """How far the bill is from what the launchers recorded, in seconds."""
    job = client.sagemaker("DescribeTrainingJob", TrainingJobName=name)
    status, steps = job["TrainingJobStatus"], job["SecondaryStatusTransitions"]
    statuses = [step["Status"] for step in steps]
    assert status in ("Completed", "Stopped"), (name, job.get("FailureReason"), statuses)
    assert sum(s in TERMINAL for s in statuses) == 1 and statuses[-1] in TERMINAL, (name, statuses)
    assert all(b in TERMINAL or b in FOLLOWS[a] for a, b in zip(statuses, statuses[1:])), (name, statuses)
    assert all(a["EndTime"] == b["StartTime"] for a, b in zip(steps, steps[1:])), name
    if name in clients.stopped:
        assert status == "Stopped", (name, statuses)
    elif name not in clients.asked_to_stop:
        assert statuses[-1] in ("Completed", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"), (name, statuses)
    if status == "Completed":
        assert client.exists(BUCKET, f"output/{name}/output/model.tar.gz"), name
    runs = sorted(runs)
    assert all(a[1] <= b[0] for a, b in zip(runs, runs[1:])), f"{name} ran twice at once: {runs}"
    ran = sum(end - begin for begin, end in runs)
    billed = job.get("TrainingTimeInSeconds", 0)
    assert ran - 0.01 <= billed <= ran + 1, (name, billed, runs, statuses)
    return billed - ran


def namespaces():
    """Network namespaces that processes of this machine are in."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            found.add(os.readlink(entry / "ns/net") if entry.name.isdigit() else "")
        except OSError:
            continue
    return found - {""}


def those_that_stay(found, seconds=60):
    """Of these network namespaces; some are of what others do on this machine, and ours do not come back."""
    deadline = time.monotonic() + seconds
    while found and time.monotonic() < deadline:
        time.sleep(0.1)
        found &= namespaces()
    return found


def status_of_endpoint(client, name):
    """None: its deletion, which was under way, is done."""
    try:
        return client.sagemaker("DescribeEndpoint", EndpointName=name)["EndpointStatus"]
    except Refused as refused:
        if refused.status != 400:
            raise
        return None


def what_is_left(server, runs):
    """Launchers, other processes, mounts, cgroups and folders of runs."""
    return [*launchers_of(server.folder), *processes_of(server.folder), *mounts_and_cgroups(server.folder, runs),
            *(server.folder / "jobs").iterdir()]


def await_nothing_left(server, runs, seconds=30):
    """The end of a job is told before its files are removed."""
    deadline = time.monotonic() + seconds
    while what_is_left(server, runs) and time.monotonic() < deadline:
        time.sleep(0.1)


def end_endpoints(client, endpoints):
    for endpoint in client.sagemaker("ListEndpoints")["Endpoints"]:
        name = endpoint["EndpointName"]
        deadline = time.monotonic() + 60
        while (status := status_of_endpoint(client, name)) not in ("InService", "Failed", "Deleting", None):
            assert time.monotonic() < deadline, name
            time.sleep(0.05)
        assert status != "Failed", name
        assert status is not None or endpoint["EndpointStatus"] == "Deleting", name
        if status == "InService":
            client.sagemaker("DeleteEndpoint", EndpointName=name)
    deadline = time.monotonic() + 60
    while client.sagemaker("ListEndpoints")["Endpoints"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return len(endpoints)


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(server, tmp_path):
    prepare(server)
    before = namespaces()
    records, clients = Records(server, tmp_path / "records"), Clients(server)
    begun = time.monotonic()
    hits, at_random = kill_again_and_again(server, random.Random(SEED))
    clients.finish()
    server.kill()
    start(server, [])
    client = Client(server, timeout=30)

    # Nothing is stuck: without new kills something ends at least every 30 s until all has ended.
    longest, quiet = 0, time.monotonic()
    unfinished = None
    while unfinished != 0:
        left = sum(len(client.sagemaker("ListTrainingJobs", StatusEquals=status)["TrainingJobSummaries"])
                   for status in ("InProgress", "Stopping"))
        if left != unfinished:
            unfinished, quiet = left, time.monotonic()
        longest = max(longest, time.monotonic() - quiet)
        assert longest < 30, client.sagemaker("ListTrainingJobs", StatusEquals="InProgress")
        time.sleep(0.05)
    assert {name for name, made in clients.endpoints.items() if made} <= {
        endpoint["EndpointName"] for endpoint in client.sagemaker("ListEndpoints")["Endpoints"]}
    endpoints = end_endpoints(client, clients.endpoints)
    await_nothing_left(server, records.runs)
    records.finish()

    check_objects(client, clients.objects)
    ran, furthest = records.by_job(), 0
    listed, token = set(), {}
    while token is not None:
        page = client.sagemaker("ListTrainingJobs", MaxResults=100, **token)
        listed.update(job["TrainingJobName"] for job in page["TrainingJobSummaries"])
        token = {"NextToken": page["NextToken"]} if page.get("NextToken") else None
    assert clients.jobs - clients.removed <= listed
    for name in sorted(listed - clients.removed):
        furthest = max(furthest, check_job(client, name, clients, ran[name]))
    print(f"\n{at_random} kills at random, {sum(hits.values())} at {sum(1 for n in hits.values() if n)} of {len(hits)} fail points "
          f"in {time.monotonic() - begun:.0f} s; {dict(clients.counts)}; {len(listed)} jobs checked, {len(clients.objects)} objects, "
          f"{endpoints} endpoints; {sum(map(len, ran.values()))} runs; longest without progress {longest:.1f} s; "
          f"bills at most {furthest:.2f} s above the launchers' records")
    assert clients.unexpected == []
    assert [point for point, number in hits.items() if not number] == [], "never reached"
    assert what_is_left(server, records.runs) == []
    assert those_that_stay(namespaces() - before) == set()
