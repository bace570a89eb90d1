"""Data and algorithms: File mode of 10 GB, text to matrix, PCA and XGBoost, each against the usual library in turns."""
import json
import os
import shutil
import subprocess
import time

import peers
from bench_control import job_request
from bench_jobs import PYTHON_IMAGE, wait_for

MICRO_BENCHMARKS = peers.ROOT / "build/bench/bin/algorithms_common_bench"


def run(server, figures, rounds, folder, bucket, programs):
    """`programs`: the folder of millwright-algorithms."""
    file_mode(server, figures, bucket)
    readers(figures, rounds, folder)
    pca(figures, rounds, folder, programs / "millwright-algorithms")
    xgboost(figures, rounds, folder, programs / "millwright-algorithms")


def file_mode(server, figures, bucket, objects=10, size=1_000_000_000):
    figures.section("File mode", "What SageMaker downloads is linked here: the time from the end of the queue to the program's first instruction of a "
                    "job with a channel of 10 GB in ten objects, less that of a job without a channel.")
    free = os.statvfs(server.folder)
    if free.f_bavail * free.f_frsize < 3 * objects * size // 2:
        figures.add("10 GB visible in File mode", "not measured: too little room on the disk")
        return
    s3 = server.client("s3", read_timeout=600)
    piece = os.urandom(1 << 20) * 64
    for number in range(objects):
        upload(s3, bucket, f"large/{number}", piece, size)
    sm = server.client("sagemaker")
    found = {"without": [], "with": []}
    for turn in range(8):
        for kind in found:
            name = f"file-{kind}-{turn}-{time.time_ns()}"
            request = job_request(server.account, bucket, name)
            request["AlgorithmSpecification"] = {"TrainingImage": PYTHON_IMAGE, "TrainingInputMode": "File",
                                                 "ContainerEntrypoint": ["/bin/true"]}
            del request["HyperParameters"]
            request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://{bucket}/large/"
            if kind == "without":
                del request["InputDataConfig"]
            sent = time.time()
            sm.create_training_job(**request)
            found[kind].append((wait_for(sm, name)["TrainingStartTime"].timestamp() - sent) * 1000)
    seen = min(found["with"]) - min(found["without"])
    figures.add("10 GB visible in File mode", "below the scatter of a start (1 ms)" if seen < 1 else f"{seen:.1f} ms", f"50 ms, {'reached' if seen <= 50 else 'missed'}")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"large/{number}"} for number in range(objects)]})


def upload(s3, bucket, key, piece, size):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts, sent = [], 0
    while sent < size:
        body = piece[:min(len(piece), size - sent)]
        number = len(parts) + 1
        etag = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body)["ETag"]
        parts.append({"ETag": etag, "PartNumber": number})
        sent += len(body)
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})


READ_PEERS = """
import json, sys, time
import numpy, pandas, xgboost
path, rounds = sys.argv[1], int(sys.argv[2])
found = {"pandas": [], "xgboost": []}
for _ in range(rounds):
    start = time.perf_counter()
    pandas.read_csv(path, header=None, dtype=numpy.float32).to_numpy()
    found["pandas"].append(time.perf_counter() - start)
    start = time.perf_counter()
    xgboost.DMatrix(path + "?format=csv&label_column=0")
    found["xgboost"].append(time.perf_counter() - start)
print(json.dumps(found))
"""


def readers(figures, rounds, folder):
    figures.section("Text to matrix", "A CSV file of 100,000 x 51 numbers (about 46 MB), on two threads, against pandas' C engine and XGBoost's own loader.")
    path = write_csv(folder / "rows.csv")
    size = path.stat().st_size
    ours, theirs = [], {"pandas": [], "xgboost": []}
    for _ in range(rounds):
        for name, seconds in ask_python(READ_PEERS, path, 1).items():
            theirs[name] += seconds
        ours.append(micro_rates())
    csv = max(entry["read_input/csv/2"] for entry in ours)
    rates = {name: size / min(seconds) / 1e6 for name, seconds in theirs.items()}
    figures.add("CSV: Millwright, pandas, XGBoost's loader", f"{csv:.0f}, {rates['pandas']:.0f}, {rates['xgboost']:.0f} MB/s")
    figures.ratio("  Millwright to pandas", csv, rates["pandas"], 10,
                  "by the profile the digits: parsing numbers and finding their ends, on two threads. More processors bring more")
    figures.ratio("  Millwright to XGBoost's loader", csv, rates["xgboost"], 5)
    records = max(entry["stream_records/1"] for entry in ours) / 1000
    figures.add("RecordIO-protobuf from a file, one thread", f"{records:.1f} GB/s", f"10 GB/s, {'reached' if records >= 10 else 'missed'}",
                "" if records >= 10 else "by the profile the kernel's mapping of the file, and for each record of 232 bytes a comparison and a copy")


def write_csv(path):
    subprocess.run([peers.PYTHON, "-c", "import numpy as np, sys\nr = np.random.RandomState(1)\nx = r.randn(100000, 50)\n"
                    "y = (x[:, 0] + x[:, 1] * x[:, 2] + r.randn(100000) > 0).astype(int)\n"
                    "np.savetxt(sys.argv[1], np.column_stack([y, x]), delimiter=',', fmt='%.6f')", path], check=True)
    return path


def ask_python(program, *arguments, packages=None):
    """What a program of the peers' Python prints as JSON in its last line. `packages`: a folder that is looked into first."""
    done = subprocess.run([peers.PYTHON, "-W", "ignore", "-c", program, *map(str, arguments)], check=True, capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(packages or "")})
    return json.loads(done.stdout.splitlines()[-1])


def micro_rates():
    """Megabytes per second of each micro-benchmark."""
    done = subprocess.run([MICRO_BENCHMARKS, "--benchmark_format=json", "--benchmark_min_time=0.3",
                           "--benchmark_filter=csv/2|stream_records/1"], check=True, capture_output=True, text=True)
    return {entry["name"].removesuffix("/real_time"): entry["bytes_per_second"] / 1e6 for entry in json.loads(done.stdout)["benchmarks"]}


def train(program, folder, algorithm, hyperparameters, channels):
    """One run of a built-in algorithm as a job would start it, without the job. Seconds, process start included."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("input/config", "input/data", "model", "output"):
        (folder / part).mkdir(parents=True)
    channel_config = {}
    for name, (path, content_type) in channels.items():
        (folder / "input/data" / name).mkdir()
        os.link(path, folder / "input/data" / name / path.name)
        channel_config[name] = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None",
                                "ContentType": content_type}
    for name, content in {"hyperparameters": hyperparameters, "inputdataconfig": channel_config, "resourceconfig": {
            "current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0", "current_instance_type": "ml.m5.large",
            "current_group_name": "homogeneousCluster", "instance_groups": [{"instance_group_name": "homogeneousCluster",
                                                                             "instance_type": "ml.m5.large", "hosts": ["algo-1"]}]}}.items():
        (folder / "input/config" / f"{name}.json").write_text(json.dumps(content))
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(folder), "MILLWRIGHT_ALGORITHM": algorithm, "MILLWRIGHT_ALGORITHM_VERSION": "1.7-1",
                   "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    start = time.perf_counter()
    subprocess.run([program, "train"], check=True, capture_output=True, env=environment)
    seconds = time.perf_counter() - start
    assert any((folder / "model").iterdir())
    return seconds


WRITE_RECORDS = """
import struct, sys
import numpy as np
def field(number, content):
    size, length = len(content), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
rows, columns = 50000, 784
x = (np.random.RandomState(2).randn(rows, 50) @ np.random.RandomState(3).randn(50, columns) +
     np.random.RandomState(4).randn(rows, columns)).astype(np.float32)
np.save(sys.argv[1] + ".npy", x)
record = field(1, field(1, b"values") + field(2, field(2, field(1, bytes(4 * columns)))))
head, tail = record[:len(record) - 4 * columns], bytes(-len(record) % 4)
head = struct.pack("<II", 0xced7230a, len(record)) + head
with open(sys.argv[1], "wb") as out:
    for row in x:
        out.write(head + row.tobytes() + tail)
print("{}")
"""

PCA_PEERS = """
import json, sys, time
import numpy as np
if sys.argv[2] == "intelex":
    from sklearnex import patch_sklearn
    patch_sklearn(verbose=False)
from sklearn.decomposition import PCA
solvers = {"sklearn": ["full", "randomized"], "intelex": ["full"]}[sys.argv[2]]
found = {}
for solver in solvers:
    start = time.perf_counter()
    PCA(n_components=50, svd_solver=solver, random_state=0).fit(np.load(sys.argv[1] + ".npy"))
    found[f"{sys.argv[2]} {solver}"] = [time.perf_counter() - start]
print(json.dumps(found))
"""


def pca(figures, rounds, folder, program):
    figures.section("PCA", "50,000 x 784, 50 components: the whole program, from its start over reading RecordIO to the written model, against loading a .npy file and "
                    "fitting in a Python that is up already. Two threads each.")
    path = folder / "rows.recordio"
    ask_python(WRITE_RECORDS, path)
    hyperparameters = {"feature_dim": "784", "num_components": "50", "mini_batch_size": "1000"}
    ours, theirs = [], {}
    for _ in range(rounds):
        ours.append(train(program, folder / "pca", "pca", hyperparameters, {"train": (path, "application/x-recordio-protobuf")}))
        for peer in ("sklearn", "intelex"):
            try:
                for name, seconds in ask_python(PCA_PEERS, path, peer).items():
                    theirs[name] = theirs.get(name, []) + seconds
            except subprocess.CalledProcessError as failure:
                if peer == "sklearn":
                    raise SystemExit(failure.stderr)
    figures.add("Millwright", f"{min(ours):.2f} s")
    for name, aim in {"sklearn full": 10, "sklearn randomized": 2.5, "intelex full": 1}.items():
        if name in theirs:
            figures.add(name.replace("sklearn", "scikit-learn,").replace("intelex", "scikit-learn-intelex,"), f"{min(theirs[name]):.2f} s")
            figures.ratio("  Millwright is faster", min(theirs[name]), min(ours), aim,
                          "reading 157 MB of records and the products of the covariance share the two processors; the peer gets its matrix from memory")
        else:
            figures.add(name, "not measured: it does not run here")


XGBOOST_PEERS = """
import json, os, sys, time
import numpy as np, pandas, xgboost
path, rounds = sys.argv[1], int(sys.argv[2])
parameters = {"objective": "binary:logistic", "max_depth": 6, "tree_method": "hist", "nthread": 2, "max_bin": 256}
def train(data):
    # With the metric of the training data in each round, as SageMaker's container prints it.
    xgboost.train(parameters, data, rounds, evals=[(data, "train")], verbose_eval=False).save_model(path + ".json")
start = time.perf_counter()
train(xgboost.DMatrix(path + "?format=csv&label_column=0"))
own = time.perf_counter() - start
start = time.perf_counter()
rows = pandas.read_csv(path, header=None, dtype=np.float32).to_numpy()
train(xgboost.DMatrix(rows[:, 1:], rows[:, 0]))
name = "xgboost " + xgboost.__version__ + " from Python, "
print(json.dumps({name + "own loader": [own], name + "pandas": [time.perf_counter() - start]}))
"""


def xgboost(figures, rounds, folder, program, trees=100):
    figures.section("XGBoost", "100 rounds of depth 6 with hist on the CSV file above, the metric of the training data in each round: the whole program, from "
                    "its start to the written model, against packages in a Python that is up already: the release of the library that Debian has, which "
                    "Millwright is built with, and the newest. Two threads each.")
    hyperparameters = {"num_round": str(trees), "objective": "binary:logistic", "max_depth": "6", "tree_method": "hist"}
    ours, theirs = [], {}
    for _ in range(rounds):
        ours.append(train(program, folder / "xgboost", "xgboost", hyperparameters, {"train": (folder / "rows.csv", "text/csv")}))
        for packages in (peers.XGBOOST_OF_DEBIAN, None):
            for name, seconds in ask_python(XGBOOST_PEERS, folder / "rows.csv", trees, packages=packages).items():
                theirs[name] = theirs.get(name, []) + seconds
    figures.add("Millwright", f"{min(ours):.2f} s")
    for name, seconds in theirs.items():
        figures.add(name, f"{min(seconds):.2f} s")
        figures.ratio("  Millwright is faster", min(seconds), min(ours), 1,
                      "the library: Debian 12 has 1.7.4, whose rounds take longer than those of newer releases. Newer packages bring it")
