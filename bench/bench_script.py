"""How fast a script comes to its first line: cold, warm, and with requirements, against the bare interpreter.

  python bench/bench_script.py [--jobs N]      or from bench.py: bench_script.run(server, report)

The peer is the same interpreter of the same environment, started by hand with the same script, in turn with the jobs.
"""
import argparse
import io
import json
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/conformance"))
from server import ENVIRONMENTS, Server  # noqa: E402

PLAIN = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"
PYTORCH = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.0.0-cpu-py310"
BUCKET = "bench-script"
FIRST_LINE = "import time\nprint('first', repr(time.time()), flush=True)\n"
AFTER_TORCH = "import torch\n" + FIRST_LINE


class Jobs:
    def __init__(self, server):
        self.server = server
        self.sm, self.logs, self.s3 = (server.client(name) for name in ("sagemaker", "logs", "s3"))
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})

    def run(self, text, image, requirements="", keep_alive=0):
        """-> seconds from Create sent and from the launcher's exec to the script's first line, the environment's id."""
        name = f"bench-{uuid.uuid4().hex[:12]}"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path, content in {"train.py": text, **({"requirements.txt": requirements} if requirements else {})}.items():
                about = tarfile.TarInfo(path)
                about.size = len(content.encode())
                archive.addfile(about, io.BytesIO(content.encode()))
        self.s3.put_object(Bucket=BUCKET, Key=f"{name}/sourcedir.tar.gz", Body=packed.getvalue())
        request = dict(
            TrainingJobName=name, RoleArn=f"arn:aws:iam::{self.server.account}:role/SageMakerRole",
            AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
            ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
            HyperParameters={"sagemaker_program": "train.py",
                             "sagemaker_submit_directory": f"s3://{BUCKET}/{name}/sourcedir.tar.gz"})
        if keep_alive:
            request["ResourceConfig"]["KeepAlivePeriodInSeconds"] = keep_alive
        sent = time.time()
        self.sm.create_training_job(**request)
        job = self.wait(name)
        first = float(next(line for line in self.lines(name) if line.startswith("first ")).split()[1])
        return first - sent, first - job["TrainingStartTime"].timestamp()

    def wait(self, name):
        while True:
            job = self.sm.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
                return job
            time.sleep(0.02)

    def lines(self, name):
        group = "/aws/sagemaker/TrainingJobs"
        stream = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)["logStreams"][0]["logStreamName"]
        return [e["message"] for e in self.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]]


def bare_interpreter(python, text):
    """Seconds from the start of the interpreter to the first line."""
    begun = time.time()
    answer = subprocess.run([python, "-c", text], capture_output=True, text=True, check=True).stdout
    return float(re.search(r"first ([0-9.]+)", answer).group(1)) - begun


def interpreter_of(framework):
    """Outside of runs the environment's own python works on its own packages, too."""
    for about in ENVIRONMENTS.glob("*/environment.json"):
        known = json.loads(about.read_text())
        if known.get("recipe") == framework and (about.parent / "tree/bin/python3").exists():
            return about.parent / "tree/bin/python3"
    return Path("/usr/bin/python3")


def p50(seconds):
    return f"{statistics.median(seconds) * 1000:.1f} ms (min {min(seconds) * 1000:.1f})"


def run(server, report, count=15):
    jobs = Jobs(server)
    jobs.run(FIRST_LINE, PLAIN)  # builds what is missing
    created, started, bare = [], [], []
    for _ in range(count):
        bare.append(bare_interpreter(interpreter_of("python"), FIRST_LINE))
        from_create, from_exec = jobs.run(FIRST_LINE, PLAIN)
        created.append(from_create)
        started.append(from_exec)
    report("bare interpreter to the first line, p50", p50(bare))
    report("script job, runner's first instruction to the first line", p50(started))
    report("  on top of the bare interpreter", f"{(statistics.median(started) - statistics.median(bare)) * 1000:.1f} ms", "aim 20 ms")
    report("CreateTrainingJob sent to the first line", p50(created))

    wanted = f"tabulate=={'0.9.0'}\n"
    jobs.run(FIRST_LINE, PLAIN, wanted)
    again = [jobs.run(FIRST_LINE, PLAIN, wanted)[0] for _ in range(5)]
    report("the same with a requirements.txt seen before (no install)", p50(again))

    jobs.run(AFTER_TORCH, PYTORCH)
    cold = [jobs.run(AFTER_TORCH, PYTORCH)[0] for _ in range(3)]
    jobs.run(AFTER_TORCH, PYTORCH, keep_alive=600)
    warm = []
    for _ in range(7):
        time.sleep(4)  # the next interpreter imports meanwhile
        warm.append(jobs.run(AFTER_TORCH, PYTORCH, keep_alive=600)[0])
    report("CreateTrainingJob to the line after `import torch`, cold", p50(cold))
    report("  in a warm pool", p50(warm), "aim 100 ms")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--jobs", type=int, default=15)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="millwright-bench-") as folder:
        server = Server(Path(folder) / "data").start()
        try:
            run(server, lambda name, value, aim="": print(f"  {name:<62} {value:<26} {aim}", flush=True), chosen.jobs)
        finally:
            server.end_everything()


if __name__ == "__main__":
    main()
