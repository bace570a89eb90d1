"""The prebuilt images, built here and used as AWS's are: by the contract alone, with no server around. What jobs and
endpoints make of them is in tests/frameworks (MILLWRIGHT_FRAMEWORK_IMAGES) and the other files of this folder."""
import base64
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / name) for name in ("conformance", "frameworks", "containers")]
from default_models import ROWS, SCRIPTS as SERVING_SCRIPTS, maker  # noqa: E402
from distributions import V2  # noqa: E402
from frameworks import FRAMEWORKS, SCRIPTS, write_digits  # noqa: E402
from prebuilt import pip_of_this_machine  # noqa: E402
from server import BIN, Server  # noqa: E402

HEAVY = pytest.mark.skipif(os.environ.get("MILLWRIGHT_CONTAINER_TESTS") != "1",
                           reason="builds images of frameworks: MILLWRIGHT_CONTAINER_TESTS=1")
NAMES = {name: framework.recipes[2] for name, framework in FRAMEWORKS.items()}  # "sklearn" -> "scikit-learn-1.2.2"

MPI_SCRIPT = """
from mpi4py import MPI
world = MPI.COMM_WORLD
print(f"rank {world.Get_rank()} of {world.Get_size()}: {world.allreduce(world.Get_rank() + 1)}", flush=True)
"""

SERVING_SCRIPT = """
import os
import numpy

def model_fn(model_dir):
    return float(open(os.path.join(model_dir, "factor")).read())

def predict_fn(data, model):
    return numpy.asarray(data) * model
"""


def reference_of(name):
    framework, _, version = NAMES[name].rpartition("-")
    return f"millwright/{framework}:{version}"


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


def test_a_second_build_has_nothing_to_do(prebuilt, python_image):
    before = prebuilt.docker("image", "inspect", "-f", "{{.Id}}", python_image)
    seconds, _, said = prebuilt.build("python")
    assert f"{python_image} is up to date" in said and "Building" not in said, said
    assert prebuilt.docker("image", "inspect", "-f", "{{.Id}}", python_image) == before
    print(f"nothing to do: {seconds:.1f} s")


def test_nothing_of_the_build_is_in_the_image(prebuilt, python_image):
    """Neither the configuration of pip, which may hold passwords, nor the packages it was given; nothing unnamed is left."""
    found = prebuilt.docker("run", "--rm", python_image, "sh", "-c", "ls /opt/ml /etc/pip.conf 2>&1; env").strip()
    assert "pip.conf': No such file" in found or "/etc/pip.conf: No such file" in found, found
    assert "packages" not in found.split("PATH=")[0] and "PIP_" not in found and "proxy" not in found.lower(), found
    assert prebuilt.docker("images", "-q", "--filter", "label=millwright.stage", "--filter", "dangling=true") == ""
    assert "pip" not in prebuilt.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", python_image).lower()


def test_a_missing_name_and_a_failing_step_are_explained(prebuilt):
    _, _, said = prebuilt.build("caffe", check=False)
    assert "There is no image caffe to build" in said and "pytorch-" in said, said
    before, prebuilt.base_image = prebuilt.base_image, "localhost:1/no-such-base:1"
    try:
        _, _, said = prebuilt.build("base", check=False)
        assert "millwright/packages:base cannot be built" in said and "localhost:1" in said, said
    finally:
        prebuilt.base_image = before


def test_the_context_can_be_built_by_hand(prebuilt, tmp_path):
    done = subprocess.run([BIN / "millwright", "images", "build", "python", "--data-dir", tmp_path / "data", "--context",
                           tmp_path / "context"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "context").iterdir()) == ["base", "programs", "python"]
    plan = json.loads((tmp_path / "context/python/build/plan.json").read_text())
    assert "mpi4py" in plan["packages"] and "mpi4py==" in plan["pins"]
    prebuilt.docker("build", "-t", "by-hand", "--build-arg", "PACKAGES=millwright/packages:base", tmp_path / "context/programs")
    assert "usage: millwright-runner train" in prebuilt.docker("run", "--rm", "by-hand", "sh", "-c",
                                                               "/opt/millwright/bin/millwright-runner 2>&1; true")


def test_a_script_trains_and_fails_as_without_containers(prebuilt, python_image):
    host = prebuilt.host(python_image, {"epochs": 3}, {
        "train.py": "import numpy, os, sys\nprint(sys.argv[1:], os.environ['SM_HPS'], os.environ['SM_MODEL_DIR'])\n"
                    "open('/opt/ml/model/weights', 'w').write(numpy.__version__)\n"})
    assert "['--epochs', '3'] {\"epochs\":3} /opt/ml/model" in host.start().finish()
    assert (host.model / "weights").exists()
    host = prebuilt.host(python_image, {}, {"train.py": "raise ValueError('no such column')\n"}).start()
    assert host.end(240)[0] == 1
    failure = (host.base / "output/failure").read_text()
    assert failure.startswith("ExecuteUserScriptError:") and "ValueError: no such column" in failure


@pytest.fixture(scope="module")
def extended(prebuilt, python_image):
    """As a user's Dockerfile does it."""
    prebuilt.build_from(
        f"FROM {python_image}\nCOPY pip.conf /etc/pip.conf\nCOPY ca.pem /tmp/ca.pem\nRUN pip install emoji==2.14.0\n"
        "COPY train.py /opt/ml/code/\nENV SAGEMAKER_PROGRAM=train.py\n",
        {**pip_of_this_machine(), "train.py": "import emoji\nopen('/opt/ml/model/version', 'w').write(emoji.__version__)\n"},
        "extended:1")
    return "extended:1"


def test_an_image_is_extended_by_one_line_of_pip_and_a_script(prebuilt, extended):
    host = prebuilt.host(extended, {})
    host.start().finish()
    assert (host.model / "version").read_text() == "2.14.0"


@pytest.fixture(scope="module")
def pushed(prebuilt, extended, tmp_path_factory):
    """(folder of a server's data with the extended image, its name)"""
    server = Server(tmp_path_factory.mktemp("extended") / "data").start()
    try:
        place = f"127.0.0.1:{server.port}"
        token = server.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        prebuilt.docker("login", "--username", "AWS", "--password-stdin", place,
                        input=base64.b64decode(token).decode().split(":", 1)[1])
        prebuilt.docker("tag", extended, f"{place}/team/{extended}")
        prebuilt.docker("push", f"{place}/team/{extended}")
        server.client("s3").create_bucket(Bucket="extended", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        return server.folder, f"{server.account}.dkr.ecr.us-west-2.amazonaws.com/team/{extended}"
    finally:
        server.end_everything()


@pytest.mark.parametrize("way", ["docker", "podman", "none"])
def test_an_extended_image_is_pushed_and_trained(prebuilt, pushed, engines, way):
    folder, image = pushed
    config = f'[containers]\nengine = "{way}"\n'
    if way != "none":
        config += f'socket = "{prebuilt.socket if way == "docker" else engines(way).socket}"\n'
    (folder / "config.toml").write_text(config)
    server = Server(folder).start()
    try:
        sm, name = server.client("sagemaker"), f"extended-{way}"
        sm.create_training_job(
            TrainingJobName=name, AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
            RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole", OutputDataConfig={"S3OutputPath": "s3://extended/out"},
            ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 600})
        sm.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 240})
        job = sm.describe_training_job(TrainingJobName=name)
        model = server.client("s3").get_object(Bucket="extended", Key=f"out/{name}/output/model.tar.gz")["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(model)) as archive:
            assert archive.extractfile("version").read() == b"2.14.0"
        steps = {step["Status"]: (step["EndTime"] - step["StartTime"]).total_seconds() for step in job["SecondaryStatusTransitions"]}
        print(f"{way}: {steps}")
    finally:
        server.end_everything()


def test_two_hosts_work_together_by_mpi(prebuilt, python_image):
    hyperparameters = {"sagemaker_mpi_enabled": True, "sagemaker_mpi_num_of_processes_per_host": 2}
    with prebuilt.network() as network:
        hosts = [prebuilt.host(python_image, hyperparameters, {"train.py": MPI_SCRIPT}, hosts=("algo-1", "algo-2"), name=name)
                 for name in ("algo-1", "algo-2")]
        for host in hosts:
            host.start(network)
        out = hosts[0].finish(300)
        hosts[1].finish(120)
    assert all(f"rank {rank} of 4: 10" in out for rank in range(4)), out


def test_a_script_serves(prebuilt, python_image, tmp_path):
    import numpy as np
    (tmp_path / "code").mkdir()
    (tmp_path / "code/inference.py").write_text(SERVING_SCRIPT)
    (tmp_path / "factor").write_text("2")
    with prebuilt.serving(python_image, tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS=2) as ask:
        assert json.loads(ask("/invocations", b"[1, 2.5]")) == [2, 5]
        assert ask("/invocations", b"1,2\n3,4\n", "text/csv", "text/csv") == b"2.0,4.0\n6.0,8.0\n"
        body = io.BytesIO()
        np.save(body, np.ones((2, 3), dtype="float32"))
        answer = np.load(io.BytesIO(ask("/invocations", body.getvalue(), "application/x-npy", "application/x-npy")))
        assert (answer == 2).all() and answer.shape == (2, 3)


def test_the_algorithms_train_and_serve(prebuilt, algorithms_image, tmp_path):
    """The smallest image: programs and libraries, no shell and no Python."""
    (tmp_path / "train.csv").write_text("".join(f"{int(x > 20)},{x},{x % 7}\n" for x in range(41)))
    known = {"MILLWRIGHT_ALGORITHM": "xgboost", "MILLWRIGHT_ALGORITHM_VERSION": "1.7-1"}
    host = prebuilt.host(algorithms_image, {"num_round": "20", "objective": "binary:logistic", "min_child_weight": "0"},
                         channels={"train": tmp_path})
    out = host.start(**known).finish()
    assert "[19]\ttrain-logloss" in out or "train-logloss" in out, out
    with prebuilt.serving(algorithms_image, host.model, **known) as ask:
        answers = [float(line) for line in ask("/invocations", b"2,2\n39,4\n", "text/csv", "text/csv").split()]
        assert answers[0] < 0.2 < 0.8 < answers[1], answers


@HEAVY
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_trains_its_script(name, prebuilt, digits_folder):
    framework = FRAMEWORKS[name]
    seconds, out, _ = prebuilt.build(NAMES[name])
    image = reference_of(name)
    assert out.startswith(image), out
    files = {path.name: path.read_text() for path in (SCRIPTS / name).glob("*.py")}
    host = prebuilt.host(image, framework.hyperparameters, files,
                         {channel: digits_folder / channel for channel in ("training", "testing")})
    host.start().finish()
    said = prebuilt.docker("run", "--rm", "--network", "none", "-v", f"{host.base / 'input'}:/opt/ml/input", "-v",
                           f"{host.model}:/opt/ml/model", image, "python", "/opt/ml/input/data/code/predict.py",
                           "/opt/ml/model", "/opt/ml/input/data/testing")
    accuracy = float(said.rsplit("accuracy", 1)[1])
    size = int(prebuilt.docker("image", "inspect", "-f", "{{.Size}}", image)) / 1e6
    print(f"{image}: {size:.0f} MB, built in {seconds:.0f} s, accuracy {accuracy:.4f}")
    assert accuracy >= framework.accuracy


@HEAVY
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_serves_without_more_words_than_needed(name, prebuilt, tmp_path):
    """model_fn where a framework has no form of its own for a model; everything else is the image's."""
    import numpy as np
    prebuilt.build(NAMES[name])
    prebuilt.docker("run", "--rm", "--network", "none", "-v", f"{tmp_path}:/opt/ml/model", reference_of(name), "python", "-c",
                    maker(name))
    if name in SERVING_SCRIPTS:
        (tmp_path / "code").mkdir()
        (tmp_path / "code/inference.py").write_text(SERVING_SCRIPTS[name])
    expected = json.loads((tmp_path / "expected.json").read_text())
    with prebuilt.serving(reference_of(name), tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS=1) as ask:
        body = {"instances": ROWS} if name == "tensorflow" else ROWS
        answer = json.loads(ask("/invocations", json.dumps(body).encode()))
        answer = answer["predictions"] if name == "tensorflow" else answer
        assert np.allclose(np.ravel(answer), expected, atol=1e-4), (answer, expected)
        text = "\n".join(",".join(map(str, row)) for row in ROWS)
        answer = ask("/invocations", text.encode(), "text/csv", "text/csv").decode().split()
        assert np.allclose([float(x) for x in answer], expected, atol=1e-4), (answer, expected)


@HEAVY
@pytest.mark.parametrize("name", V2)
def test_two_hosts_of_a_framework_work_together(name, prebuilt, digits_folder):
    distribution = V2[name]
    prebuilt.build(NAMES[distribution.framework])
    source = Path(sys.modules["distributions"].SCRIPTS)
    files = {"train.py": (source / distribution.script).read_text()}
    wish = dict(distribution.hyperparameters)
    for kind, options in distribution.wish.items():
        wish[f"sagemaker_{kind}_enabled"] = True
        if "processes_per_host" in options:
            wish["sagemaker_mpi_num_of_processes_per_host"] = options["processes_per_host"]
    with prebuilt.network() as network:
        hosts = [prebuilt.host(reference_of(distribution.framework), wish, files,
                               {channel: digits_folder / channel for channel in ("training", "testing")},
                               ("algo-1", "algo-2"), host) for host in ("algo-1", "algo-2")]
        for host in hosts:
            host.start(network)
        out = "".join(host.finish(600) for host in hosts)
    reports = [line for line in out.splitlines() if "accuracy=" in line]
    assert len(reports) == distribution.reporting, out[-4000:]
    for line in reports:
        assert float(line.rsplit("accuracy=", 1)[1].split()[0].rstrip(",;")) >= distribution.accuracy, line
