"""What clients were promised: a workload that notes what it asks for and what was acknowledged, and a reader that
compares a server with the notes.

Everything is a resource with a value; None means that it is not there. `begin` notes the value that a request asks for,
`done` that it was acknowledged. A request without an answer may have happened or not, one that was acknowledged must
have, and nothing else is allowed. One thread works on a resource.
"""
import contextlib
import hashlib
import io
import json
import random
import tarfile
import threading
import time

from botocore.exceptions import ClientError
from registry_client import Registry
from registry_images import digest_of, manifest_of, push_layer

IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
BUCKET = "promised-bucket"
GROUP = "/promised"
REPOSITORY = "promised/images"
PART = 5 << 20


class Promises:
    """Writes notes by `note(text)`; thread-safe."""

    def __init__(self, note):
        self.note, self.lock, self.count, self.errors = note, threading.Lock(), 0, []

    @contextlib.contextmanager
    def asked(self, **kinds):
        """asked(object={"key": "value"}): the block is the request; an AWS error in it is an answer, too."""
        values = {f"{kind}/{name}": value for kind, some in kinds.items() for name, value in some.items()}
        with self.lock:
            self.count += 1
            number = self.count
        self.note(json.dumps(["begin", number, values]))
        yield
        self.note(json.dumps(["done", number]))

    def seen(self, **kinds):
        with self.asked(**kinds):
            pass


def allowed_by(notes):
    """From the notes in their order: resource to the set of values it may have."""
    allowed, asked = {}, {}
    for text in notes:
        word, number, *rest = json.loads(text)
        if word == "begin":
            asked[number] = rest[0]
            for resource, value in rest[0].items():
                allowed.setdefault(resource, {None}).add(value)
        else:
            for resource, value in asked[number].items():
                allowed[resource] = {value}
    return allowed


def notes_of(values):
    """The notes of a server that holds exactly these."""
    return [json.dumps(["begin", 0, {k: v for k, v in values.items() if v is not None}]), json.dumps(["done", 0])]


def client(server, service, known={}):
    """As server.client(), made once: that takes longer than many requests."""
    key = (server.url, server.credentials["AccessKeyId"], service)
    if key not in known:
        known[key] = server.client(service, read_timeout=20, connect_timeout=5, max_pool_connections=20)
    return known[key]


def digest(body):
    return f"{len(body)}:{hashlib.sha256(body).hexdigest()[:16]}"


def training_request(server, name, rounds="2", **changes):
    return {**dict(
        TrainingJobName=name, RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}}}],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/output"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        HyperParameters={"num_round": rounds, "objective": "binary:logistic", "max_depth": "2"}), **changes}


def prepare(server):
    """What the workload needs; not watched."""
    s3 = client(server, "s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    chooser = random.Random(7)
    rows = "".join(f"{i % 2},{i % 2 + chooser.random()},{chooser.random()}\n" for i in range(100))
    s3.put_object(Bucket=BUCKET, Key="data/x.csv", Body=rows.encode())
    client(server, "logs").create_log_group(logGroupName=GROUP)
    client(server, "ecr").create_repository(repositoryName=REPOSITORY)


class Workload:
    """Clients of every kind of write. `tolerant`: errors are collected and the next request follows, and nobody waits
    for jobs."""

    def __init__(self, server, promises, seed, size=1.0, tolerant=False, jobs=True):
        self.server, self.promises, self.seed, self.size, self.tolerant = server, promises, seed, size, tolerant
        self.failures, self.slowest, self.jobs_made = [], 0.0, []
        self.kinds = [self.objects, self.uploads, self.records, self.streams, self.images] + ([self.jobs] if jobs else [])

    def run(self, deadline=120):
        threads = [threading.Thread(target=self._guarded, args=(kind,), daemon=True) for kind in self.kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(deadline)
            assert not thread.is_alive(), "a client hangs"
        return self

    def _guarded(self, kind):
        try:
            kind(random.Random(f"{self.seed}/{kind.__name__}"))
        except Exception as failure:  # of a server that has ended, or of the test itself
            self.failures.append(failure)

    def client(self, service):
        return client(self.server, service)

    @contextlib.contextmanager
    def asked(self, **kinds):
        begun = time.monotonic()
        try:
            with self.promises.asked(**kinds):
                yield
        except ClientError as error:
            if not self.tolerant:
                raise
            self.failures.append(error)
        finally:
            self.slowest = max(self.slowest, time.monotonic() - begun)

    def often(self, count):
        return range(max(1, round(count * self.size)))

    def objects(self, chooser):
        s3 = self.client("s3")
        keys = [f"objects/{n}" for n in range(12)]
        for _ in self.often(60):
            key, way = chooser.choice(keys), chooser.random()
            if way < 0.55:
                body = chooser.randbytes(chooser.choice([0, 10, 600, 5000, 5000, 40_000, 700_000]))
                with self.asked(object={key: digest(body)}):
                    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
            elif way < 0.75:
                with self.asked(object={key: None}):
                    s3.delete_object(Bucket=BUCKET, Key=key)
            elif way < 0.85:
                some = chooser.sample(keys, 4)
                with self.asked(object={key: None for key in some}):
                    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in some]})
                    if answer.get("Errors"):
                        raise ClientError({"Error": answer["Errors"][0]}, "DeleteObjects")
            else:
                body = chooser.randbytes(3000)
                source, target = f"copies/source-{chooser.randrange(3)}", f"copies/target-{chooser.randrange(3)}"
                with self.asked(object={source: digest(body)}):
                    s3.put_object(Bucket=BUCKET, Key=source, Body=body)
                    with self.asked(object={target: digest(body)}):
                        s3.copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": source})

    def uploads(self, chooser):
        s3 = self.client("s3")
        for number in self.often(5):
            key = f"uploads/{number}"
            try:
                upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
            except ClientError as error:
                if not self.tolerant:
                    raise
                self.failures.append(error)
                continue
            about = dict(Bucket=BUCKET, Key=key, UploadId=upload)
            bodies = [chooser.randbytes(PART), chooser.randbytes(chooser.choice([1, 70_000, PART]))]
            done = {}
            for part, body in enumerate(bodies, 1):
                with self.asked(part={f"{key}#{upload}#{part}": digest(body).split(":")[0]}):
                    done[part] = s3.upload_part(**about, PartNumber=part, Body=body)["ETag"]
            gone = {f"{key}#{upload}#{part}": None for part in done}
            if number % 4 == 2:
                with self.asked(part=gone, object={key: None}):
                    s3.abort_multipart_upload(**about)
            elif number % 4 != 3 and len(done) == len(bodies):
                parts = [{"PartNumber": part, "ETag": tag} for part, tag in done.items()]
                with self.asked(part=gone, object={key: digest(b"".join(bodies))}):
                    s3.complete_multipart_upload(**about, MultipartUpload={"Parts": parts})

    def records(self, chooser):
        sm, iam = self.client("sagemaker"), self.client("iam")
        arn, tags = f"arn:aws:sagemaker:us-west-2:{self.server.account}:model/", {}
        for number in self.often(14):
            name = f"model-{self.seed}-{chooser.randrange(5)}"
            if name not in tags:
                with self.asked(model={name: "there"}, tags={name: "{}"}):
                    sm.create_model(ModelName=name, ExecutionRoleArn=f"arn:aws:iam::{self.server.account}:role/SageMakerRole",
                                    PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/data/x.csv"})
                    tags[name] = {}
            elif chooser.random() < 0.6:
                wanted = {**tags[name], f"k{chooser.randrange(3)}": str(number)}
                with self.asked(tags={name: json.dumps(wanted, sort_keys=True)}):
                    sm.add_tags(ResourceArn=arn + name, Tags=[{"Key": k, "Value": v} for k, v in wanted.items()])
                    tags[name] = wanted
            else:
                with self.asked(model={name: None}, tags={name: None}):
                    sm.delete_model(ModelName=name)
                    del tags[name]
            user = f"user-{self.seed}-{number % 4}"
            with self.asked(user={user: "there"}):
                iam.create_user(UserName=user)
            with self.asked(user={user: None}):
                iam.delete_user(UserName=user)

    def streams(self, chooser):
        logs, cloudwatch = self.client("logs"), self.client("cloudwatch")
        lines, samples, metric = {}, 0, f"m-{self.seed}"
        for number in self.often(16):
            stream = f"stream-{self.seed}-{number % 3}"
            if stream not in lines:
                with self.asked(events={stream: ""}):
                    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
                    lines[stream] = []
                continue
            wanted = lines[stream] + [f"{number}.{i} {'x' * chooser.randrange(200)}" for i in range(chooser.randrange(1, 5))]
            with self.asked(events={stream: digest("\n".join(wanted).encode())}):
                logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=[
                    {"timestamp": int(time.time() * 1000), "message": line} for line in wanted[len(lines[stream]):]])
                lines[stream] = wanted
            with self.asked(samples={metric: samples + 1}):
                cloudwatch.put_metric_data(Namespace="promised", MetricData=[{"MetricName": metric, "Value": 1.0}])
                samples += 1

    def images(self, chooser):
        ecr = self.client("ecr")
        for number in self.often(8):
            tag, layer = f"v{self.seed}-{chooser.randrange(3)}", chooser.randbytes(chooser.choice([10, 5000, 300_000]))
            config = json.dumps({"seed": self.seed, "number": number}).encode()
            for body in (layer, config):
                with self.asked(layer={digest_of(body): "there"}):
                    push_layer(ecr, REPOSITORY, body, 100_000)
            manifest = manifest_of([layer], config)
            with self.asked(image={tag: digest_of(manifest.encode())}):
                ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag=tag)
            if number % 4 == 3:
                with self.asked(image={tag: None}):
                    answer = ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])
                    if answer["failures"]:
                        raise ClientError({"Error": {"Code": answer["failures"][0]["failureCode"]}}, "BatchDeleteImage")

    def jobs(self, chooser):
        sm = self.client("sagemaker")
        for number in self.often(5):
            name = f"job-{self.seed}-{number}"
            created = []
            with self.asked(job={name: "there"}):
                sm.create_training_job(**training_request(self.server, name, rounds=chooser.choice(["1", "40"])))
                created.append(name)
            self.jobs_made.append(name)
            if created and number % 3 == 1:
                with self.asked():
                    sm.stop_training_job(TrainingJobName=name)
            if created and number % 3 != 2 and not self.tolerant:
                with self.asked():
                    self.until_ended(sm, name)
        for number in [] if self.tolerant else self.often(5):
            with self.asked():
                self.until_ended(sm, f"job-{self.seed}-{number}")

    def until_ended(self, sm, name):
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            status = sm.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
            if status not in ("InProgress", "Stopping"):
                return self.promises.seen(end={name: status})
            time.sleep(0.05)
        raise AssertionError(f"{name} does not end")


def missing(error):
    return error.response["ResponseMetadata"].get("HTTPStatusCode") == 404 or \
        error.response["Error"]["Code"] in ("ValidationException", "ResourceNotFoundException", "NoSuchEntity", "NoSuchUpload")


class Reader:
    """What the server has now, as values of the same kind."""

    def __init__(self, server):
        self.server = server
        self.clients = {name: client(server, name) for name in ("s3", "sagemaker", "iam", "logs", "cloudwatch", "ecr")}
        self.registry = Registry(server)

    def value(self, resource):
        kind, name = resource.split("/", 1)
        try:
            return getattr(self, kind)(name)
        except ClientError as error:
            if missing(error):
                return None
            raise

    def object(self, key):
        return digest(self.clients["s3"].get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def part(self, name):
        key, upload, number = name.split("#")
        parts = self.clients["s3"].list_parts(Bucket=BUCKET, Key=key, UploadId=upload).get("Parts", [])
        return {str(part["PartNumber"]): str(part["Size"]) for part in parts}.get(number)

    def model(self, name):
        self.clients["sagemaker"].describe_model(ModelName=name)
        return "there"

    def tags(self, name):
        arn = self.clients["sagemaker"].describe_model(ModelName=name)["ModelArn"]
        tags = self.clients["sagemaker"].list_tags(ResourceArn=arn)["Tags"]
        return json.dumps({tag["Key"]: tag["Value"] for tag in tags}, sort_keys=True)

    def user(self, name):
        self.clients["iam"].get_user(UserName=name)
        return "there"

    def events(self, stream):
        page = self.clients["logs"].get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)
        lines = [event["message"] for event in page["events"]]
        return digest("\n".join(lines).encode()) if lines else ""

    def samples(self, name):
        now = time.time()
        points = self.clients["cloudwatch"].get_metric_statistics(
            Namespace="promised", MetricName=name, StartTime=now - 7200, EndTime=now + 7200, Period=86400,
            Statistics=["SampleCount"])["Datapoints"]
        return int(sum(point["SampleCount"] for point in points)) or None

    def layer(self, digest):
        answer = self.registry("GET", f"/v2/{REPOSITORY}/blobs/{digest}")
        if answer.status == 404:
            return None
        return "there" if answer.status == 200 and digest_of(answer.body) == digest else f"{answer.status}, {len(answer.body)} bytes"

    def image(self, tag):
        """With all its layers."""
        found = self.clients["ecr"].batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])["images"]
        if not found:
            return None
        manifest = json.loads(found[0]["imageManifest"])
        lost = [entry["digest"] for entry in [manifest["config"], *manifest["layers"]] if self.layer(entry["digest"]) != "there"]
        return f"without {lost}" if lost else digest_of(found[0]["imageManifest"].encode())

    def job(self, name):
        self.clients["sagemaker"].describe_training_job(TrainingJobName=name)
        return "there"

    def end(self, name):
        status = self.clients["sagemaker"].describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
        return None if status in ("InProgress", "Stopping") else status


def broken_promises(server, notes, found=None):
    """What a client would complain about, as lines of text. `found` gets what is there."""
    reader, complaints, allowed = Reader(server), [], allowed_by(notes)
    found = {} if found is None else found
    for resource, values in allowed.items():
        if resource.startswith("end/") and None in values:
            continue
        value = found[resource] = reader.value(resource)
        if value not in values:
            complaints.append(f"{resource} is {value}, not {sorted(map(str, values))}")
    complaints += half_visible(reader, allowed)
    return complaints


def half_visible(reader, allowed):
    """Objects that are listed can be read, and are nothing that nobody asked for."""
    complaints = []
    for page in reader.clients["s3"].get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            body = reader.clients["s3"].get_object(Bucket=BUCKET, Key=key)["Body"].read()
            if len(body) != entry["Size"]:
                complaints.append(f"{key} is listed with {entry['Size']} bytes and has {len(body)}")
            if not key.startswith(("data/", "output/", "probes/")) and f"object/{key}" not in allowed:
                complaints.append(f"nobody has put {key}")
    return complaints


def bad_ends(server, names, seconds=120):
    """Jobs that do not end, or say Completed without a model."""
    sm, s3, complaints = client(server, "sagemaker"), client(server, "s3"), []
    deadline = time.monotonic() + seconds
    for name in names:
        while True:
            try:
                job = sm.describe_training_job(TrainingJobName=name)
            except ClientError as error:
                if missing(error):
                    break
                raise
            if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                if job["TrainingJobStatus"] == "Completed":
                    body = s3.get_object(Bucket=BUCKET, Key=f"output/{name}/output/model.tar.gz")["Body"].read()
                    with tarfile.open(fileobj=io.BytesIO(body)) as model:
                        if not any(member.name == "xgboost-model" and member.size > 0 for member in model):
                            complaints.append(f"{name} is Completed without a model")
                break
            if time.monotonic() > deadline:
                complaints.append(f"{name} does not end: {job['SecondaryStatusTransitions']}")
                break
            time.sleep(0.02)
    return complaints
