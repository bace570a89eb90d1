"""The prebuilt images through the server: jobs and endpoints of SDK v2 and boto3, with the smallest images."""
import importlib.util
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from server import BIN, Server

_spec = importlib.util.spec_from_file_location("conformance_fixtures", Path(__file__).parent.parent / "conformance/conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: getattr(_module, name) for name in ("s3", "sm", "logs", "runtime", "bucket", "training_data", "unique",
                                                            "training_request", "script_request", "log_lines", "finish")})

PYTHON = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0"  # an environment, without a container
PCA = "174872318107.dkr.ecr.us-west-2.amazonaws.com/pca:1"
PYTORCH = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-training:2.0.0-cpu-py310"

# What a script can see of its surroundings.
REPORT = """
import json, os, resource, sys
kept = {name: value for name, value in os.environ.items()
        if name.startswith(("SM_", "SAGEMAKER_", "TRAINING_JOB", "AWS_", "OMP_", "PYTHON"))}
def tree(root):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
print("REPORT", json.dumps({
    "arguments": sys.argv, "folder": os.getcwd(), "variables": kept, "program": __name__, "user": os.getuid(),
    "host": os.uname().nodename, "files": tree("/opt/ml"), "mask": os.umask(0o22), "input": sys.stdin.read(),
    "first": sys.path[0], "writable": [os.access(f, os.W_OK) for f in (os.getcwd(), "/opt/ml/model", "/opt/ml/output/data", "/tmp")],
    "resources": open("/opt/ml/input/config/resourceconfig.json").read(), "hyper": open("/opt/ml/input/config/hyperparameters.json").read(),
}), flush=True)
open("/opt/ml/model/weights", "w").write("1")
open("/opt/ml/output/data/extra", "w").write("2")
"""

MPI = """
from mpi4py import MPI
world = MPI.COMM_WORLD
print(f"rank {world.Get_rank()} of {world.Get_size()}: {world.allreduce(world.Get_rank() + 1)}", flush=True)
"""

SERVING = """
import os
import numpy

def model_fn(model_dir):
    return float(open(os.path.join(model_dir, "factor")).read())

def predict_fn(data, model):
    return numpy.asarray(data) * model
"""


@pytest.fixture(scope="session")
def server(prebuilt, tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("millwright") / "data", config=f'[containers]\nsocket = "{prebuilt.socket}"\n').start()
    yield running
    running.end_everything()


def command(server, *arguments):
    return subprocess.run([BIN / "millwright", "images", *arguments, "--data-dir", server.folder], capture_output=True, text=True,
                          timeout=120)


def packed(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, text in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(text.encode())
            tar.addfile(about, io.BytesIO(text.encode()))
    return archive.getvalue()


@pytest.fixture
def run_script(sm, script_request, finish, log_lines):
    """A job of these files in an image; returns its description and the log of its first host."""

    def run(image, files, name, **changes):
        sm.create_training_job(**script_request(files, image=image, TrainingJobName=name, **changes))
        return finish(name, 300), log_lines(name)

    return run


def report_of(lines):
    found = [line for line in lines if line.startswith("REPORT ")]
    assert len(found) == 1, lines[-20:]
    return json.loads(found[0][len("REPORT "):])


def test_a_script_sees_the_same_with_and_without_a_container(python_image, run_script, unique, bucket):
    """All differences are here."""
    changes = {"hyperparameters": {"epochs": "3", "name": json.dumps("a b")}, "Environment": {"SM_OWN": "x"}}
    seen = []
    for image, name in ((PYTHON, f"{unique}-p"), (python_image, f"{unique}-c")):
        about, lines = run_script(image, {"train.py": REPORT, "helper.py": ""}, name, **changes)
        assert about["TrainingJobStatus"] == "Completed", (about["FailureReason"], lines[-10:])
        text = json.dumps(report_of(lines)).replace(name, "JOB")
        seen.append(json.loads(text))
    plain, contained = seen
    variables = [report.pop("variables") for report in seen]
    assert plain == contained
    differing = {name for name in variables[0].keys() | variables[1].keys() if variables[0].get(name) != variables[1].get(name)}
    assert differing <= {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "SM_TRAINING_ENV", "PYTHONPATH"}, {
        name: [one.get(name) for one in variables] for name in differing}
    environments = [json.loads(one["SM_TRAINING_ENV"]) for one in variables]
    assert environments[0] == environments[1]


def test_a_script_fails_with_the_same_words(python_image, run_script, unique):
    script = "import sys\nprint('before', flush=True)\nraise ValueError('no such column')\n"
    reasons = []
    for image, name in ((PYTHON, f"{unique}-p"), (python_image, f"{unique}-c")):
        about, lines = run_script(image, {"train.py": script}, name, hyperparameters={"epochs": "3"})
        assert about["TrainingJobStatus"] == "Failed" and "before" in lines
        reasons.append(about["FailureReason"])
    # Behind the reason is where the log has it, and an environment's log begins with a line about versions.
    plain, contained = (reason.partition(" (line ")[0] for reason in reasons)
    assert "ValueError: no such column" in plain and plain == contained


def test_two_hosts_work_together_by_mpi(python_image, run_script, unique):
    mpi = {"sagemaker_mpi_enabled": True, "sagemaker_mpi_num_of_processes_per_host": 2}
    about, lines = run_script(python_image, {"train.py": MPI}, unique, hyperparameters=mpi, ResourceConfig={
        "InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5})
    assert about["TrainingJobStatus"] == "Completed", (about["FailureReason"], lines[-10:])
    for rank in range(4):
        assert any(f"rank {rank} of 4: 10" in line for line in lines), lines


def test_an_alias_puts_the_image_in_the_place_of_awss(server, python_image, run_script, unique):
    done = command(server, "alias", "pytorch-training", python_image)
    assert done.returncode == 0, done.stderr
    try:
        for uri in (PYTORCH, "public.ecr.aws/deep-learning-containers/pytorch-training:2.0.0-cpu-py310"):
            name = f"{unique}-{len(uri)}"
            about, lines = run_script(uri, {"train.py": "import sys\nprint(sys.prefix)\n"}, name)
            assert about["TrainingJobStatus"] == "Completed", (about["FailureReason"], lines[-10:])
            assert "/opt/millwright/environment" in lines, lines
            assert about["AlgorithmSpecification"]["TrainingImage"] == uri
        assert f"pytorch-training means {python_image}" in command(server, "list").stdout
    finally:
        assert command(server, "alias", "pytorch-training", "--remove").returncode == 0


def test_built_images_are_listed_and_removed(server, prebuilt, python_image):
    assert "millwright/python:latest" in command(server, "list").stdout
    prebuilt.docker("tag", python_image, "millwright/python:extra")
    done = command(server, "remove", "millwright/python:extra")
    assert done.returncode == 0, done.stderr
    listed = command(server, "list").stdout
    assert "millwright/python:extra" not in listed and "millwright/python:latest" in listed
    done = command(server, "remove", "test-base:latest")
    assert done.returncode != 0 and prebuilt.docker("images", "-q", prebuilt.base_image), done.stderr


@pytest.fixture
def invoke(server, sm, runtime, s3, bucket, unique):
    """Serves a model and asks it once."""

    def ask(image, data, body, content_type, environment, accept="text/csv"):
        s3.put_object(Bucket=bucket, Key=f"{unique}/model.tar.gz", Body=data)
        role = f"arn:aws:iam::{server.account}:role/SageMakerRole"
        sm.create_model(ModelName=unique, ExecutionRoleArn=role, PrimaryContainer={
            "Image": image, "ModelDataUrl": f"s3://{bucket}/{unique}/model.tar.gz", "Environment": environment})
        sm.create_endpoint_config(EndpointConfigName=unique, ProductionVariants=[
            {"VariantName": "all", "ModelName": unique, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}])
        sm.create_endpoint(EndpointName=unique, EndpointConfigName=unique)
        try:
            sm.get_waiter("endpoint_in_service").wait(EndpointName=unique, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
            answer = runtime.invoke_endpoint(EndpointName=unique, ContentType=content_type, Accept=accept, Body=body)
            return answer["Body"].read()
        finally:
            sm.delete_endpoint(EndpointName=unique)

    return ask


def test_a_model_of_a_framework_is_served_by_the_image_that_nobody_names(python_image, invoke):
    model = packed({"factor": "2", "code/inference.py": SERVING})
    assert invoke(PYTHON, model, b"1,2.5\n3,4\n", "text/csv", {"SAGEMAKER_PROGRAM": "inference.py"}) == b"2.0,5.0\n6.0,8.0\n"


def test_what_is_not_there_is_refused_with_the_way_to_get_it(server, sm, s3, bucket, unique, prebuilt, python_image):
    s3.put_object(Bucket=bucket, Key=f"{unique}.tar.gz", Body=packed({"x": ""}))
    # A recipe that these tests never build.
    image = "763104351884.dkr.ecr.us-west-2.amazonaws.com/tensorflow-inference:2.21.0-cpu"
    request = dict(ModelName=unique, ExecutionRoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole", PrimaryContainer={
        "Image": image, "ModelDataUrl": f"s3://{bucket}/{unique}.tar.gz"})
    with pytest.raises(sm.exceptions.ClientError) as refused:
        sm.create_model(**request)
    assert "`millwright images build tensorflow-2.21.0`" in str(refused.value)
    # AWS's own, as if it had been pulled.
    prebuilt.docker("tag", python_image, image)
    try:
        sm.create_model(**request)
    finally:
        prebuilt.docker("rmi", image)


def test_the_algorithms_train_and_serve_from_their_image(algorithms_image, sm, s3, bucket, training_request, finish, invoke, unique):
    known = {"MILLWRIGHT_ALGORITHM": "xgboost", "MILLWRIGHT_ALGORITHM_VERSION": "1.7-1"}
    sm.create_training_job(**training_request(image=algorithms_image, Environment=known))
    about = finish(unique, 300)
    assert about["TrainingJobStatus"] == "Completed", about["FailureReason"]
    key = about["ModelArtifacts"]["S3ModelArtifacts"].split("/", 3)[3]
    model = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    answers = [float(x) for x in invoke(algorithms_image, model, b".1,.1,0,0,0\n.9,.9,0,0,0\n", "text/csv", known).split()]
    assert answers[0] < 0.4 < 0.6 < answers[1], answers


def test_an_alias_makes_an_algorithm_a_container(server, algorithms_image, sm, s3, bucket, training_request, finish, invoke, unique):
    assert command(server, "alias", "pca", algorithms_image).returncode == 0
    try:
        wanted = {"feature_dim": "6", "num_components": "2", "mini_batch_size": "100"}
        sm.create_training_job(**training_request(wanted, image=PCA, content_type="text/csv;label_size=0"))
        about = finish(unique, 300)
        assert about["TrainingJobStatus"] == "Completed", about["FailureReason"]
        model = s3.get_object(Bucket=bucket, Key=about["ModelArtifacts"]["S3ModelArtifacts"].split("/", 3)[3])["Body"].read()
        answer = invoke(PCA, model, b"1,.1,.1,0,0,0\n0,.9,.9,0,0,0\n", "text/csv", {}, accept="application/json")
        assert [len(row["projection"]) for row in json.loads(answer)["projections"]] == [2, 2]
    finally:
        assert command(server, "alias", "pca", "--remove").returncode == 0
