"""`tools/dev bench`: every figure of docs/reference/benchmarks.md, with the peer in turns with Millwright in one run.

  start     server start to first answer; idle memory
  control   Create, Describe and List of training jobs against moto_server
  books     the same with a thousand and with a million jobs in the books
  s3        GET and PUT against nginx and s3rver; pages of a million keys
  registry  pushes and pulls of layers against docker-registry
  jobs      Create to first instruction and to the end, against docker run and docker compose
  containers  jobs of an image through Docker and without an engine, against docker run of the same image
  invoke    InvokeEndpoint against Flask and gunicorn, and against nginx and haproxy as bare proxies
  script    a script's first line: cold, warm, with requirements, against the bare interpreter
  input     Pipe and FastFile against reading the files directly
  data      10 GB in File mode, CSV, RecordIO, PCA and XGBoost against the usual libraries
  sizes     binaries; the clean build time with --build

Every figure is a minimum or a median over several rounds; ratios are what to quote from a noisy machine. --write puts them into
docs/reference/benchmarks.md.
"""
import argparse
import http.client
import io
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/conformance"))
sys.path.insert(0, str(ROOT / "examples"))
sys.path.insert(0, str(ROOT / "bench"))
import bench_books  # noqa: E402
import bench_containers  # noqa: E402
import bench_control  # noqa: E402
import bench_data  # noqa: E402
import bench_input  # noqa: E402
import bench_invoke  # noqa: E402
import bench_jobs  # noqa: E402
import bench_registry  # noqa: E402
import bench_s3  # noqa: E402
import bench_script  # noqa: E402
from figures import Figures  # noqa: E402
from server import BIN, Server  # noqa: E402

IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
BUCKET = "bench-bucket"


def bench_start(figures, folder, rounds):
    report = figures.add
    figures.section("Server")
    seconds = []
    for i in range(rounds):
        server = Server(Path(folder) / f"start-{i}").start()
        seconds.append(server.seconds_to_answer)
        memory = resident_kib(server.process.pid)
        server.end_everything()
    report("server start to first answer, new data directory, min", f"{min(seconds) * 1000:.1f} ms", "aim < 100 ms")
    again = Server(Path(folder) / "start-0")
    seconds = []
    for _ in range(rounds):
        again.start()
        seconds.append(again.seconds_to_answer)
        again.stop()
    report("server start to first answer, existing directory, min", f"{min(seconds) * 1000:.1f} ms", "aim < 100 ms")
    report("idle memory (RSS)", f"{memory / 1024:.1f} MiB", "aim < 40 MiB")
    report("one fsync of 4 KiB on this disk, p50 and max of 50", fsync_figures(folder))


def resident_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def prepare(server):
    s3 = server.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    random = np.random.RandomState(3)
    features = random.rand(2000, 50).astype(np.float32)
    labels = (features[:, :3].sum(axis=1) > 1.5).astype(int)
    text = io.StringIO()
    np.savetxt(text, np.column_stack([labels, features]), delimiter=",", fmt="%.9g")
    s3.put_object(Bucket=BUCKET, Key="data/x.csv", Body=text.getvalue().encode())
    return features


def create(server, sm, name, rounds):
    """The time at which the client was called: its own work is part of what a user waits for."""
    sent = time.time()
    sm.create_training_job(
        TrainingJobName=name, RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}}}],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/output"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        HyperParameters={"num_round": str(rounds), "objective": "binary:logistic", "max_depth": "6"})
    return sent


def wait_for(sm, name):
    while True:
        job = sm.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            assert job["TrainingJobStatus"] == "Completed", job
            return job
        time.sleep(0.02)  # the figures come from the job's own times; asking often would only take its processor


PYTHON_IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"


def occupy(server):
    """A job that takes the whole machine and sleeps. Returns what ends it."""
    sm, name = server.client("sagemaker"), f"occupy-{time.time_ns()}"
    sm.create_training_job(
        TrainingJobName=name, RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole",
        AlgorithmSpecification={"TrainingImage": PYTHON_IMAGE, "TrainingInputMode": "File",
                                "ContainerEntrypoint": ["sleep"], "ContainerArguments": ["3600"]},
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/output"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p4d.24xlarge", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 3600})
    while sm.describe_training_job(TrainingJobName=name)["SecondaryStatus"] != "Training":
        time.sleep(0.05)
    return lambda: sm.stop_training_job(TrainingJobName=name)


def fsync_figures(folder):
    """The unit of what is durable: a job waits for two of them before it starts."""
    seconds = []
    with open(Path(folder) / "fsync-probe", "wb", buffering=0) as probe:
        for _ in range(50):
            probe.write(bytes(4096))
            start = time.perf_counter()
            os.fdatasync(probe.fileno())
            seconds.append(time.perf_counter() - start)
    os.unlink(Path(folder) / "fsync-probe")
    return f"{statistics.median(seconds) * 1000:.1f}, {max(seconds) * 1000:.1f} ms"


def deploy(server):
    sm = server.client("sagemaker")
    create(server, sm, "bench-model", 100)
    job = wait_for(sm, "bench-model")
    role = f"arn:aws:iam::{server.account}:role/SageMakerRole"
    sm.create_model(ModelName="bench", ExecutionRoleArn=role, PrimaryContainer={
        "Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]})
    sm.create_endpoint_config(EndpointConfigName="bench", ProductionVariants=[{
        "VariantName": "AllTraffic", "ModelName": "bench", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}])
    sm.create_endpoint(EndpointName="bench", EndpointConfigName="bench")
    while sm.describe_endpoint(EndpointName="bench")["EndpointStatus"] == "Creating":
        time.sleep(0.01)
    assert sm.describe_endpoint(EndpointName="bench")["EndpointStatus"] == "InService"
    return "output/bench-model/output/model.tar.gz"


def connect(peer):
    """A port on this machine, or the path of a Unix socket."""
    if isinstance(peer, int):
        connection = socket.create_connection(("127.0.0.1", peer))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The name of a Unix socket may have 107 bytes; a descriptor of its folder makes any path short.
    folder = os.open(Path(peer).parent, os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{Path(peer).name}")
    finally:
        os.close(folder)
    return connection


def latencies(peer, message, count):
    """Microseconds of each answer to the message on one kept-alive connection."""
    result = []
    with connect(peer) as connection:
        for _ in range(count):
            start = time.perf_counter()
            connection.sendall(message)
            answer = connection.recv(65536)
            while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < length_of(answer):
                more = connection.recv(65536)
                if not more:
                    raise SystemExit(f"connection closed: {answer!r}")
                answer += more
            result.append((time.perf_counter() - start) * 1e6)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode(errors="replace"))
    return result


def length_of(answer):
    for line in answer.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def bench_sizes(figures):
    figures.section("Sizes")
    for name in ("millwright", "millwright-launcher", "millwright-algorithms"):
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "-o", stripped.name, BIN / name], check=True)
            figures.add(f"size of {name}, stripped", f"{Path(stripped.name).stat().st_size / 2**20:.2f} MiB")


def bench_build(figures):
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CCACHE_DISABLE": "1"}
        subprocess.run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                        "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG"], check=True, capture_output=True, env=environment)
        start = time.monotonic()
        subprocess.run(["cmake", "--build", folder], check=True, capture_output=True, env=environment)
        figures.add(f"clean build with tests, {os.cpu_count()} processors, no cache", f"{time.monotonic() - start:.0f} s")


FOREWORD = """
Every figure of this page is printed by `tools/dev bench`. The peer runs on the same machine in the same run, in turns with Millwright, so that
both meet the same conditions; rates are the best of the rounds and latencies the lowest, unless a line says otherwise. Quote the ratios: the
absolute figures belong to the machine.
"""


class Parts:
    """What can be measured given a running server; each part has one of its own."""

    def __init__(self, chosen, folder, figures):
        self.rounds, self.jobs, self.folder, self.figures = chosen.rounds, chosen.jobs, folder, figures

    def control(self, server, _):
        bench_control.run(server, BUCKET, self.figures, self.rounds, lambda: occupy(server))

    def s3(self, server, _):
        bench_s3.run(server, self.figures, self.rounds, self.folder)

    def registry(self, server, _):
        bench_registry.run(server, self.figures, self.rounds, self.folder)

    def jobs_to_the_end(self, server, _):
        bench_jobs.run(server, BUCKET, self.figures, self.folder, self.jobs)

    def invoke(self, server, features):
        bench_invoke.run(server, self.figures, self.rounds, self.folder, BUCKET, deploy(server), features)
        server.client("sagemaker").delete_endpoint(EndpointName="bench")
        time.sleep(1)

    def script(self, server, _):
        self.figures.section("Scripts", "A script in the plain Python or PyTorch environment; the peer is the same interpreter started by hand.")
        bench_script.run(server, self.figures.add)

    def inputs(self, server, _):
        self.figures.section("Input modes", "Ratios to reading the plain files of the same disk.")
        bench_input.run(server, self.figures.add, self.folder / "plain")

    def data(self, server, _):
        bench_data.run(server, self.figures, self.rounds, self.folder, BUCKET, BIN)

    def containers(self):
        bench_containers.run(self.figures, self.folder, self.rounds, self.jobs)


SERVED = {"control": Parts.control, "s3": Parts.s3, "registry": Parts.registry, "jobs": Parts.jobs_to_the_end, "invoke": Parts.invoke, "script": Parts.script,
          "input": Parts.inputs, "data": Parts.data}
ALONE = {"start": lambda parts: bench_start(parts.figures, parts.folder, parts.rounds), "containers": Parts.containers,
         "books": lambda parts: bench_books.run(parts.figures, BUCKET, parts.rounds, parts.folder, prepare, occupy),
         "sizes": lambda parts: bench_sizes(parts.figures)}


def measure(chosen, folder, figures, done):
    wanted = chosen.parts or ["start", *SERVED, "books", "containers", "sizes"]
    unknown = set(wanted) - {*ALONE, *SERVED}
    if unknown:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}")
    parts = Parts(chosen, folder, figures)
    (folder / "plain").mkdir()
    for name in wanted:
        if name in ALONE:
            ALONE[name](parts)
            done()
            continue
        server = Server(folder / f"data-{name}", config=f'[file_systems]\n{bench_input.FILE_SYSTEM} = "{folder / "plain"}"\n').start()
        try:
            SERVED[name](parts, server, prepare(server))
        finally:
            server.end_everything()
            shutil.rmtree(server.folder, ignore_errors=True)
        done()
    if chosen.build:
        bench_build(figures)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", help="only these")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--jobs", type=int, default=40)
    options.add_argument("--build", action="store_true", help="also time a clean build (minutes)")
    options.add_argument("--write", action="store_true", help="write docs/reference/benchmarks.md, or the sections of these parts")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="millwright-bench-"))
    figures = Figures()
    print(f"Millwright benchmarks, {os.cpu_count()} processors")
    page = ROOT / "docs/reference/benchmarks.md"
    try:
        # After each part, so that one that fails loses nothing of the others.
        measure(chosen, folder, figures, lambda: chosen.write and figures.write(page, FOREWORD, whole=False))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.write and not chosen.parts:
        figures.write(page, FOREWORD, whole=True)


if __name__ == "__main__":
    main()
