"""`tools/dev bench`: the figures a user can feel, printed with the peer interleaved in one run.

  start     server start to first answer; idle memory
  job       CreateTrainingJob sent to the job's first instruction and to Completed
  invoke    InvokeEndpoint p50 of an XGBoost model against the same model behind Flask and gunicorn, and
            against its replica asked directly
  script    a script's first line: cold, warm, with requirements, against the bare interpreter
  input     Pipe and FastFile against reading the files directly
  sizes     binaries; the clean build time with --build

Every figure is a minimum or a median over several rounds; ratios are what to quote from a noisy machine.
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
import bench_input  # noqa: E402
import bench_script  # noqa: E402
from server import BIN, Server  # noqa: E402

IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
BUCKET = "bench-bucket"


def report(name, value, aim=""):
    print(f"  {name:<58} {value:<22} {aim}", flush=True)


def bench_start(folder, rounds):
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


def bench_job(server, count):
    sm = server.client("sagemaker")
    create(server, sm, "bench-warm", 1)  # a client's first call reads the service model and connects
    wait_for(sm, "bench-warm")
    first_instruction, done = [], []
    for i in range(count):
        name = f"bench-{i}"
        sent = create(server, sm, name, 1)
        job = wait_for(sm, name)
        # The launcher notes when it executed the command; the client's clock is the same machine's.
        first_instruction.append(job["TrainingStartTime"].timestamp() - sent)
        done.append(job["TrainingEndTime"].timestamp() - sent)
    report(f"Create sent to the job's first instruction, p50 of {count}", f"{statistics.median(first_instruction) * 1000:.1f} ms",
           "aim 10 ms")
    report("  the same, min and p95", f"{min(first_instruction) * 1000:.1f}, "
           f"{sorted(first_instruction)[int(count * 0.95)] * 1000:.1f} ms")
    report("Create sent to the end of a one-round XGBoost job, p50", f"{statistics.median(done) * 1000:.1f} ms")
    report("  the same, min", f"{min(done) * 1000:.1f} ms")
    report("one fsync of 4 KiB on this disk, p50 and max of 50", fsync_figures(server.folder))


def fsync_figures(folder):
    """The unit of the figures above: a job waits for two of them before it starts."""
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


FLASK_APP = '''
import ctypes, sys
import numpy as np
sys.path.insert(0, {examples!r})
from flask import Flask, request
from reference import LibXgboost
app = Flask(__name__)
library = LibXgboost()
booster = library.load({model!r})

@app.route("/invocations", methods=["POST"])
def invocations():
    row = np.array([request.get_data().decode().split(",")], dtype=np.float32)
    return ",".join(str(v) for v in library.predict(booster, row))
'''


def start_flask(folder, model):
    (Path(folder) / "bench_app.py").write_text(FLASK_APP.format(examples=str(ROOT / "examples"), model=str(model)))
    port = 18000 + os.getpid() % 10000
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{folder}:{np.__path__[0]}/.."}
    process = subprocess.Popen(["/usr/bin/python3", "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "--log-level", "error",
                                "--keep-alive", "30", "-k", "gthread", "--threads", "1", "bench_app:app"], cwd=folder, env=environment)
    for _ in range(500):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
            return process, port
        except OSError:
            time.sleep(0.02)
    raise SystemExit("gunicorn did not start")


def signed_headers(server, path, body):
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials
    known = server.credentials
    request = botocore.awsrequest.AWSRequest("POST", server.url + path, data=body, headers={"Content-Type": "text/csv"})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(known["AccessKeyId"], known["SecretAccessKey"]), "sagemaker",
                            known["Region"]).add_auth(request)
    return dict(request.prepare().headers)


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


def latencies(peer, path, headers, body, count):
    """Microseconds of each call on one kept-alive connection, without the cost of signing."""
    lines = [f"POST {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    if not any(line.lower().startswith("host:") for line in lines):
        lines.append(f"Host: 127.0.0.1:{peer}")
    if not any(line.lower().startswith("content-length:") for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    message = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
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


def bench_invoke(server, folder, model_key, features, rounds):
    import tarfile
    content = server.client("s3").get_object(Bucket=BUCKET, Key=model_key)["Body"].read()
    model = tarfile.open(fileobj=io.BytesIO(content)).extractfile("xgboost-model").read()
    (Path(folder) / "xgboost-model").write_bytes(model)
    flask, flask_port = start_flask(folder, Path(folder) / "xgboost-model")
    body = ",".join("%.9g" % v for v in features[0]).encode()
    path = "/endpoints/bench/invocations"
    replica = next((server.folder / "endpoints").rglob("serve.sock"))
    try:
        ours, direct, theirs = [], [], []
        for _ in range(rounds):
            ours.append(statistics.median(latencies(server.port, path, signed_headers(server, path, body), body, 1000)))
            direct.append(statistics.median(latencies(replica, "/invocations",
                                                      {"Content-Type": "text/csv"}, body, 1000)))
            theirs.append(statistics.median(latencies(flask_port, "/invocations", {"Content-Type": "text/csv"}, body, 300)))
    finally:
        flask.terminate()
        flask.wait(20)
    report(f"InvokeEndpoint p50, signed, one connection, min of {rounds}", f"{min(ours):.0f} us")
    report("  the same replica asked directly on its Unix socket", f"{min(direct):.0f} us")
    report("  what signature, front and gateway add", f"{min(ours) - min(direct):.0f} us", "aim 25 us")
    report("the same model behind Flask and gunicorn, p50", f"{min(theirs):.0f} us")
    report("ratio", f"{min(theirs) / min(ours):.1f}x lower", "aim 20x")


def bench_sizes():
    for name in ("millwright", "millwright-launcher", "millwright-algorithms"):
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "-o", stripped.name, BIN / name], check=True)
            report(f"size of {name}, stripped", f"{Path(stripped.name).stat().st_size / 2**20:.2f} MiB")


def bench_build():
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CCACHE_DISABLE": "1"}
        subprocess.run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                        "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG"], check=True, capture_output=True, env=environment)
        start = time.monotonic()
        subprocess.run(["cmake", "--build", folder], check=True, capture_output=True, env=environment)
        report(f"clean build with tests, {os.cpu_count()} processors, no cache", f"{time.monotonic() - start:.0f} s")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--jobs", type=int, default=40)
    options.add_argument("--build", action="store_true", help="also time a clean build (minutes)")
    chosen = options.parse_args()
    folder = tempfile.mkdtemp(prefix="millwright-bench-")
    print(f"Millwright benchmarks, {os.cpu_count()} processors\n")
    try:
        bench_start(folder, chosen.rounds)
        plain = Path(folder) / "plain"
        plain.mkdir()
        file_system = f'[file_systems]\n{bench_input.FILE_SYSTEM} = "{plain}"\n'
        server = Server(Path(folder) / "data", config=file_system).start()
        try:
            features = prepare(server)
            bench_job(server, chosen.jobs)
            bench_invoke(server, folder, deploy(server), features, chosen.rounds)
            server.client("sagemaker").delete_endpoint(EndpointName="bench")
            time.sleep(1)
            bench_script.run(server, report)
            bench_input.run(server, report, plain)
        finally:
            server.end_everything()
        bench_sizes()
        if chosen.build:
            bench_build()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
