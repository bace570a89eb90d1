"""An image of the user's own whose only file is a C program: trained and served with Docker, with Podman and without an
engine, by the same calls."""
import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "conformance"))
from engines import KINDS  # noqa: E402
from images import Image, compiled, layer, push  # noqa: E402
from server import BIN, Server  # noqa: E402

GROUP = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def unique():
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(HERE / "custom/program.c", tmp_path_factory.mktemp("program") / "program")


class Place:
    """A server, and the engine that runs its images; None: it does so without one."""

    def __init__(self, engine, server, image):
        self.engine, self.server, self.image = engine, server, image
        self.sm, self.s3, self.logs, self.runtime, self.iam = (
            server.client(name) for name in ("sagemaker", "s3", "logs", "sagemaker-runtime", "iam"))
        self.bucket = f"custom-{uuid.uuid4().hex[:8]}"
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        self.s3.put_object(Bucket=self.bucket, Key="data/a.csv", Body=b"1,2,3\n")
        self.s3.put_object(Bucket=self.bucket, Key="data/b.csv", Body=b"4,5,6\n")
        self.role = f"arn:aws:iam::{server.account}:role/SageMakerRole"

    def create(self, name, algorithm=None, **more):
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": self.image, "TrainingInputMode": "File",
                                       "MetricDefinitions": [{"Name": "mean", "Regex": "mean=([0-9.]+);"}],
                                       **(algorithm or {})},
            "RoleArn": self.role,
            "InputDataConfig": [{"ChannelName": "training", "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/data/"}}}],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/out"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600}, "Environment": {"MINE": "of the request"}, **more}
        self.sm.create_training_job(**request)

    def describe(self, name):
        return self.sm.describe_training_job(TrainingJobName=name)

    def wait(self, name, reached, seconds=120):
        deadline = time.monotonic() + seconds
        while True:
            job = self.describe(name)
            if reached(job):
                return job
            assert time.monotonic() < deadline, (job["TrainingJobStatus"], job.get("SecondaryStatusTransitions"), self.server.log()[-3000:])
            time.sleep(0.02)

    def end(self, name):
        return self.wait(name, lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"))

    def train(self, name, **more):
        self.create(name, **more)
        return self.end(name)

    def lines(self, name, host=1):
        streams = self.logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/algo-{host}-")["logStreams"]
        events = self.logs.get_log_events(logGroupName=GROUP, logStreamName=streams[0]["logStreamName"], startFromHead=True)
        return [event["message"] for event in events["events"]]

    def wait_for_line(self, name, line):
        def written(_):
            with contextlib.suppress(ClientError, IndexError):
                return line in self.lines(name)
        self.wait(name, written)

    def settled(self, endpoint):
        deadline = time.monotonic() + 240
        while True:
            about = self.sm.describe_endpoint(EndpointName=endpoint)
            if about["EndpointStatus"] not in ("Creating", "Updating"):
                return about
            assert time.monotonic() < deadline, about
            time.sleep(0.05)

    def deploy(self, *arguments, **more):
        return self.settled(self.begin_to_deploy(*arguments, **more))

    def begin_to_deploy(self, name, count=1, container=None, **model):
        self.sm.create_model(ModelName=name, ExecutionRoleArn=self.role, PrimaryContainer={"Image": self.image, **(container or {})}, **model)
        self.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
            {"VariantName": "v", "ModelName": name, "InitialInstanceCount": count, "InstanceType": "ml.m5.large",
             "ContainerStartupHealthCheckTimeoutInSeconds": 60}])
        self.sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return name

    def ask(self, endpoint, text):
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=text, ContentType="text/plain")
        return answer["Body"].read().decode()

    def clear(self, name):
        """Ends what a test with this name has left."""
        for known in self.sm.list_endpoints(NameContains=name)["Endpoints"]:
            with contextlib.suppress(ClientError):  # it went meanwhile
                if self.settled(known["EndpointName"])["EndpointStatus"] != "Deleting":
                    self.sm.delete_endpoint(EndpointName=known["EndpointName"])
            gone(self, known["EndpointName"])
        for known in self.sm.list_training_jobs(NameContains=name, StatusEquals="InProgress")["TrainingJobSummaries"]:
            with contextlib.suppress(ClientError):  # it has ended meanwhile
                self.sm.stop_training_job(TrainingJobName=known["TrainingJobName"])
            self.end(known["TrainingJobName"])

    def containers(self):
        """Of runs, running or not, in the engine; nothing without one. What stands ready for the next run does not count."""
        return [about for about in self.engine.ours(folder=self.server.folder) if "millwright.run" in about["Labels"]] if self.engine else []


@pytest.fixture(scope="module", params=["none", *KINDS])
def place(request, tmp_path_factory, program, engines):
    folder = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as stack:
        config, engine = '[containers]\nengine = "none"\n', None
        if request.param != "none":
            engine = engines(request.param)
            config = f'[containers]\nengine = "{request.param}"\nsocket = "{engine.socket}"\n'
        server = Server(folder / "server", config=config + "[jobs]\nvcpus = 64\n").start()
        stack.callback(server.end_everything)
        image = Image(layer({"program": program, "work/kept": b""}), Entrypoint=["/program"], Cmd=["unused"],
                      Env=["OF_THE_IMAGE=yes", "PATH=/"], WorkingDir="/work")
        made = Place(engine, server, push(server, image, "team/custom", "v1"))
        if request.param == "docker":
            made.begin_to_deploy("silent", 1, {"Environment": {"SAGEMAKER_BIND_TO_PORT": "8081"}})
        yield made
        remaining = [job["TrainingJobName"] for job in
                     server.client("sagemaker").list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]]
        assert not remaining


@pytest.fixture(autouse=True)
def cleared(place, unique):
    """What a failed test leaves is not the next one's."""
    yield
    with contextlib.suppress(EndpointConnectionError):  # of a server that did not start again
        place.clear(unique)


def test_it_trains(place, unique):
    job = place.train(unique, HyperParameters={"unused": "1"})
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    lines = place.lines(unique)
    assert lines[:2] == ["argument 0: /program", "argument 1: train"]
    assert 'hyperparameters: {"unused":"1"}' in lines
    assert "variable: of the request" in lines and "of the image: yes" in lines and "credentials: yes" in lines
    assert "folder: /work" in lines
    assert "mean=3.500000;" in lines
    assert job["FinalMetricDataList"][0]["Value"] == 3.5
    steps = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert steps[0] == "Starting" and steps[-4:] == ["Downloading", "Training", "Uploading", "Completed"]
    begun = place.s3.head_object(Bucket=place.bucket, Key=f"out/{unique}/output/model.tar.gz")
    assert begun["ContentLength"] > 0


@pytest.mark.parametrize("algorithm, arguments", [
    ({"ContainerArguments": ["a", "b c"]}, ["/program", "a", "b c"]),
    ({"ContainerEntrypoint": ["/program", "x"]}, ["/program", "x"]),
    ({"ContainerEntrypoint": ["program"], "ContainerArguments": ["y"]}, ["program", "y"]),
])
def test_the_words_of_the_request_take_their_places(place, unique, algorithm, arguments):
    job = place.train(unique, algorithm=algorithm)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    said = [line.split(": ", 1)[1] for line in place.lines(unique) if line.startswith("argument ")]
    assert said == arguments


def test_two_hosts_have_their_names(place, unique):
    job = place.train(unique, ResourceConfig={"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5})
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    for host in (1, 2):
        resources = json.loads(next(line for line in place.lines(unique, host) if line.startswith("resources: "))[11:])
        assert resources["current_host"] == f"algo-{host}" and resources["hosts"] == ["algo-1", "algo-2"]


def test_its_failure_is_the_reason(place, unique):
    job = place.train(unique, HyperParameters={"fail": "I will not"})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: I will not, exit code: 3"), job["FailureReason"]


def test_a_command_that_is_not_there_is_the_users_fault(place, unique):
    job = place.train(unique, algorithm={"ContainerEntrypoint": ["/absent"]}, RetryStrategy={"MaximumRetryAttempts": 3})
    assert job["FailureReason"].startswith(f"ClientError: The container of image {place.image} cannot be started: ")
    assert "/absent" in job["FailureReason"]
    assert "Restarting" not in [step["Status"] for step in job["SecondaryStatusTransitions"]]


@pytest.mark.parametrize("image", [
    lambda program: Image(layer({"program": program}), Cmd=["/program"]),
    lambda program: Image(layer({"bin/train": program, "bin/serve": program}, mode=0o644), Env=["PATH=/bin"]),
], ids=["absent", "not executable"])
def test_an_image_must_have_a_program_train_or_serve(place, program, unique, image):
    name = push(place.server, image(program), f"team/{unique}")
    advice = r"\(An image without an entry point needs an executable program named {} in a folder of its PATH\.\)"
    reason = place.train(unique, algorithm={"TrainingImage": name})["FailureReason"]
    assert reason.startswith(f"ClientError: The container of image {name} cannot be started: "), reason
    assert re.search(advice.format("train"), reason), reason
    reason = place.deploy(unique, 1, {"Image": name})["FailureReason"]
    assert re.search("Could not start production variant v: .*" + advice.format("serve"), reason), reason
    place.sm.delete_endpoint(EndpointName=unique)


def test_a_file_that_is_no_program_is_told(place, unique):
    name = push(place.server, Image(layer({"bin/train": b"no program"}), Env=["PATH=/bin"]), f"team/{unique}")
    reason = place.train(unique, algorithm={"TrainingImage": name})["FailureReason"]
    assert re.match("(Client|Algorithm)Error: .*train: [Ee]xec format error", reason), reason


def test_an_image_for_another_machine_is_refused(place, program, unique):
    name = push(place.server, Image(layer({"program": program}), architecture="s390x", Entrypoint=["/program"]), f"team/{unique}")
    with pytest.raises(ClientError, match="for the architecture s390x, this machine's is "):
        place.create(unique, algorithm={"TrainingImage": name})
    with pytest.raises(ClientError, match="for the architecture s390x, this machine's is "):
        place.sm.create_model(ModelName=unique, ExecutionRoleArn=place.role, PrimaryContainer={"Image": name})


def test_stopping_keeps_what_it_has_written(place, unique):
    place.create(unique, HyperParameters={"sleep": "300"})
    place.wait_for_line(unique, "ready")
    place.sm.stop_training_job(TrainingJobName=unique)
    job = place.end(unique)
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("model.tar.gz")


def test_an_isolated_job_has_no_credentials(place, unique):
    job = place.train(unique, EnableNetworkIsolation=True)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert "credentials: no" in place.lines(unique)


def test_a_killed_server_finds_its_runs_again(place, unique):
    place.create(unique, HyperParameters={"sleep": "3"})
    place.wait_for_line(unique, "ready")
    place.server.kill()
    place.server.start()
    job = place.end(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert place.lines(unique).count("ready") == 1


def test_a_shell_beside_it(place, unique):
    place.create(unique, HyperParameters={"sleep": "300"})
    place.wait_for_line(unique, "ready")
    done = subprocess.run([BIN / "millwright", "jobs", "enter", unique, "--data-dir", place.server.folder, "--", "/program",
                           "beside"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert "argument 1: beside" in done.stdout, done.stdout + done.stderr
    assert "variable: of the request" in done.stdout
    place.sm.stop_training_job(TrainingJobName=unique)
    place.end(unique)


def test_missing_images_are_refused_in_aws_words(place, unique):
    with pytest.raises(ClientError, match="Cannot find requested image: v9 in repository: team/custom in registry ID"):
        place.create(unique, algorithm={"TrainingImage": place.image.replace(":v1", ":v9")})
    with pytest.raises(ClientError, match="Cannot find repository: absent in registry ID"):
        place.create(unique, algorithm={"TrainingImage": place.image.replace("team/custom", "absent")})
    with pytest.raises(ClientError, match="Requested image .*:v9 not found"):
        place.sm.create_model(ModelName=unique, ExecutionRoleArn=place.role,
                              PrimaryContainer={"Image": place.image.replace(":v1", ":v9")})


def test_the_role_must_be_allowed_to_pull(place, unique):
    place.iam.create_role(RoleName=unique, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}}))

    def allow(*actions):
        place.iam.put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}))
    role = f"arn:aws:iam::{place.server.account}:role/{unique}"
    allow("s3:*", "ecr:GetDownloadUrlForLayer")
    with pytest.raises(ClientError, match="Access denied for repository: team/custom in registry ID"):
        place.create(unique, RoleArn=role)
    allow("s3:*", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
    assert place.train(unique, RoleArn=role)["TrainingJobStatus"] == "Completed"


def test_it_serves_what_it_has_trained(place, unique):
    job = place.train(unique)
    about = place.deploy(unique, 2, {"ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]})
    assert about["EndpointStatus"] == "InService", about.get("FailureReason")
    assert about["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert place.ask(unique, "mine") == "mean 3.500000 of mine"
    # Served on by the next server, and a replica that dies is replaced.
    place.server.kill()
    place.server.start()
    eventually(lambda: place.ask(unique, "again") == "mean 3.500000 of again")
    eventually(lambda: place.sm.describe_endpoint(EndpointName=unique)["ProductionVariants"][0]["CurrentInstanceCount"] == 2)
    with contextlib.suppress(ClientError):
        place.ask(unique, "die")
    eventually(lambda: place.sm.describe_endpoint(EndpointName=unique)["ProductionVariants"][0]["CurrentInstanceCount"] == 2)
    for _ in range(10):
        eventually(lambda: place.ask(unique, "still") == "mean 3.500000 of still")
    # It was asked of both; what a container says arrives when its engine passes it on.
    eventually(lambda: len(place.logs.describe_log_streams(logGroupName=f"/aws/sagemaker/Endpoints/{unique}")["logStreams"]) == 4)
    place.sm.delete_endpoint(EndpointName=unique)
    gone(place, unique)


def eventually(holds, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ClientError, urllib.request.URLError):
            if holds():
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def gone(place, endpoint):
    def missing():
        try:
            place.sm.describe_endpoint(EndpointName=endpoint)
        except ClientError as failure:
            return "Could not find" in str(failure)
    eventually(missing)


def test_model_data_may_be_a_prefix_or_nothing(place, unique):
    place.s3.put_object(Bucket=place.bucket, Key="model/mean.txt", Body=b"7")
    about = place.deploy(unique, 1, {"ModelDataSource": {"S3DataSource": {
        "S3Uri": f"s3://{place.bucket}/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}}})
    assert about["EndpointStatus"] == "InService", about.get("FailureReason")
    assert place.ask(unique, "x") == "mean 7 of x"
    bare = f"{unique}-bare"
    assert place.deploy(bare, EnableNetworkIsolation=True)["EndpointStatus"] == "InService"
    assert place.ask(bare, "x") == "mean  of x"
    for name in (unique, bare):
        place.sm.delete_endpoint(EndpointName=name)
        gone(place, name)


def test_what_ping_answered_is_the_reason(place, unique):
    about = place.deploy(unique, 1, {"Environment": {"PING_STATUS": "503", "EXIT_AFTER_PINGS": "3"}})
    assert about["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in about["FailureReason"]
    # Whether it ends before it is asked once more is the machine's affair.
    time_of = r"\d{4}-\d\d-\d\dT[0-9:]{8}Z"
    assert re.search(rf"/ping was last asked at {time_of}: (.*; at {time_of} )?it answered 503; then it ended with exit code 9",
                     about["FailureReason"]), about["FailureReason"]
    place.sm.delete_endpoint(EndpointName=unique)
    gone(place, unique)


def test_a_port_that_nobody_serves_is_the_reason(place):
    if not place.engine or place.engine.kind != "docker":
        pytest.skip("it takes a minute; once is enough")
    try:
        about = place.settled("silent")  # began with the first test
        assert about["EndpointStatus"] == "Failed"
        assert re.search(r"did not pass the ping health check.*\(/ping was last asked at [0-9T:-]+Z: "
                         r"no answer on port 8080 of the container \(.+\)\)$", about["FailureReason"]), about
        # Its minute begins anew with each server, and tests before this one kill two.
        waited = (about["LastModifiedTime"] - about["CreationTime"]).total_seconds()
        assert 60 <= waited < 3 * 60 + 120
    finally:
        place.clear("silent")


def test_nothing_is_left_in_the_engine(place):
    eventually(lambda: not place.containers())
