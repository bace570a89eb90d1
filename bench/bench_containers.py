"""Container jobs against `docker run` of the same image: through Docker, and without an engine.

The image holds one static program that writes the time of day, so both sides are measured by what the program itself saw: from the call of Create,
or from starting the docker command, to the program's first line.
"""
import concurrent.futures
import hashlib
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

from load import Signer, ask

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/containers"))
sys.path.insert(0, str(ROOT / "tests/conformance"))
from engines import Engine, NoEngine  # noqa: E402
from images import Image, layer, push  # noqa: E402
from server import Server  # noqa: E402

PROGRAM = br"""
#include <stdio.h>
#include <time.h>
int main(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("first %lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec);
    return 0;
}
"""
AT_ONCE = 4
AIM_BEYOND_DOCKER_MS, AIM_WITHOUT_ENGINE_MS = 30, 25
BRIDGE, SUBNET = "mwbench0", "10.211.0.1/24"
LIMITS = {
    "docker": "two calls of the engine, create and start, one after the other; the network is there before the job. The rest is the engine's",
    "none": "namespaces, mounts and programs of launcher and job take processor time, and two commits wait for the disk",
    "many docker": "a job leaves a log, a record and a model behind that docker run does not: besides creating and starting a container the engine "
                   "is asked for its state, its log and its removal",
    "many none": "processor time of launcher and job",
}


def image():
    folder = Path(subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip())
    try:
        subprocess.run(["gcc", "-static", "-O1", "-x", "c", "-", "-o", folder / "first"], input=PROGRAM, check=True)
        program = (folder / "first").read_bytes()
    finally:
        subprocess.run(["rm", "-r", folder], check=True)
    return Image(layer({"first": program}), Entrypoint=["/first"])


class Place:
    """A server whose container jobs run in one way."""

    def __init__(self, server, bucket, pushed):
        self.server, self.bucket, self.image = server, bucket, pushed
        self.sm, self.logs = server.client("sagemaker"), server.client("logs")
        server.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})

    def request(self, name):
        return {"TrainingJobName": name, "RoleArn": f"arn:aws:iam::{self.server.account}:role/SageMakerRole",
                "AlgorithmSpecification": {"TrainingImage": self.image, "TrainingInputMode": "File"},
                "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/output"},
                "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5},
                "StoppingCondition": {"MaxRuntimeInSeconds": 600}}

    def calls(self, names):
        signer = Signer(self.server.credentials, "sagemaker", f"127.0.0.1:{self.server.port}")
        return [signer.call("CreateTrainingJob", self.request(name)) for name in names]

    def ended(self, name):
        while True:
            job = self.sm.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), self.server.log()[-2000:])
                return
            time.sleep(0.02)

    def first_line(self):
        """Milliseconds from Create to the program's first line."""
        name = f"first-{uuid.uuid4().hex[:10]}"
        [call] = self.calls([name])
        sent = time.time()
        ask(self.server.port, call)
        self.ended(name)
        return (self.said(name) - sent) * 1000

    def said(self, name):
        group = "/aws/sagemaker/TrainingJobs"
        [stream] = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        [event] = self.logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        return float(event["message"].split()[1])

    def many(self, jobs):
        """Seconds from the first Create to the end of the last; the server has room for AT_ONCE."""
        prefix = f"many-{uuid.uuid4().hex[:6]}"
        calls = self.calls([f"{prefix}-{number}" for number in range(jobs)])
        start = time.monotonic()
        for call in calls:
            ask(self.server.port, call)
        while self.sm.list_training_jobs(NameContains=prefix, StatusEquals="InProgress", MaxResults=1)["TrainingJobSummaries"]:
            time.sleep(0.02)
        seconds = time.monotonic() - start
        ended = self.sm.list_training_jobs(NameContains=prefix, StatusEquals="Completed", MaxResults=100)["TrainingJobSummaries"]
        assert len(ended) == jobs, self.server.log()[-2000:]
        return seconds


class DockerRun:
    """`network`: none or bridge, as the option of docker run."""

    def __init__(self, engine, image_id, network):
        self.command = ["docker", "-H", f"unix://{engine.socket}", "run", "--rm", "--network", network, image_id]

    def first_line(self):
        sent = time.time()
        said = subprocess.run(self.command, check=True, capture_output=True, text=True).stdout
        return (float(said.split()[1]) - sent) * 1000

    def many(self, jobs):
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda _: self.first_line(), range(jobs)))
        return time.monotonic() - start


class Bridge:
    """A bridge of this benchmark's own, which `docker run` joins as it would docker0."""

    def __enter__(self):
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", SUBNET, "dev", BRIDGE], check=True)
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)

    def __exit__(self, *_):
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
        # A daemon that ends leaves its rules behind, and they rewrite the addresses of whoever gets that range next.
        for table in ("filter", "nat"):
            rules = subprocess.run(["iptables", "-t", table, "-S"], check=True, capture_output=True, text=True).stdout.splitlines()
            for rule in rules:
                words = rule.split()
                if words[0] == "-A" and BRIDGE in words:
                    subprocess.run(["iptables", "-t", table, "-D", *words[1:]], check=True)


class BridgedEngine(Engine):
    def docker(self):
        return [f"--bridge={BRIDGE}" if word == "--bridge=none" else word for word in super().docker()]


def places(stack, folder, engine):
    """Servers by the way their images run; and the engine's name for the image."""
    made = image()
    engines = {"none": 'engine = "none"\n'}
    if engine:
        engines["docker"] = f'engine = "docker"\nsocket = "{engine.socket}"\n'
    found = {}
    for name, lines in engines.items():
        config = f"[containers]\n{lines}[jobs]\nvcpus = {2 * AT_ONCE}\n"
        server = Server(Path(folder) / f"containers-{name}", config=config).start()
        stack.callback(server.end_everything)
        found[name] = Place(server, f"bench-{name}", push(server, made, "bench/first"))
        found[name].first_line()  # pulls, or unpacks
    return found, "sha256:" + hashlib.sha256(made.config).hexdigest()


def start_docker(stack, folder, figures):
    try:
        stack.enter_context(Bridge())
        engine = BridgedEngine("docker", Path(folder) / "engine")
        stack.callback(engine.close)
        return engine.start()
    except (NoEngine, OSError, subprocess.CalledProcessError) as reason:
        figures.add("docker run", f"not measured: {str(reason)[:200]}")
        return None


def median(values):
    return sorted(values)[len(values) // 2]


def run(figures, folder, rounds, jobs):
    figures.section("Containers", "One static program in an image from Millwright's registry, unpacked or pulled before. To the first line: from the "
                    "call of Create, or from starting `docker run`, to the time that the program itself writes, in turns. To the end: from the first "
                    "call to the end of the last, 4 at a time.")
    with ExitStack() as stack:
        engine = start_docker(stack, folder, figures)
        ways, image_id = places(stack, folder, engine)
        if engine:
            ways["docker run"] = DockerRun(engine, image_id, "bridge")
            ways["docker run --network none"] = DockerRun(engine, image_id, "none")
        first_lines(figures, ways, max(10, jobs // 2))
        to_the_end(figures, ways, jobs, max(3, rounds // 2))


def first_lines(figures, ways, times):
    found = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            found[name].append(way.first_line())
    for name, values in found.items():
        what = {"docker": "Create to first line through Docker", "none": "Create to first line without an engine"}.get(name, f"{name} to first line")
        late = name == "none" and median(values) > AIM_WITHOUT_ENGINE_MS
        figures.add(f"{what}, min, p50 of {times}", f"{min(values):.1f}, {median(values):.1f} ms",
                    f"at most {AIM_WITHOUT_ENGINE_MS} ms" if name == "none" else "", LIMITS["none"] if late else "")
    if "docker" not in ways:
        return
    for name in ("docker run", "docker run --network none"):
        beyond = [ours - theirs for ours, theirs in zip(found["docker"], found[name])]
        figures.add(f"  beyond {name}, min, p50", f"{min(beyond):+.1f}, {median(beyond):+.1f} ms", f"at most {AIM_BEYOND_DOCKER_MS} ms",
                    LIMITS["docker"] if median(beyond) > AIM_BEYOND_DOCKER_MS else "")
    figures.ratio("  docker run takes longer than a job without an engine", median(found["docker run"]), median(found["none"]))


def to_the_end(figures, ways, jobs, rounds):
    names = {"docker": "jobs through Docker", "none": "jobs without an engine", "docker run": "docker run"}
    chosen = {name: ways[name] for name in names if name in ways}
    seconds = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, way in chosen.items():
            seconds[name].append(way.many(jobs))
    for name in chosen:
        figures.add(f"{jobs} {names[name]}, {AT_ONCE} at a time, min, p50 of {rounds}", f"{min(seconds[name]):.2f}, {median(seconds[name]):.2f} s")
    if "docker run" not in chosen:
        return
    for name, what in {"docker": "through Docker", "none": "without an engine"}.items():
        figures.ratio(f"  docker run takes longer than jobs {what}", median(seconds["docker run"]), median(seconds[name]), 1, LIMITS[f"many {name}"])
