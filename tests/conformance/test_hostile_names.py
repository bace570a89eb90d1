"""Ten thousand hostile names in every parameter that takes a text: the server answers in AWS's words, makes and reads nothing
outside its data directory, and goes on."""
import http.client
import json
import os
import uuid
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from constraints import Values, places, with_value
from hostile_names import MARK, names
from server import Server
from test_constraints import SERVICES, Client, Service


class Tripwire:
    """A folder beside the data directory with a secret in it, and a look at all places where a name could have become a file."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.secret = f"secret-{uuid.uuid4().hex}"
        (folder / "secret").write_text(self.secret)
        self.before = self.look()

    def look(self):
        places = [self.folder, self.folder.parent, Path("/"), Path("/tmp"), Path.cwd(), Path.home(), Path("/var/tmp"), Path("/dev/shm")]
        found = {str(path): path.stat().st_mtime_ns for path in self.folder.rglob("*")}
        for place in places:
            found.update({str(entry): 0 for entry in place.iterdir() if MARK in entry.name or place == self.folder.parent})
        return found

    def check(self):
        assert self.look() == self.before


@pytest.fixture(scope="module")
def trip(tmp_path_factory):
    top = tmp_path_factory.mktemp("hostile")
    running = Server(top / "data").start()
    running.tripwire = Tripwire(top / "outside")
    running.names = names(str(top / "outside"))
    yield running
    running.end_everything()


@pytest.fixture(autouse=True)
def nothing_outside(trip):
    yield
    assert trip.process.poll() is None, "the server is gone"
    trip.tripwire.check()
    assert trip.tripwire.secret not in trip.log()


class Answers:
    """Counts answers and keeps those that must not be."""

    def __init__(self, trip):
        self.trip, self.counts, self.wrong = trip, Counter(), []

    def take(self, where, name, status, body, headers=()):
        self.counts[status] += 1
        text = body if isinstance(body, str) else body.decode(errors="replace")
        injected = any(header.lower() == "x-injected" for header, _ in headers)
        leaked = self.trip.tripwire.secret in text or "root:x:0:0" in text or str(self.trip.folder) in text
        if status >= 500 and "does not support" not in text or injected or leaked:
            self.wrong.append(f"{where} {name!r}: {status} {text[:300]}")

    def finish(self, what):
        print(f"{what}: {sum(self.counts.values())} requests:", dict(sorted(self.counts.items())))
        assert not self.wrong, f"{len(self.wrong)} wrong\n" + "\n".join(self.wrong[:10])
        return sum(self.counts.values())


def is_text(place):
    return place.type_name in ("string", "character") and not place.enum


@pytest.mark.parametrize("which", SERVICES, ids=lambda pair: "-".join(pair))
def test_every_text_of_every_operation(trip, which):
    service, answers = Service(*which, Client(trip)), Answers(trip)
    for operation in service.operations():
        shape = service.model.operation_model(operation).input_shape
        values = Values(operation)
        spots = [path for path, place in places(shape) if is_text(place)] if shape is not None else []
        maps = [(path, place) for path, place in places(shape) if place.type_name == "map"] if shape is not None else []
        for number, path in enumerate(spots):
            # All names at the top, where resources are named; a third of them, another third each time, below.
            chosen = trip.names if len(path) == 1 else trip.names[number % 3::3]
            for name in chosen:
                answers.take(f"{operation} {'.'.join(path)}", name, *call(service, operation, shape, with_value(values, shape, path, name)))
        for path, place in maps:
            for name in trip.names[::3]:
                document = with_value(values, shape, path, {name: values.of(place.value, False)})
                answers.take(f"{operation} {'.'.join(path)} key", name, *call(service, operation, shape, document))
    answers.finish(f"{service.name}-{service.protocol}")


def call(service, operation, shape, document):
    try:
        status, code, message = service.send(operation, shape, document)
    except UnicodeEncodeError:
        return 400, "no UTF-8 form"
    return status, f"{code} {message}"


class S3Wire:
    def __init__(self, trip):
        known = trip.credentials
        self.keys = botocore.credentials.Credentials(known["AccessKeyId"], known["SecretAccessKey"])
        self.region, self.url, self.port = known["Region"], trip.url, trip.port
        self.connection = http.client.HTTPConnection("127.0.0.1", trip.port, timeout=20)

    def send(self, method, path, body=b"", headers=None):
        """`path` is percent-encoded already; (status, body, headers)."""
        request = botocore.awsrequest.AWSRequest(method, self.url + path, data=body or None, headers=headers or {})
        botocore.auth.S3SigV4Auth(self.keys, "s3", self.region).add_auth(request)
        self.connection.request(method, path, body, dict(request.headers))
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.getheaders()


def encoded(name):
    return quote(name.encode("utf-8", "surrogatepass"), safe="")


def test_keys_buckets_and_prefixes_of_s3(trip):
    wire, answers = S3Wire(trip), Answers(trip)
    trip.client("s3").create_bucket(Bucket="hostile", CreateBucketConfiguration={"LocationConstraint": trip.credentials["Region"]})
    for name in trip.names:
        text = encoded(name)
        for where, method, path, body, headers in [
                ("bucket", "PUT", f"/{text}", b"", {}), ("bucket", "GET", f"/{text}?list-type=2", b"", {}), ("bucket", "DELETE", f"/{text}", b"", {}),
                ("key", "PUT", f"/hostile/{text}", b"body", {}), ("key", "GET", f"/hostile/{text}", b"", {}), ("key", "HEAD", f"/hostile/{text}", b"", {}),
                ("prefix", "GET", f"/hostile?list-type=2&prefix={text}&delimiter=%2F", b"", {}),
                ("delimiter", "GET", f"/hostile?delimiter={text}", b"", {}), ("marker", "GET", f"/hostile?marker={text}", b"", {}),
                ("token", "GET", f"/hostile?list-type=2&continuation-token={text}", b"", {}),
                ("version", "GET", f"/hostile/a?versionId={text}", b"", {}), ("upload", "PUT", f"/hostile/a?partNumber=1&uploadId={text}", b"x", {}),
                ("upload", "DELETE", f"/hostile/a?uploadId={text}", b"", {}), ("start", "POST", f"/hostile/{text}?uploads", b"", {}),
                ("copy source", "PUT", "/hostile/copied", b"", {"x-amz-copy-source": text}),
                ("copy source key", "PUT", "/hostile/copied", b"", {"x-amz-copy-source": f"hostile/{text}"}),
                ("disposition", "GET", f"/hostile/copied?response-content-disposition={text}", b"", {}),
                ("delete many", "POST", "/hostile?delete", xml_delete(name), {"Content-MD5": md5(xml_delete(name))})]:
            answers.take(where, name, *wire.send(method, path, body, headers))
    answers.finish("s3")


def xml_delete(name):
    from xml.sax.saxutils import escape
    return f"<Delete><Object><Key>{escape(name)}</Key></Object></Delete>".encode("utf-8", "surrogatepass")


def md5(body):
    import base64
    import hashlib
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def test_headers_and_path_of_an_invocation(trip):
    known, answers = trip.credentials, Answers(trip)
    keys = botocore.credentials.Credentials(known["AccessKeyId"], known["SecretAccessKey"])
    connection = http.client.HTTPConnection("127.0.0.1", trip.port, timeout=20)
    headers = ["X-Amzn-SageMaker-Target-Model", "X-Amzn-SageMaker-Target-Variant", "X-Amzn-SageMaker-Inference-Id",
               "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Component", "Content-Type", "Accept"]
    for name in trip.names:
        for header in [None, *headers]:
            value = "".join(c for c in name if c not in "\r\n\0").encode().decode("latin-1").strip()
            path = f"/endpoints/{encoded(name) if header is None else 'none'}/invocations"
            request = botocore.awsrequest.AWSRequest("POST", trip.url + path, data=b"1,2", headers={header: value} if header else {})
            botocore.auth.SigV4Auth(keys, "sagemaker", known["Region"]).add_auth(request)
            try:
                connection.request("POST", path, b"1,2", {k: v.encode("latin-1") if isinstance(v, str) else v for k, v in request.headers.items()})
                answer = connection.getresponse()
                answers.take(header or "path", name, answer.status, answer.read(), answer.getheaders())
            except (ValueError, http.client.RemoteDisconnected, ConnectionError):
                connection.close()  # Python does not send it, or the server hangs up on a broken head
    answers.finish("runtime")


def test_hyperparameters_and_variables_of_a_job(trip):
    """Names and values that reach files, arguments and the environment of one job."""
    s3, sm = trip.client("s3"), trip.client("sagemaker")
    s3.create_bucket(Bucket="hostile-job", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket="hostile-job", Key="data/a.csv", Body=b"1,2\n0,1\n" * 20)
    taken, ended = 0, Counter()
    for number, start in enumerate(range(0, len(trip.names), 45)):
        some = [name for name in trip.names[start:start + 45] if name and not set("\0\r\n") & set(name) and len(name) <= 256]
        job = f"hostile-{number}"
        request = dict(
            TrainingJobName=job, RoleArn=f"arn:aws:iam::{trip.account}:role/SageMakerRole",
            AlgorithmSpecification={"TrainingImage": "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1", "TrainingInputMode": "File"},
            HyperParameters={"num_round": "1", "objective": "binary:logistic", **{name: name for name in some}},
            Environment={f"HOSTILE_{i}": name for i, name in enumerate(some)},
            InputDataConfig=[{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": "s3://hostile-job/data", "S3DataDistributionType": "FullyReplicated"}}}],
            OutputDataConfig={"S3OutputPath": "s3://hostile-job/out"},
            ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}, StoppingCondition={"MaxRuntimeInSeconds": 60})
        sm.create_training_job(**request)
        described = wait_for(sm, job)
        taken += len(some)
        ended[described["TrainingJobStatus"]] += 1
        assert described["TrainingJobStatus"] == "Failed" and "ClientError" in described["FailureReason"], described["FailureReason"]
        assert trip.tripwire.secret not in json.dumps(described, default=str)
    print(f"jobs: {taken} names as hyperparameter and variable:", dict(ended))


def wait_for(sm, job):
    import time
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        described = sm.describe_training_job(TrainingJobName=job)
        if described["TrainingJobStatus"] != "InProgress":
            return described
        time.sleep(0.1)
    raise AssertionError(f"{job} has not ended")


def test_the_server_still_works(trip):
    assert trip.client("sagemaker").list_models()["Models"] is not None
    # The files of the server's own folder are named by the server.
    for folder, folders, files in os.walk(trip.folder):
        for name in folders + files:
            assert "\n" not in name and "\x1b" not in name and ".." not in name.split("/"), (folder, name)
