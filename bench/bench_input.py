"""How fast data comes to a script, against reading the same bytes from plain files of the same disk.

One job has the data as a Pipe channel, a FastFile channel, a File channel and a file system (which is the plain files),
and reads them in turn, so that a noisy machine is noisy for all. Quote the ratios.

  python bench/bench_input.py [--megabytes N] [--rounds N]      or from bench.py: bench_input.run(server, report)
"""
import argparse
import io
import json
import os
import statistics
import sys
import tarfile
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/conformance"))
from server import Server  # noqa: E402

IMAGE = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"
FILE_SYSTEM = "fs-0123456789abcdef0"
BUCKET = "bench-input"
READER = """
import glob, json, os, subprocess, sys, time
DATA, rounds = "/opt/ml/input/data/", int(json.load(open("/opt/ml/input/config/hyperparameters.json"))["rounds"])
files = {kind: sorted(glob.glob(f"{DATA}{kind}/large-*")) for kind in ("direct", "fast", "file")}
small = {kind: sorted(glob.glob(f"{DATA}{kind}/small/*")) for kind in ("direct", "fast", "file")}

def cat(paths):
    begun = time.monotonic()
    subprocess.run(["cat", *paths], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun

def pipe(name, number):
    path = f"{DATA}{name}_{number}"
    while not os.path.exists(path):
        time.sleep(0.0005)
    return cat([path])

def first_bytes(paths):
    begun = time.monotonic()
    for path in paths:
        with open(path, "rb", buffering=0) as one:
            one.read(1)
    return (time.monotonic() - begun) / len(paths)

seconds = {}
for number in range(rounds):
    seconds.setdefault("pipe", []).append(pipe("pipe", number))
    seconds.setdefault("pipe-small", []).append(pipe("pipe-small", number))
    for kind in files:
        seconds.setdefault(kind, []).append(cat(files[kind]))
        seconds.setdefault(kind + "-small", []).append(cat(small[kind]))
        seconds.setdefault(kind + "-first", []).append(first_bytes(small[kind]))
json.dump(seconds, open("/opt/ml/output/data/seconds.json", "w"))
"""


def channel(name, prefix, mode):
    return {"ChannelName": name, "InputMode": mode, "DataSource": {"S3DataSource": {
        "S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}", "S3DataDistributionType": "FullyReplicated"}}}


def make_data(folder, s3, megabytes):
    (folder / "small").mkdir()
    sizes = {f"large-{i}": megabytes * 1_000_000 // 8 for i in range(8)}
    sizes.update({f"small/{i:04}": 10_000 for i in range(1000)})
    for name, size in sizes.items():
        (folder / name).write_bytes(os.urandom(size))
        s3.upload_file(str(folder / name), BUCKET, "data/" + name)
    return sizes


def create(server, channels, script, hyperparameters):
    s3, sm = server.client("s3"), server.client("sagemaker")
    packed, name = io.BytesIO(), f"bench-{uuid.uuid4().hex[:12]}"
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo("read.py")
        about.size = len(script)
        archive.addfile(about, io.BytesIO(script.encode()))
    s3.put_object(Bucket=BUCKET, Key=f"{name}/sourcedir.tar.gz", Body=packed.getvalue())
    parameters = {"sagemaker_program": json.dumps("read.py"),
                  "sagemaker_submit_directory": json.dumps(f"s3://{BUCKET}/{name}/sourcedir.tar.gz"), **hyperparameters}
    sm.create_training_job(
        TrainingJobName=name, RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole", HyperParameters=parameters,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"}, InputDataConfig=channels,
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 3600})
    deadline = time.monotonic() + 1800
    while time.monotonic() < deadline:
        job = sm.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            break
        time.sleep(0.05)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return job


def downloading(job):
    """Seconds in which the channels were made."""
    times = {t["Status"]: t for t in job["SecondaryStatusTransitions"]}
    step = times["Downloading"]
    return (step["EndTime"] - step["StartTime"]).total_seconds()


def bench_reading(server, report, folder, megabytes, rounds):
    sizes = make_data(folder, server.client("s3"), megabytes)
    system = {"ChannelName": "direct", "DataSource": {"FileSystemDataSource": {
        "FileSystemId": FILE_SYSTEM, "FileSystemType": "EFS", "DirectoryPath": "/", "FileSystemAccessMode": "ro"}}}
    channels = [channel("pipe", "data/large-", "Pipe"), channel("pipe-small", "data/small/", "Pipe"), system,
                channel("fast", "data/", "FastFile"), channel("file", "data/", "File")]
    job = create(server, channels, READER, {"rounds": str(rounds)})
    packed = server.client("s3").get_object(Bucket=BUCKET, Key=f"out/{job['TrainingJobName']}/output/output.tar.gz")
    archive = tarfile.open(fileobj=io.BytesIO(packed["Body"].read()))
    seconds = json.load(archive.extractfile("seconds.json"))
    large = sum(size for name, size in sizes.items() if name.startswith("large-"))

    def ratio(one, other):
        return statistics.median(b / a for a, b in zip(seconds[one], seconds[other]))

    def rate(kind):
        return f"{large / statistics.median(seconds[kind]) / 1e6:.0f} MB/s"

    report("Pipe, large objects: throughput, and against cat of the files", f"{rate('pipe')}, {ratio('pipe', 'direct'):.2f}")
    report("Pipe, objects of 10 kB, against cat of the files", f"{ratio('pipe-small', 'direct-small'):.2f}")
    report("FastFile, sequential: throughput, and against the files", f"{rate('fast')}, {ratio('fast', 'direct'):.2f}")
    report("FastFile, objects of 10 kB, against the files", f"{ratio('fast-small', 'direct-small'):.2f}")
    first = statistics.median(seconds["fast-first"])
    report("FastFile, open to first byte, and against the files",
           f"{first * 1e6:.1f} us, {ratio('fast-first', 'direct-first'):.2f}")
    report("File (overlay), sequential, against the files", f"{ratio('file', 'direct'):.2f}")


def bench_staging(server, report, objects=2000):
    """Links: the time depends on the number of objects and not on their sizes."""
    s3 = server.client("s3")
    for i in range(objects):
        s3.put_object(Bucket=BUCKET, Key=f"many/{i}", Body=b"x")
    for mode in ("File", "FastFile", "Pipe"):
        seconds = min(downloading(create(server, [channel("c", "many/", mode)], "", {})) for _ in range(3))
        report(f"staging, {mode}, per object of {objects}", f"{seconds / objects * 1e6:.0f} us")


def run(server, report, folder, megabytes=512, rounds=7):
    """REQUIRES: the server has the file system FILE_SYSTEM at `folder`, which is empty."""
    server.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    bench_reading(server, report, Path(folder), megabytes, rounds)
    bench_staging(server, report)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabytes", type=int, default=512)
    options.add_argument("--rounds", type=int, default=7)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain"
        plain.mkdir()
        server = Server(Path(folder) / "data", config=f'[file_systems]\n{FILE_SYSTEM} = "{plain}"\n').start()
        try:
            run(server, lambda name, value: print(f"  {name:<66} {value}", flush=True), plain, asked.megabytes, asked.rounds)
        finally:
            server.end_everything()


if __name__ == "__main__":
    main()
