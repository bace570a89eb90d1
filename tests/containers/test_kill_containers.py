"""kill -9 of the server, and restarts of the engine, while 2-host jobs run in containers and an endpoint serves from them.

Nothing that was acknowledged may be lost or run twice, every line of a log must be there once, and nothing may be left
in the engine. MILLWRIGHT_CONTAINER_KILLS=100 for the long run.
"""
import contextlib
import io
import os
import random
import signal
import subprocess
import tarfile
import time
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from conftest import start_engine
from engine_jobs import EngineJobs
from engines import busybox_tar
from images import Image, compiled, layer, layer_of
from server import BIN, processes_of

KILLS = int(os.environ.get("MILLWRIGHT_CONTAINER_KILLS", "3"))
HEAVY = bool(os.environ.get("MILLWRIGHT_CONTAINER_TESTS"))
LINES = 60  # of a job; twenty in a second
# Numbered lines, and a model that only the first host makes. With HOLD it then goes on until it is released.
TRAIN = f"""#!/bin/busybox sh
export PATH=/bin
[ "$1" = serve ] && exec /program serve
trap HOLD= USR1
i=0
echo "begun $(date +%s)"
while [ $i -lt ${{LINES:-{LINES}}} ]; do echo "line $i of $(hostname)"; i=$((i+1)); sleep 0.05; done
[ $(hostname) = algo-1 ] && grep algo-2 /etc/hosts > /opt/ml/model/result
while [ -n "$HOLD" ]; do sleep 0.1; done
echo "ended $(date +%s)"
"""
SECONDS_TO_RECOVER = 120


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    program = compiled(Path(__file__).parent / "custom/program.c", tmp_path_factory.mktemp("program") / "program")
    return Image(layer_of(busybox_tar()), layer({"entry": TRAIN.encode(), "program": program}), Entrypoint=["/entry"])


class Scene:
    """A server and its engine, with an endpoint; every job and its end is checked."""

    def __init__(self, engine, folder, image):
        self.jobs = EngineJobs(engine, folder)
        self.image = self.jobs.push(image, "team/kills")
        self.names, self.endpoint = [], f"serving-{uuid.uuid4().hex[:8]}"

    def deploy(self):
        self.jobs.deploy(self.endpoint, self.image)
        assert self.jobs.ask(self.endpoint).endswith("of x")

    def create(self, **more):
        name = f"job-{uuid.uuid4().hex[:12]}"
        self.jobs.create(name, self.image, hosts=2, ResourceConfig={
            "InstanceCount": 2, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5}, **more)
        self.names.append(name)
        return name

    def release(self):
        """The jobs that hold."""
        for about in self.jobs.containers(host=True):
            if about["Args"][-1:] == ["train"] and about["State"]["Running"]:
                self.jobs.engine.call("POST", f"/containers/{about['Id']}/kill?signal=SIGUSR1")

    def running(self):
        return len(self.jobs.sm.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"])

    def doctor(self):
        return subprocess.run([BIN / "millwright", "doctor", "--data-dir", self.jobs.server.folder], capture_output=True,
                              text=True).stdout

    def endpoint_answers(self, seconds=SECONDS_TO_RECOVER):
        begun = time.monotonic()
        while True:
            with contextlib.suppress(ClientError, BotoCoreError):
                if self.jobs.ask(self.endpoint).endswith("of x"):
                    return time.monotonic() - begun
            assert time.monotonic() - begun < seconds, self.jobs.server.log()[-3000:]
            time.sleep(0.1)

    def check_completed(self, name, written=LINES):
        job = self.jobs.wait_for_end(name)
        statuses = [step["Status"] for step in job["SecondaryStatusTransitions"]]
        assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), statuses, self.jobs.server.log()[-3000:])
        assert statuses.count("Completed") == 1 and statuses[-1] == "Completed", statuses
        begun, ended = [], []
        for host in (1, 2):
            lines = self.jobs.lines(name, host)
            assert [line for line in lines if line.startswith("line ")] == [f"line {i} of algo-{host}" for i in range(written)], lines
            begun.append(int(lines[0].split()[1]))
            ended.append(int(lines[-1].split()[1]))
        took = max(ended) - min(begun)  # they need not begin at once
        assert took - 1 <= job["BillableTimeInSeconds"] <= took + 5, (begun, ended, job["BillableTimeInSeconds"])
        packed = self.jobs.s3.get_object(Bucket=self.jobs.bucket, Key=f"out/{name}/output/model.tar.gz")["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            assert b"algo-2" in archive.extractfile("result").read()
        return statuses

    def check_nothing_is_left(self, kept=0):
        """`kept`: how many jobs failed, whose files stay for `millwright jobs enter`."""
        if any(known["EndpointName"] == self.endpoint for known in self.jobs.sm.list_endpoints()["Endpoints"]):
            self.jobs.delete_endpoint(self.endpoint)
        deadline = time.monotonic() + 120
        folder = self.jobs.server.folder
        # What a run has goes after its end is told: its containers, then the networks, then the files.
        while True:
            found = ([about["Name"] for about in self.jobs.containers(run=True)], self.jobs.engine.ours("networks", folder),
                     list((folder / "jobs").iterdir()))
            if not found[0] and not found[1] and len(found[2]) <= kept:
                break
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        self.jobs.server.stop()
        assert self.jobs.containers() == [] and self.jobs.engine.ours("networks", folder) == []
        assert list((folder / "containers/gates").iterdir()) == []
        deadline = time.monotonic() + 10
        while left := processes_of(folder):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


@pytest.fixture
def scene(tmp_path, image):
    with contextlib.ExitStack() as stack:
        def begin(engine):
            made = Scene(engine, tmp_path / "server", image)
            stack.callback(made.jobs.close)
            return made
        yield begin


def test_jobs_and_endpoints_survive_any_kill_of_the_server(engine, scene):
    here = scene(engine)
    here.deploy()
    chooser = random.Random(20261123)
    slowest = 0
    for number in range(KILLS):
        while here.running() < 2:
            here.create()
        time.sleep(chooser.uniform(0.05, 2))
        here.jobs.server.kill()
        if number % 5 == 2:  # away for long enough that runs end meanwhile
            time.sleep(4)
        here.jobs.server.start()
        here.jobs.connect()
        slowest = max(slowest, here.endpoint_answers())
    restarted = sum("Restarting" in here.check_completed(name) for name in here.names)
    print(f"{engine.kind}: {KILLS} kills of the server, {len(here.names)} jobs of two hosts, {restarted} begun again, "
          f"the endpoint answered after at most {slowest:.1f} s")
    replicas = [about for about in here.jobs.containers(host=True) if about["Args"][-1:] == ["serve"]]
    assert len(replicas) == 1 and replicas[0]["RestartCount"] == 0
    here.check_nothing_is_left()


heavy = pytest.mark.skipif(not HEAVY, reason="MILLWRIGHT_CONTAINER_TESTS=1 for all ways")


@pytest.mark.parametrize("how, live_restore", [("SIGKILL", False), *[
    pytest.param(how, live, marks=heavy) for how, live in (("SIGTERM", False), ("SIGTERM", True), ("SIGKILL", True))]])
def test_a_restart_of_docker(how, live_restore, scene, tmp_path_factory):
    engine = start_engine("docker", tmp_path_factory.mktemp("docker"), *(["--live-restore"] if live_restore else []))
    try:
        here = scene(engine)
        check_engine_restart(here, getattr(signal, how), outlive=live_restore)
    finally:
        engine.close()


@pytest.mark.parametrize("how", ["SIGKILL", pytest.param("SIGTERM", marks=heavy)])
def test_a_restart_of_podmans_service(how, engines, scene):
    """Its containers have a monitor of their own each."""
    here = scene(engines("podman"))
    check_engine_restart(here, getattr(signal, how), outlive=True)


def check_engine_restart(here, how, outlive):
    engine = here.jobs.engine
    here.deploy()
    # What a container that ends before the engine is back had written meanwhile is what Docker loses.
    lines = 300 if engine.kind == "docker" else LINES
    longer, holding = {"LINES": str(lines)}, {"LINES": str(lines), "HOLD": "1"}
    plain = here.create(Environment=holding)
    here.jobs.wait_for_line(plain, "line 5 ")
    # Where it begins again, nobody releases it.
    patient = here.create(Environment=holding if outlive else longer, RetryStrategy={"MaximumRetryAttempts": 3})
    here.jobs.wait_for_line(patient, "line 5 ")
    engine.process.send_signal(how)
    engine.process.wait(120)
    time.sleep(0.5)
    engine.start_again()
    back = time.monotonic()
    answered = here.endpoint_answers()
    if outlive:
        here.release()
        for name in (plain, patient):
            assert "Restarting" not in here.check_completed(name, written=lines)
    else:
        job = here.jobs.wait_for_end(plain, SECONDS_TO_RECOVER)
        assert job["TrainingJobStatus"] == "Failed", job
        assert job["FailureReason"].startswith("InternalServerError") and "the container engine" in job["FailureReason"], job
        assert "Restarting" in [step["Status"] for step in here.jobs.wait_for_end(patient)["SecondaryStatusTransitions"]]
        assert here.jobs.job(patient)["TrainingJobStatus"] == "Completed"
    print(f"{engine.kind} {how.name}: the endpoint answered {answered:.1f} s and all jobs had ended "
          f"{time.monotonic() - back:.1f} s after the engine was back")
    here.check_completed(here.create())
    here.check_nothing_is_left(kept=0 if outlive else 1)


def test_an_engine_that_is_away_when_the_server_starts(scene, tmp_path_factory):
    engine = start_engine("docker", tmp_path_factory.mktemp("docker"), "--live-restore")
    try:
        here = scene(engine)
        here.deploy()
        running = here.create(Environment={"LINES": "300", "HOLD": "1"})
        here.jobs.wait_for_line(running, "line 5 ")
        here.jobs.server.kill()
        engine.stop()
        here.jobs.server.start()
        here.jobs.connect()
        told = here.doctor()
        assert "no container engine was found" in told and engine.socket in told, told
        with pytest.raises(ClientError, match="container engine.*does not answer"):
            here.create()
        assert here.jobs.job(running)["TrainingJobStatus"] == "InProgress"
        engine.start_again()
        here.endpoint_answers()
        here.release()
        here.check_completed(running, written=300)
        here.check_completed(here.create())
        told = here.doctor()
        assert f"at {engine.socket}\n" in told and "runs outlive a restart of the engine" in told, told
        assert "root of a container is root" in told and "MISSING limits of memory" not in told, told
        here.check_nothing_is_left()
    finally:
        engine.close()
