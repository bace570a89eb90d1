"""Jobs from Create to their first instruction and to their end, against `docker run` and `docker compose`.

The same thing runs everywhere: /bin/true of an image or environment that is there already.
"""
import concurrent.futures
import shutil
import subprocess
import time
import uuid
from pathlib import Path

from bench_control import job_request
from load import Signer, ask

PYTHON_IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"


def true_request(server, bucket, name, instance_type="ml.t3.medium"):
    request = job_request(server.account, bucket, name)
    request["AlgorithmSpecification"] = {"TrainingImage": PYTHON_IMAGE, "TrainingInputMode": "File", "ContainerEntrypoint": ["/bin/true"]}
    del request["InputDataConfig"], request["HyperParameters"]
    request["ResourceConfig"]["InstanceType"] = instance_type
    return request


def run(server, bucket, figures, folder, jobs=40, many=400):
    figures.section("Jobs", "A job whose program is /bin/true in the plain Python environment, from the call of Create to the program's first "
                    "instruction (the launcher's record), one after the other; and many at once to their end. The peers run the same program "
                    "from an image that is on the machine; their figure is the whole command.")
    starts = first_instructions(server, bucket, jobs)
    figures.add(f"Create to first instruction, p50, p99 of {jobs}", f"{pick(starts, 50):.1f}, {pick(starts, 99):.1f} ms")
    figures.add(f"{many} jobs at once, to the end of the last", f"{many / to_the_end(server, bucket, many):.0f} jobs per s", "500",
                "a job takes 25 ms of processor time in all: namespaces and programs of launcher and job 15, making and removing its 60 files and "
                "folders and four commits 10; and one job of this type fills two processors. A ready launcher and fewer folders would halve it")
    with docker(folder) as host:
        if not host:
            figures.add("docker run, docker compose", "not measured: no Docker daemon can run here")
            return
        for name, command in host.commands().items():
            seconds = [timed(command, host.environment) for _ in range(max(5, jobs // 4))]
            figures.add(f"{name}, p50, p99 of {len(seconds)}", f"{pick(seconds, 50):.0f}, {pick(seconds, 99):.0f} ms")
            figures.ratio("  Millwright's start is sooner", pick(seconds, 50), pick(starts, 50), 10 if name == "docker run" else 25)


def pick(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


def first_instructions(server, bucket, jobs):
    sm = server.client("sagemaker")
    signer = Signer(server.credentials, "sagemaker", f"127.0.0.1:{server.port}")
    found = []
    for number in range(jobs + 1):
        name = f"true-{uuid.uuid4().hex[:10]}"
        request = signer.call("CreateTrainingJob", true_request(server, bucket, name))
        sent = time.time()
        ask(server.port, request)
        job = wait_for(sm, name)
        if number > 0:  # the first one meets cold files
            found.append((job["TrainingStartTime"].timestamp() - sent) * 1000)
    return found


def wait_for(sm, name):
    while True:
        job = sm.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            assert job["TrainingJobStatus"] == "Completed", job
            return job
        time.sleep(0.01)


def to_the_end(server, bucket, many):
    sm = server.client("sagemaker")
    signer = Signer(server.credentials, "sagemaker", f"127.0.0.1:{server.port}")
    prefix = f"many-{uuid.uuid4().hex[:6]}"
    requests = [signer.call("CreateTrainingJob", true_request(server, bucket, f"{prefix}-{number}")) for number in range(many)]
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda request: ask(server.port, request), requests))
    while sm.list_training_jobs(NameContains=prefix, StatusEquals="InProgress", MaxResults=1)["TrainingJobSummaries"]:
        time.sleep(0.02)
    seconds = time.monotonic() - start
    assert not sm.list_training_jobs(NameContains=prefix, StatusEquals="Failed")["TrainingJobSummaries"]
    return seconds


def timed(command, environment):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return (time.perf_counter() - start) * 1000


class docker:
    """A Docker daemon of this benchmark's own, in a network of its own that takes bridges and rules along when it ends, with an
    image that holds one static program. None where it cannot run."""

    def __init__(self, folder):
        self.folder = Path(folder) / "docker"
        self.process = None
        self.environment = None

    def __enter__(self):
        if not shutil.which("dockerd") or subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip() != "0":
            return None
        self.folder.mkdir(parents=True)
        socket = f"unix://{self.folder}/docker.sock"
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DOCKER_HOST": socket, "HOME": str(self.folder)}
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen(
                ["unshare", "--net", "dockerd", "-H", socket, "--data-root", self.folder / "data", "--exec-root", self.folder / "exec", "-p", self.folder / "pid",
                 "--default-ulimit", "nofile=20000:20000", "--default-ulimit", "nproc=4096:4096"], stdout=log, stderr=log)
        for _ in range(300):
            if subprocess.run(["docker", "info"], capture_output=True, env=self.environment).returncode == 0:
                self.make_image()
                return self
            if self.process.poll() is not None:
                return None
            time.sleep(0.1)
        return None

    def make_image(self):
        root = self.folder / "root"
        root.mkdir()
        subprocess.run(["gcc", "-static", "-O1", "-x", "c", "-", "-o", root / "true"], input=b"int main(void) { return 0; }", check=True)
        packed = subprocess.run(["tar", "-C", root, "-c", "true"], check=True, capture_output=True).stdout
        subprocess.run(["docker", "import", "-", "bench-true"], input=packed, check=True, capture_output=True, env=self.environment)
        (self.folder / "docker-compose.yml").write_text("version: '2.3'\nservices:\n  job:\n    image: bench-true\n    command: /true\n")

    def commands(self):
        commands = {"docker run": ["docker", "run", "--rm", "bench-true", "/true"]}
        if shutil.which("docker-compose"):
            commands["docker compose"] = ["docker-compose", "-f", str(self.folder / "docker-compose.yml"), "up", "--abort-on-container-exit"]
        return commands

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
