"""Every implemented operation of every service, asked by everybody: the owner, a user without permission, another
account, nobody, an expired key, a forged region, an old and a changed request. Nothing here lists operations: they come
from `millwright operations`, and their smallest valid inputs from botocore's models."""
import datetime
import http.client
import json
import re
import sqlite3
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.session
import pytest
from server import BIN, Server

# Whoever has a valid key may call these: AWS's documentation says that they need no permission.
NEEDS_NOTHING = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}
REFUSALS = {"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId",
            "SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken",
            "MissingAuthenticationTokenException", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
            "RequestTimeTooSkewed", "InvalidToken", "403"}
DENIED = {"AccessDenied", "AccessDeniedException", "403"}
BAD_SIGNATURE = {"json": "InvalidSignatureException", "query": "SignatureDoesNotMatch", "s3": "SignatureDoesNotMatch"}
TOO_OLD = {"json": "InvalidSignatureException", "query": "SignatureDoesNotMatch", "s3": "RequestTimeTooSkewed"}
NO_SIGNATURE = {"json": "MissingAuthenticationTokenException", "query": "MissingAuthenticationToken", "s3": "AccessDenied"}
EXPIRED = {"json": "ExpiredTokenException", "query": "ExpiredToken", "s3": "ExpiredToken"}


class Keys:
    def __init__(self, key, secret, token=None):
        self.key, self.secret, self.token = key, secret, token


class World:
    """A server with an owner, a user without policies, a second account and keys that have expired."""

    def __init__(self, folder):
        self.server = Server(folder).start()
        known = self.server.credentials
        self.account = known["AccountId"]
        self.owner = Keys(known["AccessKeyId"], known["SecretAccessKey"])
        iam = self.server.client("iam")
        iam.create_user(UserName="nothing")
        key = iam.create_access_key(UserName="nothing")["AccessKey"]
        self.user = Keys(key["AccessKeyId"], key["SecretAccessKey"])
        made = json.loads(subprocess.run([BIN / "millwright", "accounts", "--json", "create", "other", "--data-dir", folder],
                                         check=True, capture_output=True, text=True).stdout)
        self.other_account = made["AccountId"]
        self.other = Keys(made["AccessKeyId"], made["SecretAccessKey"])
        session = self.server.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
        self.expired = Keys(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
        self.bucket = f"matrix-{self.account}"
        self.server.client("s3").create_bucket(Bucket=self.bucket,
                                               CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        self.server.client("s3").put_object(Bucket=self.bucket, Key="key", Body=b"x")
        self.expire(self.expired)

    def expire(self, keys):
        """Time passes: the server is stopped while the keys' end moves into the past."""
        self.server.stop()
        with sqlite3.connect(self.server.folder / "metadata.db") as database:
            changed = database.execute("UPDATE iam_session SET expires_ms=? WHERE id=?",
                                       (int((time.time() - 60) * 1000), keys.key)).rowcount
        database.close()
        assert changed == 1
        self.server.port = 0
        self.server.start()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("matrix") / "data")
    yield made
    made.server.end_everything()


def implemented():
    text = subprocess.run([BIN / "millwright", "operations"], check=True, capture_output=True, text=True).stdout
    return [(service["service"], operation["name"]) for service in json.loads(text)
            for operation in service["operations"] if operation["implemented"]]


def smallest(shape, name, world, depth=0):
    """The smallest value that the model takes; ARNs and buckets are the owner's."""
    kind, limits = shape.type_name, shape.metadata
    if kind == "structure":
        if limits.get("union"):
            member = next(iter(shape.members))
            return {member: smallest(shape.members[member], member, world, depth + 1)}
        return {m: smallest(shape.members[m], m, world, depth + 1) for m in shape.required_members}
    if kind == "list":
        return [smallest(shape.member, name, world, depth + 1) for _ in range(max(1, limits.get("min", 1)))]
    if kind == "map":
        return {smallest(shape.key, name, world): smallest(shape.value, name, world)}
    if kind == "boolean":
        return False
    if kind in ("integer", "long", "float", "double"):
        return limits.get("min") or 1
    if kind == "timestamp":
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    if kind == "blob":
        return b"{}"
    return text_for(shape, name, world)


def text_for(shape, name, world):
    if getattr(shape, "enum", None):
        return shape.enum[0]
    if name == "Bucket":
        return world.bucket
    if name == "CopySource":
        return f"{world.bucket}/key"
    account = world.account
    arns = [f"arn:aws:iam::{account}:role/SageMakerRole", f"arn:aws:iam::{account}:policy/nobody",
            f"arn:aws:sagemaker:us-west-2:{account}:model/nobody"]
    if name == "PolicyArn":
        arns.insert(0, arns[1])
    if name == "resourceArn":
        arns.insert(0, f"arn:aws:ecr:us-west-2:{account}:repository/nobody")
    if name == "ResourceArn":
        arns.insert(0, arns[2])
    plain = ["nobody", "a", "12345678", "v1", "key", "/", "{}", "s3://bucket/key", "AKIAIOSFODNN7EXAMPLE", account,
             "ml.m5.large", "1.0", "01234567-89ab-cdef-0123-456789abcdef",
             "sha256:" + "0" * 64]
    low, high, pattern = shape.metadata.get("min", 0), shape.metadata.get("max", 1 << 20), shape.metadata.get("pattern")
    for candidate in (arns + plain if "Arn" in name else plain + arns):
        padded = candidate if len(candidate) >= low else candidate + "a" * (low - len(candidate))
        if len(padded) <= high and (not pattern or matches(pattern, padded)):
            return padded
    raise AssertionError(f"no text for {name} ({shape.name}): {pattern} {low}..{high}")


def matches(pattern, text):
    pattern = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: re.escape(chr(int(m[1], 16))), pattern.replace(r"\p{ASCII}", r"[\x00-\x7f]"))
    pattern = pattern.replace(r"\p{L}", "a-zA-Z").replace(r"\p{Z}", " ").replace(r"\p{N}", "0-9").replace(
        r"\p{M}", "").replace(r"\p{S}", "").replace(r"\p{P}", r"\-_.:/").replace("&&[^*]", "")
    return re.fullmatch(pattern, text) is not None


class Request:
    """What botocore would send, without its signature."""

    def __init__(self, world, service, operation):
        session = world.server.boto_session()
        client = session.client(service, endpoint_url=world.server.url, config=botocore.config.Config(
            retries={"max_attempts": 0}, request_checksum_calculation="when_required", s3={"addressing_style": "path"}))
        model = client.meta.service_model.operation_model(operation)
        self.service, self.operation = service, operation
        self.parameters = smallest(model.input_shape, "", world) if model.input_shape else {}
        self.protocol = "s3" if service == "s3" else "query" if service in ("iam", "sts") else "json"
        self.signing_name = client.meta.service_model.signing_name
        self.head = model.http.get("method") == "HEAD"
        captured = []

        def capture(request, **_):
            captured.append(request)
            raise InterruptedError

        client.meta.events.register("before-send", capture)
        try:
            client._make_api_call(operation, self.parameters)
        except Exception:
            assert captured, (service, operation, self.parameters)
        prepared = captured[0]
        self.method, self.url = prepared.method, prepared.url
        body = prepared.body
        self.body = body.read() if hasattr(body, "read") else body.encode() if isinstance(body, str) else bytes(body or b"")
        drop = {"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "content-length", "expect"}
        self.headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in prepared.headers.items()
                        if k.lower() not in drop}

    def names_owner(self, world):
        """Whether it is about something that belongs to the owner, wherever it comes from."""
        return self.service == "s3" and "Bucket" in self.parameters or (
            world.account in json.dumps(self.parameters, default=str) and {"ResourceArn", "resourceArn"} & set(self.parameters))

    def signed(self, keys, age=0, region="us-west-2"):
        request = botocore.awsrequest.AWSRequest(self.method, self.url, dict(self.headers), self.body)
        credentials = botocore.credentials.Credentials(keys.key, keys.secret, keys.token)
        kind = botocore.auth.S3SigV4Auth if self.service == "s3" else botocore.auth.SigV4Auth
        auth = kind(credentials, self.signing_name, region)
        now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
        request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
        auth._modify_request_before_signing(request)
        auth._inject_signature_to_request(request, auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))
        return dict(request.headers.items())

    def send(self, headers, body=None, url=None):
        """The status and the code of the error, '' without one."""
        place = urllib.parse.urlsplit(url or self.url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
        body = self.body if body is None else body
        path = (place.path or "/") + ("?" + place.query if place.query else "")
        connection.request(self.method, path, body=body if body or self.method in ("POST", "PUT") else None, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status < 400:
            return answer.status, ""
        return answer.status, error_code(answer, text)


def error_code(answer, text):
    if not text:
        return str(answer.status)
    if text.lstrip().startswith(b"{"):
        document = json.loads(text)
        code = document.get("__type") or document.get("code") or answer.getheader("x-amzn-errortype") or ""
        return code.rsplit("#", 1)[-1].split(":", 1)[0]
    found = [e.text for e in ElementTree.fromstring(text).iter() if e.tag.rsplit("}", 1)[-1] == "Code"]
    return found[0] if found else ""


def expect(request, got, code):
    wanted = {"403", "400"} if request.head else {code}
    return got[1] in wanted


def problems_of(request, world):
    service, operation = request.service, request.operation
    found = []

    def check(actor, got, fine):
        if got[0] >= 500 and got[0] != 501 or not fine:
            found.append(f"{service}:{operation} {actor}: {got}")

    p = request.protocol
    got = request.send(request.headers)
    check("anonymous", got, expect(request, got, NO_SIGNATURE[p]))
    got = request.send(request.signed(world.expired))
    check("expired key", got, expect(request, got, EXPIRED[p]))
    got = request.send(request.signed(world.owner, age=16 * 60))
    check("old request", got, expect(request, got, TOO_OLD[p]))
    forged = request.signed(world.owner)
    forged["Authorization"] = forged["Authorization"].replace("/us-west-2/", "/eu-west-1/")
    got = request.send(forged)
    check("forged region", got, expect(request, got, BAD_SIGNATURE[p]))
    url = request.url + ("&" if "?" in request.url else "?") + "x-changed=1"
    got = request.send(request.signed(world.owner), url=url)
    check("changed request", got, expect(request, got, BAD_SIGNATURE[p]))
    if request.body and p != "s3":
        got = request.send(request.signed(world.owner), body=request.body[:-1] + b" ")
        check("changed body", got, expect(request, got, BAD_SIGNATURE[p]))
    got = request.send(request.signed(world.user))
    if (service, operation) in NEEDS_NOTHING:
        check("user without permission", got, got[1] not in REFUSALS)
    elif operation == "DeleteObjects":
        check("user without permission", got, got == (200, ""))  # refused key by key, see below
    else:
        check("user without permission", got, got[1] in DENIED)
    got = request.send(request.signed(world.other))
    if request.names_owner(world) and operation not in ("CreateBucket", "DeleteObjects"):
        check("other account", got, got[1] in DENIED)
    else:
        check("other account", got, got[1] not in REFUSALS - {"AccessDenied"} or operation == "CreateBucket")
    got = request.send(request.signed(world.owner))
    check("owner", got, got[1] not in REFUSALS)
    return found


def test_every_operation_refuses_whom_it_must(world):
    operations = implemented()
    assert len(operations) > 100
    # The owner acts last on each, and what deletes comes last of all.
    operations.sort(key=lambda o: (o[1].startswith("Delete"), o[1] == "DeleteBucket", o))
    found, cells = [], 0
    for service, operation in operations:
        request = Request(world, service, operation)
        found += problems_of(request, world)
        cells += 9
    print(f"{len(operations)} operations, {cells} cells, {len(found)} wrong")
    assert not found, "\n".join(found)


def test_deletions_of_many_are_refused_key_by_key(world):
    s3 = world.server.client("s3")
    s3.create_bucket(Bucket="many-" + world.account, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket="many-" + world.account, Key="key", Body=b"x")
    for keys in (world.user, world.other):
        client = world.server.boto_session(aws_access_key_id=keys.key, aws_secret_access_key=keys.secret).client(
            "s3", endpoint_url=world.server.url)
        answer = client.delete_objects(Bucket="many-" + world.account, Delete={"Objects": [{"Key": "key"}]})
        assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert s3.get_object(Bucket="many-" + world.account, Key="key")["Body"].read() == b"x"


def test_another_region_is_another_place(world):
    world.server.client("logs").create_log_group(logGroupName="here")
    there = world.server.boto_session(region_name="eu-west-1").client("logs", endpoint_url=world.server.url)
    assert there.describe_log_groups()["logGroups"] == []
