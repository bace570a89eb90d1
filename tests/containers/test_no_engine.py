"""Images without a container engine: imported from files and pushed, run by root's server and by an ordinary user's."""
import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "conformance"))
from engines import NoEngine, busybox_tar  # noqa: E402
from images import Image, compiled, digest_of, layer, push  # noqa: E402
from server import BIN, Server  # noqa: E402

USER = 64123  # nobody's
SMALL_FILES = 3000


def packed(tar):
    """A tar as a layer."""
    import gzip
    return gzip.compress(tar, 1, mtime=0), "sha256:" + hashlib.sha256(tar).hexdigest()


@pytest.fixture(scope="module")
def busybox():
    try:
        return packed(busybox_tar())
    except NoEngine as reason:
        pytest.skip(str(reason))


@pytest.fixture
def unique():
    return f"t-{uuid.uuid4().hex[:12]}"


class Place:
    def __init__(self, server):
        self.server, self.data = server, server.folder
        self.sm, self.logs = server.client("sagemaker"), server.client("logs")
        server.client("s3").create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})

    def command(self, *words):
        return subprocess.run([*self.server.prefix, BIN / "millwright", *words, "--data-dir", self.data], capture_output=True, text=True, timeout=120)

    def create(self, name, image, script=None, hosts=1):
        self.sm.create_training_job(
            TrainingJobName=name, RoleArn=f"arn:aws:iam::{self.server.account}:role/SageMakerRole",
            AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File",
                                    **({"ContainerEntrypoint": ["/bin/sh", "-c", script]} if script else {})},
            OutputDataConfig={"S3OutputPath": "s3://images/out"},
            ResourceConfig={"InstanceCount": hosts, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 600})

    def end(self, name):
        deadline = time.monotonic() + 240
        while True:
            job = self.sm.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                return job
            assert time.monotonic() < deadline, (job["SecondaryStatusTransitions"], self.server.log()[-3000:])
            time.sleep(0.02)

    def run(self, name, image, script=None, hosts=1):
        """What it wrote."""
        self.create(name, image, script, hosts)
        job = self.end(name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        return self.lines(name)

    def lines(self, name):
        group = "/aws/sagemaker/TrainingJobs"
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        return [event["message"] for stream in streams
                for event in self.logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)["events"]]

    def layers(self):
        """Places of unpacked layers by the digest of what they were unpacked from."""
        return {folder.name.removesuffix("-owners"): folder for folder in (self.data / "images/layers").iterdir()}


@contextlib.contextmanager
def serving(user):
    """As root, or as a user without any rights, who can do it where the machine permits user namespaces."""
    folder = Path(tempfile.mkdtemp(prefix="mw-images-"))
    prefix = []
    if user == "ordinary" and os.geteuid() == 0:
        os.chown(folder, USER, USER)
        prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    if user == "root" and os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user")
    if subprocess.run([*prefix, BIN / "millwright", "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("another user cannot run the programs where they lie")
    server = Server(folder / "server", config='[containers]\nengine = "none"\n[jobs]\nvcpus = 16\n')
    server.config = server.config.replace(server.config.splitlines()[1], f'folder = "{folder}/environments"')
    server.prefix = prefix
    if prefix:
        server.folder.mkdir()
        os.chown(server.folder, USER, USER)
    try:
        server.start()
        yield Place(server)
    finally:
        with contextlib.suppress(RuntimeError):
            server.end_everything()
        remove(folder)


def remove(folder):
    """What runs of a server that was ended still hold goes with their last process."""
    deadline = time.monotonic() + 30
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="module", params=["root", "ordinary"])
def place(request):
    with serving(request.param) as found:
        tier = found.command("doctor").stdout
        if "T1" not in tier:
            pytest.skip(f"this machine does not let a server without rights isolate jobs: {tier[-500:]}")
        yield found


def oci_archive(image, name, path):
    with tempfile.TemporaryDirectory() as folder:
        image.write_layout(Path(folder), name)
        with tarfile.open(path, "w") as archive:
            archive.add(folder, arcname=".")


def docker_archive(image, name, path):
    """As `docker save` wrote them before version 25: layers without compression in folders of their own."""
    import gzip
    members = {digest_of(image.config)[7:] + ".json": image.config}
    layers = []
    for blob in image.blobs:
        layers.append(f"{digest_of(blob)[7:]}/layer.tar")
        members[layers[-1]] = gzip.decompress(blob)
    members["manifest.json"] = json.dumps([{"Config": next(iter(members)), "RepoTags": [name], "Layers": layers}]).encode()
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member, content in members.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def skopeo_archive(kind):
    def write(image, name, path):
        if not shutil.which("skopeo"):
            pytest.skip("skopeo is not installed")
        with tempfile.TemporaryDirectory() as folder:
            image.write_layout(Path(folder), "x")
            subprocess.run(["skopeo", "copy", "--insecure-policy", "--quiet", f"oci:{folder}:x", f"{kind}:{path}:{name}"], check=True, timeout=60)
    return write


@pytest.mark.parametrize("write", [oci_archive, docker_archive, skopeo_archive("oci-archive"), skopeo_archive("docker-archive")],
                         ids=["oci", "docker", "skopeo-oci", "skopeo-docker"])
def test_an_image_from_a_file_trains(place, busybox, unique, write):
    name = f"team/{unique}:1"
    image = Image(busybox, layer({"hello.sh": f"echo of {unique} as $(id -u) in $PWD with $MINE\n".encode()}),
                  Entrypoint=["/bin/sh", "/hello.sh"], Env=["MINE=yes", "PATH=/bin"], WorkingDir="/work")
    path = place.data.parent / f"{unique}.tar"
    write(image, name, path)
    path.chmod(0o644)
    done = place.command("images", "import", path, name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(name)
    assert place.run(unique, name) == [f"of {unique} as 0 in /work with yes"]
    assert name in place.command("images", "list").stdout
    assert place.command("images", "remove", name).returncode == 0
    with pytest.raises(ClientError, match=f"there is no image {name}"):
        place.create(f"{unique}-2", name)
    path.unlink()


def test_what_engines_save_is_imported(place, engine, unique):
    path = place.data.parent / f"{unique}.tar"
    path.write_bytes(engine.call("GET", "/images/test-busybox/get"))
    done = place.command("images", "import", path, f"{unique}:saved")
    assert done.returncode == 0, done.stderr
    assert place.run(unique, f"{unique}:saved", f"echo saved by {engine.kind}") == [f"saved by {engine.kind}"]
    path.unlink()


def test_what_is_no_image_is_not_imported(place, tmp_path_factory):
    path = place.data.parent / "no-image.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(HERE / "images.py", arcname="a")
    path.chmod(0o644)
    done = place.command("images", "import", path, "x:1")
    assert done.returncode == 1 and "neither an OCI image layout nor" in done.stderr, done.stderr


def test_layers_are_unpacked_once_and_shared(place, busybox, unique):
    first = push(place.server, Image(busybox, layer({"which": b"first"}), Cmd=["/bin/cat", "/which"]), f"{unique}/first")
    second = push(place.server, Image(busybox, layer({"which": b"second"}), Cmd=["/bin/cat", "/which"]), f"{unique}/second")
    assert place.run(unique, first, "cat /which; echo own > /which; rm -r /bin/ls; cat /which") == ["firstown"]
    before = place.layers()[digest_of(busybox[0])[7:]].stat()
    place.run(f"{unique}-2", second, "test -e /bin/ls && cat /which")
    assert place.run(f"{unique}-3", first, "test -e /bin/ls && cat /which", hosts=2) == ["first", "first"]
    after = place.layers()[digest_of(busybox[0])[7:]].stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert not list((place.data / "images/unpacking").iterdir())


def test_what_it_trains_is_served(place, unique, tmp_path):
    program = compiled(HERE / "custom/program.c", tmp_path / "program")
    image = push(place.server, Image(layer({"program": program}), Entrypoint=["/program"]), unique)
    s3, sm = place.server.client("s3"), place.sm
    s3.put_object(Bucket="images", Key=f"{unique}/mean.txt", Body=b"7")
    sm.create_model(ModelName=unique, ExecutionRoleArn=f"arn:aws:iam::{place.server.account}:role/SageMakerRole", PrimaryContainer={
        "Image": image, "ModelDataSource": {"S3DataSource": {
            "S3Uri": f"s3://images/{unique}/", "S3DataType": "S3Prefix", "CompressionType": "None"}}})
    sm.create_endpoint_config(EndpointConfigName=unique, ProductionVariants=[
        {"VariantName": "v", "ModelName": unique, "InitialInstanceCount": 2, "InstanceType": "ml.t2.medium"}])
    sm.create_endpoint(EndpointName=unique, EndpointConfigName=unique)
    deadline = time.monotonic() + 240
    while (about := sm.describe_endpoint(EndpointName=unique))["EndpointStatus"] == "Creating" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert about["EndpointStatus"] == "InService", about.get("FailureReason")
    runtime = place.server.client("sagemaker-runtime")
    for number in range(8):
        answer = runtime.invoke_endpoint(EndpointName=unique, Body=str(number), ContentType="text/plain")
        assert answer["Body"].read() == f"mean 7 of {number}".encode()
    sm.delete_endpoint(EndpointName=unique)


def test_the_user_of_the_image_is_the_one_inside(place, busybox, unique):
    image = push(place.server, Image(busybox, layer({"script": b"id -u; id -g; echo $HOME; echo model > /opt/ml/model/made"}), User="worker",
                                     Entrypoint=["/bin/sh", "/script"], Env=["PATH=/bin"]), unique)
    found = place.run(unique, image)
    # Without the right to have several users everything is the one who runs the server, and root inside.
    assert found == (["0", "0", "/root"] if place.server.prefix or os.geteuid() != 0 else ["1000", "1000", "/tmp"])
    model = place.server.client("s3").get_object(Bucket="images", Key=f"out/{unique}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(model)) as archive:
        assert archive.extractfile("made").read() == b"model\n"


def unpacks(place):
    with contextlib.suppress(FileNotFoundError):  # it is in its place by now
        return any((place.data / "images/unpacking").glob("*/root/many/*50"))
    return False


def test_a_server_killed_while_it_unpacks_leaves_nothing_half(place, busybox, unique):
    script = "ls /many | wc -l; cat /many/* | sha256sum | cut -d' ' -f1"
    half = False
    for attempt in range(8):  # until it is killed in time
        name = f"{unique}-{attempt}"
        files = {f"many/{number:05}": f"{number} {name} ".encode() * 50 for number in range(SMALL_FILES)}
        slow = layer(files)
        image = push(place.server, Image(busybox, slow), name)
        total = hashlib.sha256(b"".join(files.values())).hexdigest()
        place.create(name, image, script)
        deadline = time.monotonic() + 120
        while not unpacks(place) and digest_of(slow[0])[7:] not in place.layers():
            assert time.monotonic() < deadline, place.server.log()[-3000:]
        place.server.kill()
        half = digest_of(slow[0])[7:] not in place.layers()
        place.server.start()
        job = place.end(name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        assert place.lines(name) == [str(SMALL_FILES), total]
        assert not list((place.data / "images/unpacking").iterdir())
        assert place.run(f"{name}-again", image, script) == [str(SMALL_FILES), total]
        if half:
            break
    assert half


def test_a_layer_that_leads_out_is_the_reason(place, busybox, unique):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        entry = tarfile.TarInfo("a/../../../escaped")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    image = push(place.server, Image(busybox, packed(raw.getvalue())), unique)
    place.create(unique, image, "true")
    job = place.end(unique)
    assert job["TrainingJobStatus"] == "Failed"
    assert 'the layer\'s entry "a/../../../escaped" leads out of the image' in job["FailureReason"]
    # The run's own files go meanwhile, which this walk does not mind.
    assert not [folder for folder, folders, files in os.walk(place.data.parent) if "escaped" in folders + files]
