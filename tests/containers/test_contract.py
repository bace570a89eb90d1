"""What a container of a training job finds, through the whole server: its hosts, its limits, its user, its network, and the
messages while its image is pulled."""
import io
import os
import re
import tarfile
import uuid

import pytest
from conftest import KINDS
from engine_jobs import EngineJobs
from engines import busybox_tar
from images import Image, layer, layer_of

SCRIPT = b"""#!/bin/busybox sh
export PATH=/bin
echo "name $(hostname)"
echo "user $(id -u)"
echo "shared $(df -k /dev/shm | tail -1 | awk '{print $2}')"
grep algo- /etc/hosts
nc -w 2 169.254.170.2 80 < /dev/null > /dev/null 2>&1 && echo server || echo no server
mkdir -p /opt/ml/model/deep && echo mine > /opt/ml/model/deep/file && chmod 0700 /opt/ml/model/deep
[ "$1" = stubborn ] && trap '' TERM && echo ready && while :; do sleep 0.1; done
[ "$1" = fail ] && echo "it is broken" > /opt/ml/output/failure && exit 9
exit 0
"""


@pytest.fixture
def unique():
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module", params=KINDS)
def jobs(request, engines, tmp_path_factory):
    made = EngineJobs(engines(request.param), tmp_path_factory.mktemp("contract") / "server")
    made.image = made.push(image(), "team/contract")
    yield made
    made.close()


def image(*more, **config):
    return Image(layer_of(busybox_tar()), layer({"entry": SCRIPT}), *more, Entrypoint=["/entry"], **config)


def test_two_hosts_know_each_other(jobs, unique):
    jobs.create(unique, jobs.image, hosts=2, ResourceConfig={"InstanceCount": 2, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5})
    job = jobs.wait_for_end(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    for host in (1, 2):
        lines = jobs.lines(unique, host)
        assert f"name algo-{host}" in lines and "server" in lines
        assert {line.split()[1] for line in lines if re.match(r"[0-9.]+ algo-", line)} == {"algo-1", "algo-2"}
        shared = int(next(line for line in lines if line.startswith("shared ")).split()[1])
        assert shared == 2 << 20  # KiB: half of the memory


def test_an_isolated_job_has_no_way_to_the_server_and_its_model_is_kept(jobs, unique):
    jobs.create(unique, jobs.image, EnableNetworkIsolation=True)
    assert jobs.wait_for_end(unique)["TrainingJobStatus"] == "Completed"
    assert "no server" in jobs.lines(unique)
    assert files_of_model(jobs, unique) == ["deep/file"]


def files_of_model(jobs, name):
    packed = jobs.s3.get_object(Bucket=jobs.bucket, Key=f"out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return [entry.name.removeprefix("./") for entry in archive if entry.isfile()]


def test_what_a_user_of_the_image_writes_is_kept(jobs, unique):
    other = jobs.push(image(User="1000:1000"), "team/user")
    jobs.create(unique, other)
    job = jobs.wait_for_end(unique)
    assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), jobs.lines(unique))
    assert "user 1000" in jobs.lines(unique)
    assert files_of_model(jobs, unique) == ["deep/file"]


def test_messages_say_how_far_the_image_is(jobs, unique):
    """Even a pull of 48 MiB says something on its way. Who looks too late has missed it, and looks at another one."""
    said = set()

    def look(job):
        said.update(step.get("StatusMessage", "") for step in job["SecondaryStatusTransitions"])
        return job["TrainingJobStatus"] != "InProgress"
    for attempt in range(4):
        large = jobs.push(image(layer({"noise": os.urandom(48 << 20)})), f"team/{unique}-{attempt}")
        jobs.create(f"{unique}-{attempt}", large)
        assert jobs.wait(f"{unique}-{attempt}", look)["TrainingJobStatus"] == "Completed"
        if any("Pulling image" in message for message in said):
            break
    print("\n".join(sorted(said)))
    assert any("Pulling image" in message for message in said), said


def test_a_failure_and_its_exit_code_are_told(jobs, unique):
    jobs.create(unique, jobs.image, AlgorithmSpecification={
        "TrainingImage": jobs.image, "TrainingInputMode": "File", "ContainerArguments": ["fail"]})
    job = jobs.wait_for_end(unique)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: it is broken") and "exit code: 9" in job["FailureReason"]


def test_a_stop_gives_it_time_and_then_none(jobs, unique):
    jobs.create(unique, jobs.image, StoppingCondition={"MaxRuntimeInSeconds": 600}, AlgorithmSpecification={
        "TrainingImage": jobs.image, "TrainingInputMode": "File", "ContainerArguments": ["stubborn"]})
    jobs.wait_for_line(unique, "ready")
    jobs.sm.stop_training_job(TrainingJobName=unique)
    assert jobs.job(unique)["TrainingJobStatus"] == "Stopping"  # for 120 s: the executor's own tests wait for the end
    container = next(about for about in jobs.containers(host=True) if about["Config"]["Cmd"] == ["stubborn"])
    assert container["State"]["Running"]
    jobs.engine.call("POST", f"/containers/{container['Id']}/kill?signal=SIGKILL")
    assert jobs.wait_for_end(unique)["TrainingJobStatus"] == "Stopped"
