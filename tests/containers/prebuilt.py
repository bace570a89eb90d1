"""The prebuilt images as their users meet them: `millwright images build`, and containers straight from the engine."""
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

from server import BIN


@contextlib.contextmanager
def engine(folder):
    """(host, base image) of the engine that $MILLWRIGHT_TEST_ENGINE names ("unix:///…"; its base image is
    $MILLWRIGHT_IMAGES_BASE), or of a Docker daemon of these tests' own. A text instead: why there is none."""
    given = os.environ.get("MILLWRIGHT_TEST_ENGINE")
    if given:
        yield given, os.environ.get("MILLWRIGHT_IMAGES_BASE", "debian:12-slim")
        return
    missing = [program for program in ("dockerd", "docker", "mmdebstrap") if not shutil.which(program)]
    if missing or os.geteuid() != 0:
        yield f"needs {', '.join(missing)}" if missing else "a Docker daemon needs root"
        return
    host, log = f"unix://{folder}/docker.sock", folder / "dockerd.log"
    daemon = subprocess.Popen(
        ["dockerd", "-H", host, "--data-root", folder / "data", "--exec-root", folder / "exec", "-p", folder / "pid", "--bridge=none",
         "--default-ulimit", "nofile=20000:20000", "--default-ulimit", "nproc=4096:4096"], stdout=log.open("wb"),
        stderr=subprocess.STDOUT)
    try:
        for _ in range(1200):
            if daemon.poll() is not None or subprocess.run(["docker", "-H", host, "info"], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        if daemon.poll() is not None:
            yield f"dockerd does not run here: {log.read_text()[-500:]}"
            return
        make_base(host, folder / "base.tar")
        yield host, "test-base"
    finally:
        daemon.terminate()
        daemon.wait(120)
        # It leaves the mount of a network namespace, and gigabytes.
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
            subprocess.run(["umount", mount], check=False)
        for name in ("data", "exec"):
            shutil.rmtree(folder / name, ignore_errors=True)


def make_base(host, archive):
    """A Debian of this machine's mirror in the place of debian:12-slim, or the one that $MILLWRIGHT_TEST_BASE holds (a tar of its
    files, made as here)."""
    given = os.environ.get("MILLWRIGHT_TEST_BASE")
    if not given:
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates,python3,python3-venv", "bookworm",
                        archive], check=True, timeout=600)
    subprocess.run(["docker", "-H", host, "import", given or archive, "test-base"], check=True, capture_output=True, timeout=600)


def pip_of_this_machine():
    """A user's Dockerfile knows where its packages come from; the tests know it from the pip that runs them: what it says
    about addresses, and the certificate for them. Its folders are not in the image."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    settings = {name.rpartition(".")[2]: value.strip("'") for name, _, value in (line.partition("=") for line in listed.splitlines())}
    certificate = os.environ.get("PIP_CERT") or settings.get("cert")
    lines = [f"{name} = {value}\n" for name, value in settings.items() if value.startswith("http")]
    return {"pip.conf": "".join(["[global]\n", *lines, "cert = /tmp/ca.pem\n" if certificate else ""]),
            "ca.pem": Path(certificate).read_text() if certificate else ""}


class Images:
    """Of one engine, which the Docker CLI reaches at `host` ("unix:///…")."""

    def __init__(self, host, base_image, folder):
        self.socket = host.removeprefix("unix://")
        self.base_image = base_image
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "DOCKER_HOST": host,
                            "DOCKER_BUILDKIT": "0"}

    def build(self, *names, check=True):
        """`millwright images build`; returns (seconds, standard output, standard error)."""
        (self.folder / "data").mkdir(exist_ok=True)
        (self.folder / "data/config.toml").write_text(f'[containers]\nsocket = "{self.socket}"\n')
        begun = time.monotonic()
        done = subprocess.run([BIN / "millwright", "images", "build", "--data-dir", self.folder / "data", "--base",
                               self.base_image, *names], capture_output=True, text=True, timeout=3000)
        if check:
            assert done.returncode == 0, done.stderr[-4000:]
        return time.monotonic() - begun, done.stdout, done.stderr

    def docker(self, *arguments, check=True, seconds=600, **options):
        done = subprocess.run(["docker", *map(str, arguments)], env=self.environment, capture_output=True, text=True,
                              timeout=seconds, **options)
        if check:
            assert done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout

    def build_from(self, dockerfile, files, reference):
        """`docker build` of a user's folder. On the host's network, as where the tests find the package index."""
        folder = self.folder / f"context-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (folder / name).write_text(text)
        return self.docker("build", "--network", "host", "-t", reference, folder)

    def host(self, image, hyperparameters, files=(), channels=(), hosts=("algo-1",), name="algo-1"):
        return Host(self, image, hyperparameters, dict(files), dict(channels), list(hosts), name)

    @contextlib.contextmanager
    def network(self):
        name = f"job-{uuid.uuid4().hex[:8]}"
        # Of a range as the server's own: rules that other daemons have left behind rewrite the addresses of Docker's.
        numbers = random.sample(range(256), 16)
        while not self.docker("network", "create", f"--subnet=198.19.{numbers.pop()}.0/24", name, check=not numbers):
            continue  # somebody else has these
        try:
            yield name
        finally:
            left = self.docker("ps", "-aq", "--filter", f"network={name}").split()  # of a test that has failed
            if left:
                self.docker("rm", "-f", *left, check=False)
            self.docker("network", "rm", name, check=False)

    @contextlib.contextmanager
    def serving(self, image, model, **environment):
        """`serve` on the model folder; yields a function that asks it."""
        name = f"serve-{uuid.uuid4().hex[:8]}"
        variables = [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
        with self.network() as network:
            self.docker("run", "-d", "--name", name, "--network", network, "-v", f"{model}:/opt/ml/model:ro", *variables, image,
                        "serve")
            try:
                yield self._asked_when_healthy(name)
            finally:
                self.docker("rm", "-f", name, check=False)

    def _asked_when_healthy(self, name):
        address = self.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name).strip()

        def ask(path, body=None, content_type="application/json", accept="application/json"):
            request = urllib.request.Request(f"http://{address}:8080{path}", data=body,
                                             headers={"Content-Type": content_type, "Accept": accept})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()

        deadline = time.monotonic() + 240
        while True:
            with contextlib.suppress(OSError):
                ask("/ping")
                return ask
            state = self.docker("inspect", "-f", "{{.State.Running}}", name).strip()
            assert state == "true" and time.monotonic() < deadline, self.docker("logs", name)
            time.sleep(0.1)


class Host:
    """One host of a job, with the folders below /opt/ml and nothing of a server."""

    def __init__(self, images, image, hyperparameters, files, channels, hosts, name):
        self.images, self.image, self.name = images, image, name
        self.base = images.folder / f"host-{uuid.uuid4().hex[:8]}"
        for folder in ("input/config", "input/data", "model", "output/data"):
            (self.base / folder).mkdir(parents=True)
        if files:
            code = self.base / "input/data/code"
            code.mkdir()
            for path, text in files.items():
                (code / path).write_text(text)
            hyperparameters = {"sagemaker_program": "train.py", "sagemaker_submit_directory": "/opt/ml/input/data/code",
                               **hyperparameters}
        for channel, folder in channels.items():
            shutil.copytree(folder, self.base / "input/data" / channel)
        self._write("hyperparameters", {k: v if isinstance(v, str) and not files else json.dumps(v)
                                        for k, v in hyperparameters.items()})
        self._write("inputdataconfig", {channel: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated",
                                                  "RecordWrapperType": "None", "ContentType": "text/csv"} for channel in channels})
        self._write("resourceconfig", {"current_host": name, "hosts": hosts, "network_interface_name": "eth0",
                                       "current_instance_type": "ml.m5.large"})
        self.process = None
        self.container = f"{name}-{uuid.uuid4().hex[:8]}"

    def _write(self, name, content):
        (self.base / f"input/config/{name}.json").write_text(json.dumps(content))

    @property
    def model(self):
        return self.base / "model"

    def start(self, network="none", **environment):
        mounts = [word for name in ("input", "model", "output") for word in ("-v", f"{self.base / name}:/opt/ml/{name}")]
        variables = [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
        more = ["--network-alias", self.name] if network != "none" else []
        self.process = subprocess.Popen(
            ["docker", "run", "--name", self.container, "--network", network, "--hostname", self.name, *more, "--shm-size", "512m", "--cap-drop",
             "ALL", "--cap-add", "DAC_OVERRIDE", *mounts, *variables, self.image, "train"],
            env=self.images.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self

    def end(self, seconds=600):
        """(exit code, output). The engine is asked for the code: Podman 4.3 tells the Docker CLI 0 for quick failures."""
        try:
            out, _ = self.process.communicate(timeout=seconds)
            return int(self.images.docker("inspect", "-f", "{{.State.ExitCode}}", self.container)), out
        finally:
            self.images.docker("rm", "-f", self.container, check=False)

    def finish(self, seconds=600):
        """The output of a host that succeeds."""
        code, out = self.end(seconds)
        failure = self.base / "output/failure"
        assert code == 0, (out[-4000:], failure.read_text() if failure.exists() else "")
        return out
