"""Warm pools: instances that stay, the interpreter that stands ready on them, and UpdateTrainingJob."""
import contextlib
import json
import os
import signal
import time
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from server import Server, launchers_of

# What it finds of the interpreter that it became, and when its first line came.
SCRIPT = """
import time
first = time.time()
import json, os, sys
import decimal, xml.dom.minidom
try:
    ready = json.load(open("/run/millwright/warm.json"))
except OSError:
    ready = None
print("found", json.dumps(dict(first=first, ready=ready, argv=sys.argv[1:], name=__name__, file=__file__,
                               cwd=os.getcwd(), path=sys.path[0], secret=os.environ.get("SECRET"),
                               job=os.environ["TRAINING_JOB_NAME"], variables=sorted(os.environ),
                               parent=open(f"/proc/{os.getppid()}/cmdline").read().split("\\0")[1:2])))
"""


def found(lines):
    return json.loads(next(line for line in lines if line.startswith("found "))[6:])


def pool_of(sm, name):
    return sm.describe_training_job(TrainingJobName=name).get("WarmPoolStatus", {})


def await_pool(sm, name, status, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pool = pool_of(sm, name)
        if pool.get("Status") == status:
            return pool
        time.sleep(0.05)
    raise AssertionError(f"the pool of {name} is {pool}, not {status}")


@pytest.fixture
def pooled(script_request):
    """A function that makes a script job's request with a keep-alive period."""
    def make(text=SCRIPT, keep_alive=300, volume=5, files=None, **changes):
        resources = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": volume}
        if keep_alive:
            resources["KeepAlivePeriodInSeconds"] = keep_alive
        changes.setdefault("TrainingJobName", f"w-{uuid.uuid4().hex[:12]}")
        return script_request({"train.py": text, **(files or {})}, ResourceConfig=resources, **changes)

    return make


@pytest.fixture
def run(sm, finish):
    def start(request, seconds=120):
        sent = time.time()
        sm.create_training_job(**request)
        job = finish(request["TrainingJobName"], seconds)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        return job["TrainingJobName"], sent

    return start


@pytest.fixture
def spares(server):
    """A function that tells which launchers of this server wait for work; waits for their interpreters."""

    def find(expected=None, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            waiting = {}
            for pid in launchers_of(server.folder):
                try:
                    folder = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1].decode()
                    launch = Path(folder, "launch").read_bytes()
                except (OSError, IndexError):  # it has ended meanwhile
                    continue
                if b"\0spare\0" in launch and not Path(folder, "work").exists():
                    waiting[pid] = folder
            if expected is None or len(waiting) == expected or time.monotonic() > deadline:
                assert expected is None or len(waiting) == expected, waiting
                return waiting
            time.sleep(0.05)

    return find


@pytest.fixture(autouse=True)
def leave_nothing(sm, spares):
    """Pools would serve the next test, and spares that are about to end would be taken for its own."""
    yield
    for status in ("InUse", "Available"):
        for job in sm.list_training_jobs(WarmPoolStatusEquals=status, MaxResults=100)["TrainingJobSummaries"]:
            with contextlib.suppress(ClientError):  # it has ended meanwhile
                sm.update_training_job(TrainingJobName=job["TrainingJobName"], ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    spares(0)


def processes_below(pid):
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(Path(entry, "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(
                    int(entry.name))
            except OSError:
                pass
    found, look = [], [pid]
    while look:
        more = children.get(look.pop(), [])
        found += more
        look += more
    return found


def await_interpreter(launcher, hosts=1, seconds=90):
    """Until it has loaded its modules, on each of so many hosts: then it sleeps."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ready = {}
        for pid in processes_below(launcher):
            try:
                if b"millwright_warm" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    report = Path(f"/proc/{pid}/root/run/millwright/warm.json").stat()
                    ready.setdefault((report.st_dev, report.st_ino), pid)
            except OSError:
                pass
        if len(ready) == hosts:
            return next(iter(ready.values()))
        time.sleep(0.02)
    raise AssertionError(f"interpreters stand ready on {len(ready)} hosts, not on {hosts}")


def await_launcher(server):
    """The only one. A host that it is just making looks like it for a moment."""
    deadline = time.monotonic() + 60
    while len(found := launchers_of(server.folder)) != 1:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found[0]


def test_a_second_job_reuses_the_instances(sm, run, pooled, log_lines, spares):
    first, _ = run(pooled())
    pool = pool_of(sm, first)
    assert pool["Status"] == "Available" and pool["ResourceRetainedBillableTimeInSeconds"] >= 0
    assert found(log_lines(first))["ready"] is None
    (launcher, _), = spares(1).items()
    await_interpreter(launcher)
    time.sleep(1)

    request = pooled(keep_alive=0, hyperparameters={"epochs": 2, "name": "x y"})
    request["Environment"] = {"SECRET": "of the second job"}
    second, sent = run(request)
    here = found(log_lines(second))
    assert "decimal" in here["ready"]["loaded"] and "xml.dom.minidom" in here["ready"]["loaded"]
    assert here["argv"] == ["--epochs", "2", "--name", "x y"]
    assert (here["name"], here["file"], here["cwd"], here["path"]) == (
        "__main__", "/opt/ml/code/train.py", "/opt/ml/code", "/opt/ml/code")
    assert here["secret"] == "of the second job" and here["job"] == second
    assert here["parent"] == ["/opt/millwright/python/millwright_warm/__main__.py"]
    print(f"first line {1000 * (here['first'] - sent):.0f} ms after CreateTrainingJob was sent")

    pool = pool_of(sm, first)
    assert pool["Status"] == "Reused" and pool["ReusedByJob"] == second
    assert pool["ResourceRetainedBillableTimeInSeconds"] >= 1
    job = sm.describe_training_job(TrainingJobName=second)
    assert "WarmPoolStatus" not in job
    # Not for the time of the pool: what is billed is no more than the time between its own start and end.
    assert sent - 0.01 <= job["TrainingStartTime"].timestamp()
    took = (job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds()
    assert job["BillableTimeInSeconds"] <= 1 + took
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Uploading", "Completed"]
    listed = sm.list_training_jobs(WarmPoolStatusEquals="Reused", MaxResults=100)["TrainingJobSummaries"]
    assert {"Status": "Reused", "ReusedByJob": second} == {
        k: v for j in listed if j["TrainingJobName"] == first for k, v in j["WarmPoolStatus"].items() if k[0] != "R" or k[2] == "u"}
    assert spares() == {}


def test_while_a_job_runs_its_pool_is_in_use(sm, pooled, finish):
    request = pooled("import time; time.sleep(8)")
    sm.create_training_job(**request)
    name = request["TrainingJobName"]
    assert pool_of(sm, name) == {"Status": "InUse"}
    assert name in [j["TrainingJobName"] for j in
                    sm.list_training_jobs(WarmPoolStatusEquals="InUse")["TrainingJobSummaries"]]
    finish(name)
    assert pool_of(sm, name)["Status"] == "Available"


def test_a_chain_of_jobs_keeps_its_cache_and_nothing_else(sm, run, pooled, log_lines, spares):
    text = """
import os, decimal
cache = os.environ["SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"]
print("cache", cache, sorted(os.listdir(cache)), "elsewhere", [n for n in os.listdir("/tmp") if n == "left"], os.path.exists("/opt/ml/model/x"))
for path in (cache + "/kept", "/tmp/left", "/opt/ml/model/x", "/opt/ml/code/y"):
    open(path, "w").close()
"""
    names = []
    for _ in range(3):
        names.append(run(pooled(text, Environment={"SECRET": "x"}))[0])
        (launcher, _), = spares(1).items()
        await_interpreter(launcher)
    cache = "cache /opt/ml/sagemaker/warmpoolcache"
    said = [next(line for line in log_lines(name) if line.startswith("cache")) for name in names]
    assert said == [f"{cache} [] elsewhere [] False", f"{cache} ['kept'] elsewhere [] False",
                    f"{cache} ['kept'] elsewhere [] False"]
    assert [pool_of(sm, name)["Status"] for name in names] == ["Reused", "Reused", "Available"]


def test_another_volume_does_not_match(sm, run, pooled, log_lines):
    first, _ = run(pooled(volume=5))
    second, _ = run(pooled(volume=6, keep_alive=0))
    assert found(log_lines(second))["ready"] is None
    assert pool_of(sm, first)["Status"] in ("Available", "Terminated")  # the machine may have needed the room


def test_a_pool_ends_with_its_period(sm, run, pooled, spares):
    name, _ = run(pooled(keep_alive=2))
    pool = await_pool(sm, name, "Terminated")
    assert pool["ResourceRetainedBillableTimeInSeconds"] == 2
    assert spares(0) == {}
    second, _ = run(pooled(keep_alive=0))
    assert pool_of(sm, name)["Status"] == "Terminated"


def test_an_update_releases_and_extends(sm, run, pooled, spares):
    name, _ = run(pooled(keep_alive=12))
    arn = sm.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 600})
    assert arn["TrainingJobArn"].endswith(":training-job/" + name)
    time.sleep(13)
    assert pool_of(sm, name)["Status"] == "Available"
    sm.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    pool = await_pool(sm, name, "Terminated")
    assert pool["ResourceRetainedBillableTimeInSeconds"] >= 13
    assert spares(0) == {}
    with pytest.raises(ClientError, match="Terminated"):
        sm.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 60})


def test_what_an_update_cannot_do_is_refused(sm, run, pooled):
    name, _ = run(pooled(keep_alive=0))
    for members in ({"ProfilerConfig": {"ProfilingIntervalInMilliseconds": 500}},
                    {"ProfilerConfig": {"DisableProfiler": False}},
                    {"RemoteDebugConfig": {"EnableRemoteDebug": True}},
                    {"ProfilerRuleConfigurations": [{"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}]}):
        with pytest.raises(ClientError, match="Millwright does not support"):
            sm.update_training_job(TrainingJobName=name, **members)
    sm.update_training_job(TrainingJobName=name, ProfilerConfig={"DisableProfiler": True})
    with pytest.raises(ClientError, match="21600"):
        sm.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 21601})
    with pytest.raises(ClientError, match="not found"):
        sm.update_training_job(TrainingJobName="nobody", ResourceConfig={"KeepAlivePeriodInSeconds": 1})
    spot = dict(EnableManagedSpotTraining=True, StoppingCondition={"MaxRuntimeInSeconds": 60,
                                                                   "MaxWaitTimeInSeconds": 60})
    with pytest.raises(ClientError, match="KeepAlivePeriodInSeconds"):
        sm.create_training_job(**pooled(**spot))


def warm_run(run, pooled, spares, first, second):
    """The second of two jobs, once the interpreter of the first stands ready."""
    run(first)
    (launcher, _), = spares(1).items()
    await_interpreter(launcher)
    return second


def test_what_the_interpreter_cannot_undo_gets_a_new_one(run, pooled, spares, log_lines):
    second = pooled(keep_alive=0, Environment={"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"})
    name, _ = run(warm_run(run, pooled, spares, pooled(), second))
    lines = log_lines(name)
    assert any("a new interpreter is started" in line and "OMP_NUM_THREADS differs" in line for line in lines), lines
    assert found(lines)["parent"] != ["/opt/millwright/python/millwright_warm/__main__.py"]


def test_a_module_of_the_code_is_not_taken_for_one_that_is_loaded(run, pooled, spares, log_lines):
    second = pooled(keep_alive=0, files={"decimal.py": "print('my decimal')\n"})
    name, _ = run(warm_run(run, pooled, spares, pooled(), second))
    assert "my decimal" in log_lines(name)


def test_failures_on_a_warm_interpreter_read_as_always(sm, run, pooled, spares, finish, log_lines):
    text = "import decimal\ndef deep():\n    raise ValueError('so bad')\ndeep()\n"
    sm.create_training_job(**(cold := pooled(text, keep_alive=0)))
    cold = finish(cold["TrainingJobName"])
    warm = warm_run(run, pooled, spares, pooled(), pooled(text, keep_alive=0))
    sm.create_training_job(**warm)
    warm = finish(warm["TrainingJobName"])
    reason = {job["TrainingJobName"]: job["FailureReason"].split(" of log stream")[0] for job in (cold, warm)}
    assert len(set(reason.values())) == 1 and "ValueError: so bad" in reason[warm["TrainingJobName"]], reason
    assert log_lines(warm["TrainingJobName"]) == log_lines(cold["TrainingJobName"])


@pytest.mark.parametrize("text,code", [("import sys; sys.exit(7)", 7),
                                       ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139),
                                       ("import os, signal; os.kill(os.getppid(), signal.SIGKILL)\nimport time\n"
                                        "time.sleep(60)", 137)])
def test_exit_codes_and_signals_go_through(sm, run, pooled, spares, finish, text, code):
    request = warm_run(run, pooled, spares, pooled(), pooled(text, keep_alive=0))
    sm.create_training_job(**request)
    job = finish(request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Failed" and str(code) in job["FailureReason"], job["FailureReason"]


def test_on_two_hosts_both_interpreters_stand_ready(run, pooled, spares, log_lines):
    def request(keep_alive):
        made = pooled(keep_alive=keep_alive)
        made["ResourceConfig"]["InstanceCount"] = 2
        return made

    run(request(300))
    (launcher, _), = spares(1).items()
    await_interpreter(launcher, hosts=2)
    name, _ = run(request(0))
    for host in ("algo-1", "algo-2"):
        assert "decimal" in found(log_lines(name, host))["ready"]["loaded"]


def test_isolated_jobs_follow_isolated_jobs(sm, run, pooled, spares, log_lines):
    text = SCRIPT + """
import socket
try:
    socket.create_connection(("169.254.170.2", 80), 2)
    print("reached")
except OSError:
    print("isolated")
"""
    first, _ = run(pooled(text, EnableNetworkIsolation=True))
    (launcher, _), = spares(1).items()
    await_interpreter(launcher)
    second, _ = run(pooled(text, keep_alive=0, EnableNetworkIsolation=True))
    assert found(log_lines(second))["ready"] and "isolated" in log_lines(second)
    assert pool_of(sm, first)["Status"] == "Reused"


def test_a_stop_reaches_the_script(sm, run, pooled, spares, finish, log_lines):
    text = """
import decimal, signal, sys, time
def stop(*_):
    print("saving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
    request = warm_run(run, pooled, spares, pooled(), pooled(text, keep_alive=0))
    sm.create_training_job(**request)
    name = request["TrainingJobName"]
    deadline = time.monotonic() + 120
    while "ready" not in log_lines(name):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sm.stop_training_job(TrainingJobName=name)
    assert finish(name)["TrainingJobStatus"] == "Stopped"
    assert log_lines(name)[-1] == "saving"


@pytest.mark.parametrize("victim", ["interpreter", "launcher"])
def test_a_spare_that_is_killed_costs_only_its_warmth(sm, run, pooled, spares, log_lines, victim):
    first, _ = run(pooled())
    (launcher, folder), = spares(1).items()
    interpreter = await_interpreter(launcher)
    os.kill(interpreter if victim == "interpreter" else launcher, signal.SIGKILL)
    spares(0)
    assert pool_of(sm, first)["Status"] == "Available"
    second, _ = run(pooled(keep_alive=0))
    assert found(log_lines(second))["ready"] is None
    assert pool_of(sm, first)["Status"] == "Reused"
    deadline = time.monotonic() + 60
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()


def test_the_sdk_keeps_and_reuses_instances(server, environment, sm, bucket, run, pooled, tmp_path, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    import sagemaker
    from sagemaker.pytorch import PyTorch
    (tmp_path / "train.py").write_text(SCRIPT)
    session = sagemaker.Session(boto_session=server.boto_session(), default_bucket=bucket)
    from conftest import PYTHON_IMAGE
    estimator = PyTorch(entry_point="train.py", source_dir=str(tmp_path), image_uri=PYTHON_IMAGE, instance_count=1,
                        role=f"arn:aws:iam::{server.account}:role/SageMakerRole", instance_type="ml.m5.large",
                        sagemaker_session=session, keep_alive_period_in_seconds=300, disable_profiler=True)
    estimator.fit(wait=False)
    estimator.latest_training_job.wait(logs=None)
    first = estimator.latest_training_job.name
    assert pool_of(sm, first)["Status"] == "Available"
    session.update_training_job(first, resource_config={"KeepAlivePeriodInSeconds": 900})
    estimator.fit(wait=False)
    estimator.latest_training_job.wait(logs=None)
    second = estimator.latest_training_job.name
    assert pool_of(sm, first) | {"ResourceRetainedBillableTimeInSeconds": 0} == {
        "Status": "Reused", "ReusedByJob": second, "ResourceRetainedBillableTimeInSeconds": 0}
    session.update_training_job(second, resource_config={"KeepAlivePeriodInSeconds": 0})
    await_pool(sm, second, "Terminated")


@pytest.fixture
def own_server(tmp_path):
    running = Server(tmp_path / "data").start()
    yield running
    running.end_everything()


def test_pools_survive_the_server_and_nothing_leaks(own_server):
    sm, s3 = own_server.client("sagemaker"), own_server.client("s3")
    s3.create_bucket(Bucket="pools", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    import io
    import tarfile
    from conftest import PYTHON_IMAGE
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo("train.py")
        about.size = len(SCRIPT)
        archive.addfile(about, io.BytesIO(SCRIPT.encode()))
    s3.put_object(Bucket="pools", Key="code.tar.gz", Body=packed.getvalue())

    def create(name, keep_alive):
        sm.create_training_job(
            TrainingJobName=name, RoleArn=f"arn:aws:iam::{own_server.account}:role/SageMakerRole",
            AlgorithmSpecification={"TrainingImage": PYTHON_IMAGE, "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": "s3://pools/out"}, StoppingCondition={"MaxRuntimeInSeconds": 60},
            ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5,
                            "KeepAlivePeriodInSeconds": keep_alive},
            HyperParameters={"sagemaker_program": '"train.py"',
                             "sagemaker_submit_directory": '"s3://pools/code.tar.gz"'})

    def end(name):
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            job = sm.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] in ("Completed", "Failed"):
                assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
                return
            time.sleep(0.05)
        raise AssertionError(job)

    create("one", 600)
    end("one")
    launcher = await_launcher(own_server)  # the job's end is told before its spare is started
    await_interpreter(launcher)
    own_server.kill()
    own_server.start()
    sm = own_server.client("sagemaker")
    assert launchers_of(own_server.folder) == [launcher]
    assert pool_of(sm, "one")["Status"] == "Available"
    create("two", 600)
    end("two")
    logs = own_server.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    stream = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="two/")["logStreams"][0]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    assert found([event["message"] for event in events["events"]])["ready"]

    # Killed at every moment of a chain of warm jobs: none is lost, and in the end nothing is left.
    for n, pause in enumerate((0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4)):
        create(f"chain-{n}", 600)
        time.sleep(pause)
        own_server.kill()
        own_server.start()
        sm = own_server.client("sagemaker")
        end(f"chain-{n}")
    pools = sm.list_training_jobs(WarmPoolStatusEquals="Available", MaxResults=100)["TrainingJobSummaries"]
    for job in pools:
        sm.update_training_job(TrainingJobName=job["TrainingJobName"], ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and (launchers_of(own_server.folder) or os.listdir(own_server.folder / "jobs")):
        time.sleep(0.05)
    assert launchers_of(own_server.folder) == []
    assert os.listdir(own_server.folder / "jobs") == []
