"""The introduction's estimator with an image of the user's own: built, pushed to the server, trained and deployed as
docs/guides/containers.md says, with SDK v1 and v2, and then run by Docker, by Podman and without an engine."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EXAMPLES = ROOT / "examples/containers"
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "conformance"))
from engines import KINDS, Engine  # noqa: E402
from prebuilt import pip_of_this_machine  # noqa: E402
from server import BIN, Server  # noqa: E402

SDKS = {"v1": Path(os.environ.get("MILLWRIGHT_PYTHON_V1", ROOT / "build/python/v1/bin/python")), "v2": Path(sys.executable)}


def guide(heading):
    """The commands of one section of the guide."""
    text = (ROOT / "docs/guides/containers.md").read_text()
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


class Shell:
    """A user's, after `eval "$(millwright env)"`, in which the guide's commands are run."""

    def __init__(self, server, folder, engine, base):
        self.server, self.engine, self.folder = server, engine, folder
        self.build_options = f"--network host --build-arg BASE={base}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAGEMAKER_"))}
        self.variables = {**clean, **server.environment(), **engine.for_commands(folder),
                          "PATH": f"{Path(sys.executable).parent}:{BIN}:{os.environ['PATH']}", "HOME": str(folder)}

    def run(self, commands, variables=(), seconds=300):
        commands = commands.replace("127.0.0.1:9770", f"127.0.0.1:{self.server.port}")
        commands = commands.replace("millwright env", f"millwright env --data-dir {self.server.folder}")
        if self.engine.kind == "podman":
            commands = re.sub(r"\bdocker (build|tag|push|login|pull)\b", r"podman \1", commands)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=ROOT, env={**self.variables, **dict(variables)},
                              capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def build(self, folder):
        command = guide("Write it").replace("examples/containers/resnet50", f"{self.build_options} {folder}")
        self.run(command, seconds=900)

    def push(self):
        commands = guide("Push it: to the server's own address")
        if self.engine.kind == "podman":
            commands = re.sub(r"docker (push|login)", r"docker \1 --tls-verify=false", commands)
        self.run(commands, seconds=900)


def ecr_image(server):
    return f"{server.account}.dkr.ecr.{server.credentials['Region']}.amazonaws.com/resnet50-cat-dog:latest"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    subprocess.run([sys.executable, EXAMPLES / "resnet50/pictures.py", folder], check=True, timeout=60)
    return folder


def place_with_image(way, folder, builder, base, program):
    """A server with the built and pushed image, and the shell that did it."""
    config = f'[containers]\nengine = "{way}"\n' + (f'socket = "{builder.socket}"\n' if way != "none" else "")
    server = Server(folder / "data", config=config + "[jobs]\nvcpus = 64\n").start()
    try:
        shell = Shell(server, folder, builder, base)
        shell.build(program)
        shell.push()
    except BaseException:
        server.end_everything()
        raise
    return server, shell


def begin(shell, sdk, pictures):
    """The example's script; its output goes to the file."""
    log = (shell.folder / f"{sdk}.log").open("wb+")
    return log, subprocess.Popen([SDKS[sdk], EXAMPLES / f"introduction_sdk_{sdk}.py", ecr_image(shell.server), pictures], stdout=log,
                                 stderr=subprocess.STDOUT, env=shell.variables)


def check(server, log, process, seconds):
    process.wait(seconds)
    log.seek(0)
    output = log.read().decode()
    assert process.returncode == 0, output[-5000:] + server.log()[-3000:]
    told = json.loads(re.search(r'{"right".*}', output)[0])
    job = server.client("sagemaker").describe_training_job(TrainingJobName=told["job"])
    assert job["TrainingJobName"].startswith("docker-resnet50-cat-dog-")
    assert job["AlgorithmSpecification"]["TrainingImage"] == ecr_image(server)
    assert {metric["MetricName"] for metric in job["FinalMetricDataList"]} == {"train:accuracy"}
    return told


@pytest.fixture(scope="module")
def scripts(tmp_path_factory, engines, python_base, pictures):
    """All of them at once, because they mostly wait: (way, SDK) -> the running script."""
    running, servers = {}, []
    try:
        for way in ("none", *KINDS):
            builder = engines("docker" if way == "none" else way)
            server, shell = place_with_image(way, tmp_path_factory.mktemp(f"introduction-{way}"), builder,
                                             python_base(builder.kind), HERE / "plain")
            servers.append(server)
            for sdk, python in SDKS.items():
                if python.exists():
                    running[way, sdk] = server, *begin(shell, sdk, pictures)
        yield running
    finally:
        for _, _, process in running.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        for server in servers:
            server.end_everything()


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("way", ["none", *KINDS])
def test_the_estimator_trains_and_predicts(scripts, way, sdk):
    if (way, sdk) not in scripts:
        pytest.skip(f"{SDKS[sdk]} is not there")
    told = check(*scripts[way, sdk], 900)
    assert told["right"] == told["of"] == 20


@pytest.fixture(scope="module")
def pip_base(engines, tmp_path_factory):
    """By engine: what stands for python:3.11-slim, made from this machine's Debian mirror, with its pip configured as here."""
    if os.environ.get("MILLWRIGHT_CONTAINER_TESTS") != "1":
        pytest.skip("an image with PyTorch: MILLWRIGHT_CONTAINER_TESTS=1")
    folder, made, files = tmp_path_factory.mktemp("pip"), {}, None
    wheels = Path(os.environ.get("PIP_FIND_LINKS", "/nowhere"))
    serving = None
    try:
        config = pip_of_this_machine()
        if wheels.is_dir():
            serving = subprocess.Popen([sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", wheels],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            port = re.search(r"port (\d+)", serving.stdout.readline())[1]
            config["pip.conf"] += f"find-links = http://127.0.0.1:{port}/\n"
        config["Dockerfile"] = ("FROM localhost/debian-pip\nCOPY ca.pem /tmp/ca.pem\nCOPY pip.conf /etc/pip.conf\n"
                                "RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED\n")
        for name, text in config.items():
            (folder / name).write_text(text)

        def get(kind):
            nonlocal files
            if files is None:
                subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates,python3-pip", "bookworm",
                                folder / "base.tar"], check=True, timeout=900)
                files = (folder / "base.tar").read_bytes()
                (folder / "base.tar").unlink()
            if kind not in made:
                engine = engines(kind)
                engine.import_image(files, "localhost/debian-pip")
                subprocess.run([kind, "build", "-t", "localhost/python-pip", folder], check=True, timeout=600, capture_output=True,
                               env={**os.environ, **engine.for_commands(folder), "HOME": str(folder)})
                made[kind] = "localhost/python-pip"
            return made[kind]

        yield get
    finally:
        if serving:
            serving.terminate()
            serving.wait()


@pytest.mark.parametrize("way", ["none", *KINDS])
def test_resnet_50_tells_cats_from_dogs(engines, pip_base, pictures, tmp_path_factory, way):
    builder = engines("docker" if way == "none" else way)
    server, shell = place_with_image(way, tmp_path_factory.mktemp(f"resnet-{way}"), builder, pip_base(builder.kind),
                                     EXAMPLES / "resnet50")
    try:
        for sdk, python in SDKS.items():
            if python.exists():
                told = check(server, *begin(shell, sdk, pictures), 1500)
                print(f"{way}, SDK {sdk}: {told}")
                assert told["of"] == 20 and told["right"] >= 18
    finally:
        server.end_everything()


def test_docker_pushes_to_the_name_of_ecr(tmp_path_factory, engines):
    """The daemon goes through the server's proxy and knows its authority, as an administrator sets it up by the guide."""
    engines("docker")  # or the reason why not
    tmp_path = tmp_path_factory.mktemp("ecr")  # sockets of daemons want short names
    server = Server(tmp_path / "data", config='[containers]\nengine = "none"\n').start()
    host = ecr_image(server).split("/")[0]
    # In a view of its own, because the folder of the daemon's certificates is the machine's.
    script = (f"mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && mkdir -p /etc/docker/certs.d/{host} && "
              f"cp {server.folder}/ca/aws.pem /etc/docker/certs.d/{host}/ca.crt && exec \"$@\"")
    engine = Engine("docker", tmp_path / "docker", before=["unshare", "--mount", "sh", "-c", script, "sh"],
                    variables={"HTTPS_PROXY": f"http://127.0.0.1:{server.port}"})
    try:
        engine.start()
        shell = Shell(server, tmp_path, engine, "scratch")  # nothing is run while it is built
        (tmp_path / "image").mkdir()
        (tmp_path / "image/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY Dockerfile /kept\nCMD [\"/kept\"]\n")
        shell.build(tmp_path / "image")
        check_push_to_ecr_name(shell)
    finally:
        engine.close()
        server.end_everything()


def test_podman_pushes_to_the_name_of_ecr(tmp_path, engines, python_base):
    server = Server(tmp_path / "data", config='[containers]\nengine = "none"\n').start()
    try:
        shell = Shell(server, tmp_path, engines("podman"), python_base("podman"))
        shell.variables.update(server.environment("--proxy"))
        shell.build(HERE / "plain")
        check_push_to_ecr_name(shell)
    finally:
        server.end_everything()


def check_push_to_ecr_name(shell):
    commands = guide("Push it: to ECR's name, unchanged")
    assert commands.splitlines()[0].startswith("millwright env --proxy")
    shell.run("aws ecr create-repository --repository-name resnet50-cat-dog")
    shell.run(commands + "\ndocker pull $uri/resnet50-cat-dog:latest")
    details = shell.server.client("ecr").describe_images(repositoryName="resnet50-cat-dog")["imageDetails"]
    assert [about["imageTags"] for about in details] == [["latest"]]
