"""The programs people push and pull images with, against the registry on the server's own port."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "conformance"))
from images import Image, layer  # noqa: E402
from server import Server  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("registry") / "data").start()
    yield running
    running.end_everything()


@pytest.fixture(scope="module")
def login(server):
    """User and password, as `aws ecr get-login-password` prints it."""
    import base64
    token = server.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().split(":", 1)


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
    return done.stdout


def need(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """An image as an OCI layout: three layers, the second 8 MiB that do not compress."""
    folder = tmp_path_factory.mktemp("layout")
    Image(layer({"bin/train": b"#!/bin/sh\n"}), layer({"data/noise": os.urandom(8 << 20)}), layer({"etc/name": b"third\n"}),
          Cmd=["/bin/train"]).write_layout(folder, "v1")
    return folder


def digest_in(server, repository, tag):
    details = server.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    return details["imageDetails"][0]["imageDigest"]


def layers_of(folder):
    index = json.loads((folder / "index.json").read_text())
    manifest = (folder / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_bytes()
    return [entry["digest"] for entry in json.loads(manifest)["layers"]]


def address(server):
    return f"127.0.0.1:{server.port}"


def layers_sent_to(server, repository, awaited=0):
    """How many uploads were completed there, after the audit log has caught up with the push of the manifest. A line is
    written after the answer, so that of the manifest may come before that of the last upload: as many are awaited."""
    arn = f"arn:aws:ecr:us-west-2:{server.account}:repository/{repository}"
    deadline = time.monotonic() + 60
    while True:
        whole = (server.folder / "logs/audit/audit.jsonl").read_text().rpartition("\n")[0]  # another line may just be written
        lines = [json.loads(line) for line in whole.splitlines() if arn in line]
        done = [line["operation"] for line in lines if line["resource"] == arn and line["status"] == 201]
        if "PutImage" in done and done.count("CompleteLayerUpload") >= awaited:
            return done.count("CompleteLayerUpload")
        assert time.monotonic() < deadline, lines
        time.sleep(0.05)


def test_skopeo_pushes_and_pulls(server, login, layout, tmp_path):
    need("skopeo")
    creds, target = ":".join(login), f"docker://{address(server)}/clients/skopeo:v1"
    run("skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", creds, f"oci:{layout}:v1", target)
    run("skopeo", "copy", "--src-tls-verify=false", "--src-creds", creds, target, f"oci:{tmp_path}/back:v1")
    assert layers_of(tmp_path / "back") == layers_of(layout)
    about = json.loads(run("skopeo", "inspect", "--tls-verify=false", "--creds", creds, target))
    assert about["Digest"] == digest_in(server, "clients/skopeo", "v1")
    assert json.loads(run("skopeo", "list-tags", "--tls-verify=false", "--creds", creds, target.rsplit(":", 1)[0]))["Tags"] == ["v1"]
    # From one repository to another the layers are mounted, not sent again.
    second = target.replace("clients/skopeo", "clients/second")
    run("skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds", creds, "--dest-creds", creds, target,
        second)
    assert digest_in(server, "clients/second", "v1") == about["Digest"]
    assert layers_sent_to(server, "clients/skopeo", 4) == 4
    assert layers_sent_to(server, "clients/second") <= 1, "the configuration at most"
    run("skopeo", "delete", "--tls-verify=false", "--creds", creds, second)
    gone = subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--creds", creds, second], capture_output=True, text=True)
    assert gone.returncode != 0 and "v1" in gone.stderr


def test_skopeo_converts_to_docker_manifests(server, login, layout, tmp_path):
    need("skopeo")
    creds, target = ":".join(login), f"docker://{address(server)}/clients/v2s2:v1"
    run("skopeo", "copy", "--format", "v2s2", "--dest-tls-verify=false", "--dest-creds", creds, f"oci:{layout}:v1", target)
    raw = json.loads(run("skopeo", "inspect", "--raw", "--tls-verify=false", "--creds", creds, target))
    assert raw["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_wrong_passwords_are_refused(server, login, layout):
    need("skopeo")
    target = f"docker://{address(server)}/clients/skopeo:v1"
    for creds in (f"AWS:{login[1][:-2]}xx", "AWS:", f"{server.credentials['AccessKeyId']}:wrong"):
        done = subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--creds", creds, target], capture_output=True, text=True)
        assert done.returncode != 0 and "unauthorized" in done.stderr.lower(), done


@pytest.fixture
def storage():
    """Options for podman and buildah: images in a folder of this test, whose path podman wants short."""
    with tempfile.TemporaryDirectory(prefix="mw-", ignore_cleanup_errors=True) as folder:
        yield ["--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if line.split()[1].startswith(folder + "/"):
                subprocess.run(["umount", line.split()[1]], check=False)


def test_podman_pushes_and_pulls(server, login, layout, storage, tmp_path):
    need("podman")
    image = f"{address(server)}/clients/podman:v1"
    podman = ["podman", *storage, "--events-backend", "file"]
    run(*podman, "pull", f"oci:{layout}:v1")
    made = run(*podman, "images", "--quiet").split()[0]
    run(*podman, "tag", made, image)
    run(*podman, "login", "--tls-verify=false", "--authfile", tmp_path / "auth.json", "-u", login[0], "--password-stdin",
        address(server), input=login[1])
    run(*podman, "push", "--tls-verify=false", "--authfile", tmp_path / "auth.json", image)
    again = image.replace("clients/podman", "clients/podman-two")
    run(*podman, "push", "--tls-verify=false", "--authfile", tmp_path / "auth.json", image, again)
    assert digest_in(server, "clients/podman-two", "v1") == digest_in(server, "clients/podman", "v1")
    assert layers_sent_to(server, "clients/podman-two") <= 1, "the configuration at most"
    run(*podman, "rmi", "--all", "--force")
    run(*podman, "pull", "--tls-verify=false", "--authfile", tmp_path / "auth.json", image)
    assert run(*podman, "images", "--quiet").split()[0] == made


def test_buildah_pushes_and_pulls(server, login, storage, tmp_path):
    need("buildah")
    image, creds = f"{address(server)}/clients/buildah:v1", ":".join(login)
    buildah = ["buildah", *storage]
    (tmp_path / "file").write_text("built")
    container = run(*buildah, "from", "scratch").strip()
    run(*buildah, "copy", container, tmp_path / "file", "/file")
    run(*buildah, "commit", "--rm", container, "built")
    run(*buildah, "push", "--tls-verify=false", "--creds", creds, "built", f"docker://{image}")
    run(*buildah, "rmi", "--all", "--force")
    run(*buildah, "pull", "--tls-verify=false", "--creds", creds, f"docker://{image}")
    # An index, as for images of several platforms.
    run(*buildah, "manifest", "create", "several")
    run(*buildah, "manifest", "add", "--tls-verify=false", "--creds", creds, "several", f"docker://{image}")
    run(*buildah, "manifest", "push", "--tls-verify=false", "--creds", creds, "--all", "several",
        f"docker://{address(server)}/clients/buildah:several")
    details = server.client("ecr").describe_images(repositoryName="clients/buildah", imageIds=[{"imageTag": "several"}])
    assert details["imageDetails"][0]["imageManifestMediaType"].split(".")[-1] in ("v1+json", "v2+json")


@contextlib.contextmanager
def docker_daemon(folder):
    host, log = f"unix://{folder}/docker.sock", folder / "dockerd.log"
    daemon = subprocess.Popen(["dockerd", "-H", host, "--data-root", folder / "data", "--exec-root", folder / "exec", "-p",
                               folder / "pid", "--bridge=none", "--iptables=false", "--ip6tables=false", "--default-ulimit",
                               "nofile=20000:20000"], stdout=log.open("wb"), stderr=subprocess.STDOUT)
    try:
        for _ in range(1200):
            if daemon.poll() is not None or subprocess.run(["docker", "-H", host, "info"], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        if daemon.poll() is not None:
            pytest.skip(f"dockerd does not run here: {log.read_text()[-500:]}")
        yield host
    finally:
        daemon.terminate()
        daemon.wait(120)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
            subprocess.run(["umount", mount], check=False)
        for name in ("data", "exec"):
            shutil.rmtree(folder / name, ignore_errors=True)


def test_docker_pushes_mounts_and_pulls(server, login, tmp_path):
    need("docker", "dockerd")
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon needs root")
    archive = tmp_path / "root.tar"
    run("tar", "-cf", archive, "-C", Path(__file__).parent, "images.py")
    with docker_daemon(tmp_path) as host:
        environment = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": str(tmp_path / "config")}
        first, second = f"{address(server)}/clients/docker:v1", f"{address(server)}/clients/docker-two:v1"
        run("docker", "login", "-u", login[0], "--password-stdin", address(server), input=login[1], env=environment)
        made = run("docker", "import", archive, first, env=environment).strip()
        assert "Pushed" in run("docker", "push", first, env=environment)
        assert "already exists" in run("docker", "push", first, env=environment)
        run("docker", "tag", first, second, env=environment)
        assert "Mounted from clients/docker" in run("docker", "push", second, env=environment)
        run("docker", "rmi", first, second, env=environment)
        run("docker", "pull", f"{second.rsplit(':', 1)[0]}@{digest_in(server, 'clients/docker', 'v1')}", env=environment)
        assert made in run("docker", "images", "--no-trunc", "--quiet", env=environment)


def push_through_a_crash(server, *command, **options):
    """kill -9 of the server while it receives, and a new start. Clients try again themselves, or their users do. False: it had
    received all before it could be killed."""
    before, largest, deadline = set((server.folder / "registry").glob("??/*")), 0, time.monotonic() + 120
    push = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    while largest < 1 << 20:
        if push.poll() is not None:
            output = push.communicate()[0]
            assert push.returncode == 0, output
            return False
        assert time.monotonic() < deadline, "it does not send"
        for path in set((server.folder / "registry").glob("??/*")) - before:
            with contextlib.suppress(FileNotFoundError):
                largest = max(largest, path.stat().st_size)
    in_time = push.poll() is None
    server.kill()
    time.sleep(0.2)
    server.start()
    output = push.communicate(timeout=300)[0]
    if push.returncode != 0:
        print(f"given up: {output[-300:]}")
        run(*command, **options)
    return in_time


ATTEMPTS = 5  # to kill the server in time, each with another image


def heavy_layout(folder):
    """One layer of 40 MiB that does not compress."""
    block = os.urandom(1 << 20)
    Image(layer({"data/noise": b"".join(block[n:] + block[:n] for n in range(0, 40 * 1009, 1009))})).write_layout(folder, "v1")
    return folder


def test_skopeo_goes_on_after_a_crash_of_the_server(server, login, tmp_path):
    need("skopeo")
    creds, target = ":".join(login), f"docker://{address(server)}/clients/crash:v1"
    for attempt in range(ATTEMPTS):
        layout = heavy_layout(tmp_path / f"heavy-{attempt}")
        if push_through_a_crash(server, "skopeo", "copy", "--retry-times", "5", "--dest-tls-verify=false", "--dest-creds", creds,
                                f"oci:{layout}:v1", target):
            break
    else:
        pytest.fail("the server was never killed in time")
    run("skopeo", "copy", "--src-tls-verify=false", "--src-creds", creds, target, f"oci:{tmp_path}/back:v1")
    assert layers_of(tmp_path / "back") == layers_of(layout)


def test_docker_goes_on_after_a_crash_of_the_server(server, login, tmp_path):
    need("docker", "dockerd")
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon needs root")
    with docker_daemon(tmp_path) as host:
        environment = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": str(tmp_path / "config")}
        image = f"{address(server)}/clients/docker-crash:v1"
        run("docker", "login", "-u", login[0], "--password-stdin", address(server), input=login[1], env=environment)
        for _ in range(ATTEMPTS):
            (tmp_path / "noise").write_bytes(os.urandom(60 << 20))
            run("tar", "-cf", tmp_path / "root.tar", "-C", tmp_path, "noise")
            run("docker", "import", tmp_path / "root.tar", image, env=environment)
            if push_through_a_crash(server, "docker", "push", image, env=environment):
                break
        else:
            pytest.fail("the server was never killed in time")
        run("docker", "rmi", image, env=environment)
        run("docker", "pull", image, env=environment)
