"""How data comes to a job: File, FastFile and Pipe channels, file systems; and what it uploads while it runs."""
import gzip
import io
import json
import os
import struct
import tarfile
import textwrap
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from server import Server

# What scripts begin with. `report` goes to output.tar.gz, one file per host.
PRELUDE = textwrap.dedent("""
    import hashlib, json, os, socket, struct, time
    DATA = "/opt/ml/input/data/"
    report = {"host": socket.gethostname(), "data": sorted(os.listdir(DATA)),
              "config": json.load(open("/opt/ml/input/config/inputdataconfig.json"))}

    def opened(channel, epoch):
        path = f"{DATA}{channel}_{epoch}"
        deadline = time.monotonic() + 90
        while not os.path.exists(path):
            assert time.monotonic() < deadline, path
            time.sleep(0.001)
        return open(path, "rb", buffering=0)

    def epoch(channel, number):
        with opened(channel, number) as pipe:
            return b"".join(iter(lambda: pipe.read(1 << 20), b""))

    def records(data):
        found, at = [], 0
        while at < len(data):
            magic, length = struct.unpack_from("<II", data, at)
            assert magic == 0xCED7230A and length < 1 << 29
            found.append(data[at + 8:at + 8 + length].decode())
            at += 8 + (length + 3) // 4 * 4
        return found

    def done():
        with open("/opt/ml/output/data/" + report["host"] + ".json", "w") as out:
            json.dump(report, out)
    """)


def s3_channel(name, uri, **changes):
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    source.update(changes.pop("source", {}))
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **changes}


@pytest.fixture
def prefix(s3, bucket, unique):
    """Puts objects {name: bytes} below a prefix of this test and returns its URI."""

    def put(objects, folder="data"):
        for name, body in objects.items():
            s3.put_object(Bucket=bucket, Key=f"{unique}/{folder}/{name}", Body=body)
        return f"s3://{bucket}/{unique}/{folder}/"

    return put


@pytest.fixture
def run(sm, s3, bucket, script_request, finish, unique):
    """Runs a script over channels; returns the reports of the hosts, by name."""

    def go(script, channels, hosts=1, mode="File", status="Completed", **changes):
        request = script_request({"train.py": PRELUDE + textwrap.dedent(script) + "\ndone()\n"}, InputDataConfig=channels,
                                 **changes)
        request["AlgorithmSpecification"]["TrainingInputMode"] = mode
        request["ResourceConfig"]["InstanceCount"] = hosts
        sm.create_training_job(**request)
        job = finish(unique, 300)
        assert job["TrainingJobStatus"] == status, job.get("FailureReason")
        if status != "Completed":
            return job
        packed = s3.get_object(Bucket=bucket, Key=f"output/{unique}/output/output.tar.gz")["Body"].read()
        archive = tarfile.open(fileobj=io.BytesIO(packed))
        return {name.removesuffix(".json"): json.load(archive.extractfile(name)) for name in archive.getnames()}

    return go


def test_every_channel_has_its_own_mode(prefix, run):
    large = os.urandom(3_000_000)
    uri = prefix({"a.txt": b"first", "sub/large.bin": large})
    report = run("""
        with open(DATA + "file/a.txt", "a") as out:
            out.write(" and more")
        report["file"] = open(DATA + "file/a.txt").read()
        report["seen"] = sorted(os.path.relpath(os.path.join(f, n), DATA + "fast") for f, _, ns in os.walk(DATA + "fast") for n in ns)
        report["refused"] = []
        for act in (lambda: open(DATA + "fast/a.txt", "a"), lambda: open(DATA + "fast/new", "w"),
                    lambda: os.unlink(DATA + "fast/a.txt"), lambda: os.chmod(DATA + "fast/a.txt", 0o777)):
            try:
                act()
            except OSError as error:
                report["refused"].append(error.errno)
        with open(DATA + "fast/sub/large.bin", "rb") as large:
            report["pieces"] = []
            for at in (2_999_990, 0, 1_234_567):
                large.seek(at)
                report["pieces"].append(large.read(10).hex())
        report["pipe"] = hashlib.sha256(epoch("pipe", 0)).hexdigest()
        report["manifest"] = open(DATA + "pipe-manifest").read().splitlines()
        """, [s3_channel("file", uri), s3_channel("fast", uri, InputMode="FastFile"),
              s3_channel("pipe", uri, InputMode="Pipe", ContentType="x/y")])["algo-1"]
    import hashlib
    assert report["file"] == "first and more"
    assert report["seen"] == ["a.txt", "sub/large.bin"]
    assert report["refused"] == [30] * 4  # EROFS
    assert report["pieces"] == [large[at:at + 10].hex() for at in (2_999_990, 0, 1_234_567)]
    assert report["pipe"] == hashlib.sha256(b"first" + large).hexdigest()
    assert report["manifest"] == [uri, uri + "a.txt", uri + "sub/large.bin"]
    common = {"S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    assert report["config"] == {"file": {"TrainingInputMode": "File", **common},
                                "fast": {"TrainingInputMode": "FastFile", **common},
                                "pipe": {"TrainingInputMode": "Pipe", "ContentType": "x/y", **common}}
    assert report["data"] == ["fast", "fast-manifest", "file", "file-manifest", "pipe-manifest", "pipe_0"]


def test_pipe_has_an_epoch_per_fifo(prefix, run):
    objects = {f"{i:02}": os.urandom(400_000) for i in range(5)}
    report = run("""
        report["there"] = os.path.exists(DATA + "train_1")
        first = opened("train", 0)
        begin = first.read(10)
        while not os.path.exists(DATA + "train_1"):
            time.sleep(0.001)
        first.close()
        report["epochs"] = [hashlib.sha256(epoch("train", n)).hexdigest() for n in (1, 2, 3)]
        report["begin"] = begin.hex()
        """, [s3_channel("train", prefix(objects))], mode="Pipe")["algo-1"]
    import hashlib
    whole = b"".join(objects.values())
    assert not report["there"]
    assert report["begin"] == whole[:10].hex()
    assert report["epochs"] == [hashlib.sha256(whole).hexdigest()] * 3


def test_pipe_unpacks_and_wraps(prefix, run):
    plain = {"a": b"one", "b": b"", "c": b"three"}
    packed = {name: gzip.compress(body) + gzip.compress(b"!") for name, body in plain.items()}
    report = run("""
        for channel in ("packed", "both"):
            report[channel] = records(epoch(channel, 0)) if channel == "both" else epoch(channel, 0).decode()
        report["wrapped"] = records(epoch("wrapped", 0))
        """, [s3_channel("packed", prefix(packed, "gz"), CompressionType="Gzip"),
              s3_channel("wrapped", prefix(plain, "plain"), RecordWrapperType="RecordIO"),
              s3_channel("both", prefix(packed, "gz"), CompressionType="Gzip", RecordWrapperType="RecordIO")],
        mode="Pipe")["algo-1"]
    assert report["packed"] == "one!!three!"
    assert report["wrapped"] == ["one", "", "three"]
    assert report["both"] == ["one!", "!", "three!"]
    assert report["config"]["both"]["RecordWrapperType"] == "RecordIO"


def test_an_augmented_manifest_delivers_its_attributes(s3, bucket, prefix, run, unique):
    images = prefix({"1.png": b"PNG one", "2.png": b"PNG two"}, "images")
    lines = [{"id": 7, "source-ref": images + "1.png", "class": 1.50, "box": {"w": [1, 2]}, "who": "Jo \u00e4"},
             {"source-ref": images + "2.png", "box": None, "class": "x", "who": ""}]
    manifest = prefix({"list.manifest": "\n".join(map(json.dumps, lines)).encode()}, "list") + "list.manifest"
    source = {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["class", "source-ref", "box", "who"]}
    report = run("""
        report["pairs"] = records(epoch("pairs", 0))
        report["raw"] = epoch("raw", 0).decode()
        """, [s3_channel("pairs", manifest, source=source, RecordWrapperType="RecordIO"),
              s3_channel("raw", manifest, source={**source, "AttributeNames": ["source-ref", "class"]})],
        mode="Pipe")["algo-1"]
    assert report["pairs"] == ["1.5", "PNG one", '{"w": [1, 2]}', "Jo \u00e4", "x", "PNG two", "null", ""]
    assert report["raw"] == "PNG one1.5PNG twox"


@pytest.mark.parametrize("mode, hosts", [("File", 2), ("File", 3), ("FastFile", 3), ("Pipe", 2), ("Pipe", 3)])
def test_shards_are_dealt_out_by_key(prefix, run, mode, hosts):
    many = prefix({f"{i:02}": f"{i:02} ".encode() for i in range(20)}, "many")
    one = prefix({"only": b"only "}, "one")
    sharded = {"S3DataDistributionType": "ShardedByS3Key"}
    reports = run("""
        for channel in ("many", "one"):
            if os.path.isdir(DATA + channel):
                names = sorted(os.listdir(DATA + channel))
                report[channel] = "".join(open(DATA + channel + "/" + name).read() for name in names).split()
            else:
                report[channel] = epoch(channel, 0).decode().split()
            report[channel + "-manifest"] = len(open(DATA + channel + "-manifest").readlines())
        """, [s3_channel("many", many, source=sharded), s3_channel("one", one, source=sharded)], hosts=hosts, mode=mode)
    for rank in range(hosts):
        report = reports[f"algo-{rank + 1}"]
        assert report["many"] == [f"{i:02}" for i in range(rank, 20, hosts)]
        assert report["one"] == (["only"] if rank == 0 else [])
        assert report["many-manifest"] == 21 and report["one-manifest"] == 2
        assert report["config"]["many"]["S3DistributionType"] == "ShardedByS3Key"


def test_shuffling_is_new_each_epoch_and_the_same_on_all_hosts(prefix, run):
    uri = prefix({f"{i:02}": f"{i:02} ".encode() for i in range(30)})
    shuffled = {"InputMode": "Pipe", "ShuffleConfig": {"Seed": 12345}}
    sharded = {"source": {"S3DataDistributionType": "ShardedByS3Key"}}
    reports = run("""
        for channel in ("same", "shards"):
            report[channel] = [epoch(channel, n).decode().split() for n in (0, 1)]
        report["files"] = sorted(os.listdir(DATA + "files"))
        """, [s3_channel("same", uri, **shuffled), s3_channel("shards", uri, **shuffled, **sharded),
              s3_channel("files", uri, ShuffleConfig={"Seed": 1}, **sharded)], hosts=2)
    one, two = reports["algo-1"], reports["algo-2"]
    everything = [f"{i:02}" for i in range(30)]
    assert one["same"] == two["same"]
    assert one["same"][0] != one["same"][1] and one["same"][0] != everything
    for epoch in (0, 1):
        assert sorted(one["same"][epoch]) == everything
        assert sorted(one["shards"][epoch] + two["shards"][epoch]) == everything
        assert len(one["shards"][epoch]) == 15
    assert set(one["shards"][0]) != set(one["shards"][1])
    assert sorted(one["files"] + two["files"]) == everything and one["files"] != everything[::2]


def test_channels_of_instance_groups_are_on_their_hosts(sm, prefix, run):
    uri = prefix({"a": b"1", "b": b"2"})
    groups = [{"InstanceGroupName": "heads", "InstanceType": "ml.m5.large", "InstanceCount": 1},
              {"InstanceGroupName": "tails", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1}]
    request = dict(ResourceConfig={"InstanceGroups": groups, "VolumeSizeInGB": 5})

    def channel(name, group, **changes):
        return s3_channel(name, uri, source={"InstanceGroupNames": [group], "S3DataDistributionType": "ShardedByS3Key"},
                          **changes)

    # `run` sets an InstanceCount, which groups exclude.
    class Groups(dict):
        def __setitem__(self, key, value):
            pass

    request["ResourceConfig"] = Groups(request["ResourceConfig"])
    reports = run("""
        report["resources"] = json.load(open("/opt/ml/input/config/resourceconfig.json"))
        if "fed" in report["config"]:
            report["fed"] = epoch("fed", 0).decode()
        """, [channel("files", "heads"), channel("fed", "tails", InputMode="Pipe")], **request)
    assert reports["algo-1"]["data"] == ["files", "files-manifest"]
    assert reports["algo-2"]["data"] == ["fed-manifest", "fed_0"]
    assert reports["algo-2"]["fed"] == "12"  # the only host of the group has all shards
    assert set(reports["algo-1"]["config"]) == {"files"}
    assert reports["algo-2"]["resources"]["current_group_name"] == "tails"
    assert reports["algo-2"]["resources"]["current_instance_type"] == "ml.c5.xlarge"


def feeders_of(folder):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        if "millwright-feeder" in command and str(folder) in command:
            found.append(int(entry.name))
    return found


def test_a_job_that_never_reads_ends_as_any_other(server, prefix, run):
    assert run("", [s3_channel("train", prefix({"a": os.urandom(2_000_000)}))], mode="Pipe")["algo-1"]["data"] == [
        "train-manifest", "train_0"]
    deadline = time.monotonic() + 60
    while feeders_of(server.folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not feeders_of(server.folder)


def test_damaged_data_fails_a_job_that_does_not_notice(prefix, run):
    uri = prefix({"a": gzip.compress(b"fine"), "b": gzip.compress(os.urandom(100_000))[:50_000]})
    job = run("""
        report["size"] = len(epoch("train", 0))
        """, [s3_channel("train", uri, CompressionType="Gzip")], mode="Pipe", status="Failed")
    assert job["FailureReason"] == f"ClientError: Unable to decompress {uri}b: it is cut off."


def test_a_hostile_job_gains_nothing_from_its_feeder(server, prefix, run):
    """The feeder runs outside of the job's namespaces and makes FIFOs in a folder that the job may change."""
    precious = server.folder.parent / "precious"
    precious.write_text("untouched")
    os.mkfifo(server.folder.parent / "fifo")
    run(f"""
        first = opened("train", 0)
        while not os.path.exists(DATA + "train_1"):
            time.sleep(0.001)
        os.unlink(DATA + "train_1")
        os.symlink("{precious}", DATA + "train_1")
        os.symlink("{precious}", DATA + "train_2")
        os.symlink("{precious.parent}/fifo", DATA + "train_3")
        first.read(1)
        first.close()
        os.rename("/opt/ml/input", "/opt/ml/moved")
        os.symlink("{precious.parent}", "/opt/ml/input")
        time.sleep(0.3)
        """, [s3_channel("train", prefix({"a": os.urandom(2_000_000)}))], mode="Pipe")
    assert precious.read_text() == "untouched"
    assert sorted(p.name for p in precious.parent.iterdir() if p.name.startswith("train_")) == []


@pytest.mark.parametrize("text, word", [
    (b"", "no lines"),
    (b"[]", "is not a JSON object"),
    (b'{"image-ref": "s3://BUCKET/none", "label": 1}', "does not exist"),
    (b'{"image-ref": "/etc/passwd", "label": 1}', "no S3 URI"),
    (b'{"image-ref": "s3://other-bucket-of-somebody/x", "label": 1}', "does not exist"),
    (b'{"label": 1}', "has no attribute 'image-ref'"),
])
def test_hostile_manifests_fail_the_job_with_a_reason(bucket, prefix, run, text, word):
    uri = prefix({"list": text.replace(b"BUCKET", bucket.encode())}, "list") + "list"
    source = {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["image-ref", "label"]}
    job = run("", [s3_channel("train", uri, source=source)], mode="Pipe", status="Failed")
    assert job["FailureReason"].startswith("ClientError: ") and word in job["FailureReason"], job["FailureReason"]


@pytest.mark.parametrize("changes, word", [
    (dict(InputMode="FastFile", source={"S3DataType": "ManifestFile"}), "S3Prefix only"),
    (dict(source={"S3DataType": "AugmentedManifestFile", "AttributeNames": ["a"]}), "Pipe only"),
    (dict(InputMode="Pipe", source={"S3DataType": "AugmentedManifestFile"}), "needs AttributeNames"),
    (dict(CompressionType="Gzip"), "Pipe only"),
    (dict(InputMode="FastFile", RecordWrapperType="RecordIO"), "Pipe only"),
    (dict(source={"InstanceGroupNames": ["nobody"]}), "instance group 'nobody'"),
])
def test_contradictions_are_refused(sm, script_request, changes, word):
    request = script_request({"train.py": ""}, InputDataConfig=[s3_channel("train", "s3://bucket/x", **changes)])
    with pytest.raises(ClientError) as refused:
        sm.create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert word in refused.value.response["Error"]["Message"]


def test_live_outputs_are_uploaded_while_the_job_runs(sm, s3, bucket, script_request, finish, unique, shared_folder):
    script = PRELUDE + textwrap.dedent("""
        for folder in ("/opt/ml/output/tensors/events", "/tmp/board", "/opt/ml/output/profiler/framework"):
            os.makedirs(folder, exist_ok=True)
            open(folder + "/" + report["host"], "w").write(folder)
        for name in ("debughookconfig", "tensorboardoutputconfig", "profilerconfig"):
            report[name] = json.load(open(f"/opt/ml/input/config/{name}.json"))
        while not os.path.exists(DATA + "gate/NAME-may-end"):
            time.sleep(0.05)
        open("/tmp/board/late", "w").write("at the end")
        done()
        """.replace("NAME", unique))
    hook = {"S3OutputPath": f"s3://{bucket}/live", "HookParameters": {"save_interval": "5"},
            "CollectionConfigurations": [{"CollectionName": "losses", "CollectionParameters": {"include_regex": "loss"}}]}
    sm.create_training_job(**script_request(
        {"train.py": script}, DebugHookConfig=hook, InputDataConfig=[file_system("gate", "/", "ro")],
        TensorBoardOutputConfig={"S3OutputPath": f"s3://{bucket}/live/", "LocalPath": "/tmp/board"},
        ProfilerConfig={"S3OutputPath": f"s3://{bucket}/live", "ProfilingParameters": {"a": "b"}}))

    def keys():
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"live/{unique}/").get("Contents", [])
        return {item["Key"].removeprefix(f"live/{unique}/") for item in listed}

    early = {"debug-output/events/algo-1", "tensorboard-output/algo-1", "profiler-output/framework/algo-1"}
    deadline = time.monotonic() + 300
    while not early <= keys():
        assert time.monotonic() < deadline, keys()
        time.sleep(0.1)
    assert sm.describe_training_job(TrainingJobName=unique)["TrainingJobStatus"] == "InProgress"
    (shared_folder / f"{unique}-may-end").touch()
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert keys() == early | {"tensorboard-output/late"}
    packed = s3.get_object(Bucket=bucket, Key=f"output/{unique}/output/output.tar.gz")["Body"].read()
    report = json.load(tarfile.open(fileobj=io.BytesIO(packed)).extractfile("algo-1.json"))
    assert report["debughookconfig"] == {**hook, "LocalPath": "/opt/ml/output/tensors"}
    assert report["tensorboardoutputconfig"] == {"S3OutputPath": f"s3://{bucket}/live/", "LocalPath": "/tmp/board"}
    assert report["profilerconfig"]["ProfilingParameters"] == {"a": "b"}


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("file-system")
    (folder / "inner/deep").mkdir(parents=True)
    (folder / "inner/data.txt").write_text("from the file system")
    (folder / "inner/out").symlink_to("/etc")
    (folder / "escape").symlink_to("/etc")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, shared_folder):
    """As that of all tests, but with a file system."""
    running = Server(tmp_path_factory.mktemp("modes") / "data",
                     config=f'[file_systems]\nfs-0123456789abcdef0 = "{shared_folder}"\n').start()
    yield running
    running.end_everything()


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture(scope="module")
def sm(server):
    return server.client("sagemaker")


@pytest.fixture(scope="module")
def bucket(s3):
    s3.create_bucket(Bucket="modes", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return "modes"


@pytest.fixture(scope="module")
def training_data():
    return "s3://modes/none/"


def file_system(name, directory, access):
    return {"ChannelName": name, "DataSource": {"FileSystemDataSource": {
        "FileSystemId": "fs-0123456789abcdef0", "FileSystemType": "EFS", "DirectoryPath": directory,
        "FileSystemAccessMode": access}}}


def test_file_systems_are_folders_of_the_machine(shared_folder, run):
    report = run("""
        report["read"] = open(DATA + "fixed/data.txt").read()
        report["listed"] = sorted(os.listdir(DATA + "fixed"))
        try:
            open(DATA + "fixed/new", "w")
        except OSError as error:
            report["errno"] = error.errno
        open(DATA + "open/inner/deep/result", "w").write("written by the job")
        # A link that leads out leads to what the job has there.
        report["same"] = sorted(os.listdir(DATA + "fixed/out")) == sorted(os.listdir("/etc"))
        """, [file_system("fixed", "/inner", "ro"), file_system("open", "/", "rw")])["algo-1"]
    assert report["read"] == "from the file system" and report["listed"] == ["data.txt", "deep", "out"]
    assert report["errno"] == 30 and report["same"]
    assert (shared_folder / "inner/deep/result").read_text() == "written by the job"
    assert report["config"]["fixed"] == {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated",
                                         "RecordWrapperType": "None"}
    assert report["data"] == ["fixed", "open"]


@pytest.mark.parametrize("directory", ["/escape", "/../..", "/missing", "/inner/data.txt", "/inner/out/ssl"])
def test_file_systems_are_not_left(run, shared_folder, directory):
    if directory == "/../..":  # the root of the file system is its own parent
        assert "inner" in run('report["top"] = os.listdir(DATA + "x")', [file_system("x", directory, "ro")])["algo-1"]["top"]
        return
    job = run("", [file_system("x", directory, "ro")], status="Failed")
    assert job["FailureReason"].startswith("ClientError: The DirectoryPath"), job["FailureReason"]


def test_file_systems_that_are_not_configured_are_refused(sm, script_request):
    channel = file_system("x", "/", "ro")
    channel["DataSource"]["FileSystemDataSource"]["FileSystemId"] = "fs-00000000000000000"
    with pytest.raises(ClientError, match="not configured"):
        sm.create_training_job(**script_request({"train.py": ""}, InputDataConfig=[channel]))
    with pytest.raises(ClientError, match="File only"):
        sm.create_training_job(**script_request({"train.py": ""},
                                                InputDataConfig=[{**file_system("x", "/", "ro"), "InputMode": "Pipe"}]))


def test_a_pipe_flows_on_while_the_server_is_dead(sm, s3, server, bucket, prefix, script_request, finish, unique):
    body = os.urandom(8_000_000)
    script = PRELUDE + textwrap.dedent("""
        digest = hashlib.sha256()
        with opened("train", 0) as pipe:
            for piece in iter(lambda: pipe.read(50_000), b""):
                digest.update(piece)
                time.sleep(0.01)
        report["sha"], report["next"] = digest.hexdigest(), hashlib.sha256(epoch("train", 1)).hexdigest()
        done()
        """)
    request = script_request({"train.py": script}, InputDataConfig=[s3_channel("train", prefix({"a": body}))])
    request["AlgorithmSpecification"]["TrainingInputMode"] = "Pipe"
    sm.create_training_job(**request)
    deadline = time.monotonic() + 300
    while sm.describe_training_job(TrainingJobName=unique)["SecondaryStatus"] != "Training":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.kill()
    time.sleep(0.5)
    server.start()
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    packed = s3.get_object(Bucket=bucket, Key=f"output/{unique}/output/output.tar.gz")["Body"].read()
    report = json.load(tarfile.open(fileobj=io.BytesIO(packed)).extractfile("algo-1.json"))
    import hashlib
    assert report["sha"] == report["next"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("mode", ["Pipe", "FastFile"])
def test_built_in_algorithms_train_from_every_mode(sm, prefix, training_request, finish, unique, mode):
    from random import Random
    random = Random(7)
    rows = [[random.random() for _ in range(3)] for _ in range(300)]
    uri = prefix({f"{part}.csv": "".join(f"{int(a + b > 1)},{a},{b},{c}\n" for a, b, c in rows).encode() for part in "ab"})
    request = training_request(InputDataConfig=[s3_channel("train", uri, ContentType="text/csv", InputMode=mode)])
    sm.create_training_job(**request)
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]}["train:logloss"] < 0.3
