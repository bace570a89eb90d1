"""A server whose images run in an engine, and what tests ask of it."""
import contextlib
import time
import uuid

from botocore.exceptions import ClientError
from images import push
from server import Server

GROUP = "/aws/sagemaker/TrainingJobs"


class EngineJobs:
    def __init__(self, engine, folder, config=""):
        self.engine = engine
        self.server = Server(folder, config=f'[containers]\nengine = "{engine.kind}"\nsocket = "{engine.socket}"\n'
                                            f"[jobs]\nvcpus = 64\n{config}")
        self.server.start()
        self.role = f"arn:aws:iam::{self.server.account}:role/SageMakerRole"
        self.bucket = f"engine-{uuid.uuid4().hex[:8]}"
        self.connect()
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})

    def connect(self):
        names = {"sm": "sagemaker", "s3": "s3", "logs": "logs", "runtime": "sagemaker-runtime"}
        for attribute, name in names.items():
            setattr(self, attribute, self.server.client(name, read_timeout=20))

    def push(self, image, repository):
        return push(self.server, image, repository, "v1")

    def create(self, name, image, hosts=1, **more):
        self.sm.create_training_job(**{
            "TrainingJobName": name, "RoleArn": self.role,
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/out"},
            "ResourceConfig": {"InstanceCount": hosts, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600}, **more})

    def job(self, name):
        return self.sm.describe_training_job(TrainingJobName=name)

    def wait(self, name, reached, seconds=240):
        deadline = time.monotonic() + seconds
        while True:
            job = self.job(name)
            if reached(job):
                return job
            assert time.monotonic() < deadline, (job["TrainingJobStatus"], job.get("SecondaryStatusTransitions"),
                                                 self.server.log()[-3000:])
            time.sleep(0.05)

    def wait_for_end(self, name, seconds=240):
        return self.wait(name, lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"), seconds)

    def lines(self, name, host=1):
        streams = self.logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/algo-{host}-")["logStreams"]
        lines, token = [], {}
        while streams:
            page = self.logs.get_log_events(logGroupName=GROUP, logStreamName=streams[0]["logStreamName"], startFromHead=True, **token)
            lines += [event["message"] for event in page["events"]]
            if token.get("nextToken") == page["nextForwardToken"]:
                break
            token = {"nextToken": page["nextForwardToken"]}
        return lines

    def wait_for_line(self, name, begins, host=1, seconds=120):
        def written(job):
            with contextlib.suppress(ClientError):
                if any(line.startswith(begins) for line in self.lines(name, host)):
                    return True
            # Read after the description: of a job that had ended these were all lines.
            assert job["TrainingJobStatus"] == "InProgress", (job.get("FailureReason"), self.lines(name, host))
            return False
        self.wait(name, written, seconds)

    def deploy(self, name, image, count=1, **container):
        self.sm.create_model(ModelName=name, ExecutionRoleArn=self.role, PrimaryContainer={"Image": image, **container})
        self.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
            {"VariantName": "v", "ModelName": name, "InitialInstanceCount": count, "InstanceType": "ml.m5.large",
             "ContainerStartupHealthCheckTimeoutInSeconds": 60}])
        self.sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
        deadline = time.monotonic() + 240
        while True:
            about = self.sm.describe_endpoint(EndpointName=name)
            if about["EndpointStatus"] != "Creating":
                assert about["EndpointStatus"] == "InService", about
                return
            assert time.monotonic() < deadline, (about, self.server.log()[-3000:])
            time.sleep(0.05)

    def ask(self, endpoint, text="x"):
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=text, ContentType="text/plain")
        return answer["Body"].read().decode()

    def delete_endpoint(self, name):
        self.sm.delete_endpoint(EndpointName=name)
        deadline = time.monotonic() + 120
        while any(known["EndpointName"] == name for known in self.sm.list_endpoints()["Endpoints"]):
            assert time.monotonic() < deadline, "the endpoint does not go"
            time.sleep(0.05)

    def containers(self, **labels):
        """What the engine says of this server's containers with these labels ("run", "gate", …); True: of any value."""
        label = [f"millwright.{name}" if value is True else f"millwright.{name}={value}" for name, value in labels.items()]
        deadline = time.monotonic() + 30
        while True:
            try:
                return [self.engine.call("GET", f"/containers/{found['Id']}/json")
                        for found in self.engine.ours(folder=self.server.folder, labels=label)]
            except RuntimeError:  # one was removed after the list was made
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def close(self):
        self.server.end_everything()
