"""Every constraint of every operation, broken in turn; see constraints.py and docs/internals/conformance.md."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections import Counter

import botocore.serialize
import botocore.session
import pytest
from constraints import LISTED, Values, answer_to, broken_values, places, with_value, wrong_types
from server import BIN, Server

SEED = 20261122
# Our service names -> how requests are made. CloudWatch speaks both.
SERVICES = [("sagemaker", "json"), ("logs", "json"), ("cloudwatch", "json"), ("cloudwatch", "query"), ("sts", "query"),
            ("iam", "query")]
# CloudWatch Logs has its own code for what the others call a ValidationException.
CODES = {"logs": "InvalidParameterException"}
# At most so many breaks of one kind at one place, and combinations of an operation.
COMBINATIONS = 10


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """A server of its own: valid inputs create and delete things."""
    running = Server(tmp_path_factory.mktemp("constraints") / "data").start()
    yield running
    running.end_everything()


class Client:
    """Signs and sends as fast as Python can: one connection, one signing key per service."""

    def __init__(self, server):
        known = server.credentials
        self.key_id, self.secret, self.region = known["AccessKeyId"], known["SecretAccessKey"], known["Region"]
        self.port = server.port
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.keys = {}

    def signing_key(self, date, service):
        if (date, service) not in self.keys:
            key = b"AWS4" + self.secret.encode()
            for part in (date, self.region, service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self.keys[date, service] = key
        return self.keys[date, service]

    def post(self, service, headers, body):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": f"127.0.0.1:{self.port}", "x-amz-date": now, **headers}
        names = ";".join(sorted(headers))
        canonical = "POST\n/\n\n" + "".join(f"{n}:{headers[n]}\n" for n in sorted(headers)) + f"\n{names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{now[:8]}/{self.region}/{service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self.signing_key(now[:8], service), to_sign.encode(), "sha256").hex()
        headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        self.connection.request("POST", "/", body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def wire_value(shape, value):
    """A document as JSON sends it."""
    if value is None:
        return None
    if shape.type_name == "structure" and isinstance(value, dict):
        return {shape.members[name].serialization.get("name", name) if name in shape.members else name:
                wire_value(shape.members[name], inner) for name, inner in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [wire_value(shape.member, item) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {name: wire_value(shape.value, inner) for name, inner in value.items()}
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


class Service:
    def __init__(self, name, protocol, client):
        self.name, self.protocol, self.client = name, protocol, client
        self.model = botocore.session.get_session().get_service_model(name)
        self.signing_name = self.model.signing_name
        self.serializer = botocore.serialize.create_serializer("query", include_validation=False)

    def operations(self):
        described = json.loads(subprocess.run([BIN / "millwright", "operations"], check=True, capture_output=True).stdout)
        known = set(self.model.operation_names)
        return [operation["name"] for service in described if service["service"] == self.name
                for operation in service["operations"] if operation["implemented"] and operation["name"] in known]

    def call(self, operation, document):
        """(status, code, message) of the answer."""
        if self.protocol == "json":
            metadata = self.model.metadata
            status, body = self.client.post(self.signing_name, {
                "content-type": f"application/x-amz-json-{metadata.get('jsonVersion', '1.0')}",
                "x-amz-target": f"{metadata['targetPrefix']}.{operation}"}, json.dumps(document).encode())
            answer = json.loads(body) if body else {}
            return status, answer.get("__type", ""), answer.get("message", answer.get("Message", ""))
        model = self.model.operation_model(operation)
        request = self.serializer.serialize_to_request(document, model)
        from botocore.compat import urlencode
        status, body = self.client.post(self.signing_name, {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
                                        urlencode(request["body"]).encode())
        text = re.sub(rb' xmlns="[^"]*"', b"", body)
        error = ElementTree.fromstring(text).find("Error")
        return status, "" if error is None else error.findtext("Code"), "" if error is None else error.findtext("Message")

    def send(self, operation, shape, document):
        return self.call(operation, wire_value(shape, document) if self.protocol == "json" else document)

    @property
    def code(self):
        return "ValidationError" if self.protocol == "query" else CODES.get(self.name, "ValidationException")


@pytest.fixture(scope="module", params=SERVICES, ids=lambda pair: "-".join(pair))
def service(request, own_server):
    return Service(*request.param, Client(own_server))


class Report:
    def __init__(self):
        self.counts, self.wrong = Counter(), []

    def check(self, kind, where, wanted, got):
        self.counts[kind] += 1
        if wanted != got:
            self.wrong.append(f"{where} ({kind})\n  wanted {str(wanted)[:1500]}\n  got    {str(got)[:1500]}")

    def finish(self, name):
        print(f"{name}: {sum(self.counts.values())} cases:", dict(sorted(self.counts.items())))
        assert not self.wrong, f"{len(self.wrong)} of {sum(self.counts.values())} wrong\n" + "\n".join(self.wrong[:12])


def inputs(service):
    """(operation, input shape, generator of values); the generator is the same for every run."""
    for name in service.operations():
        shape = service.model.operation_model(name).input_shape
        if shape is not None:
            yield name, shape, Values(f"{SEED}{service.name}{name}")


def sendable(service, document):
    """The query protocol has no form for an empty map or structure, and XML none for control characters."""
    if service.protocol == "json":
        return True
    if isinstance(document, dict):
        return bool(document) and all(sendable(service, inner) for inner in document.values())
    if isinstance(document, list):
        return all(sendable(service, item) for item in document)
    return not (isinstance(document, str) and re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\n\r]", document))


def test_valid_inputs_pass_validation(service):
    report = Report()
    for name, shape, values in inputs(service):
        for kind, full in (("minimal", False), ("maximal", True)):
            document = values.of(shape, full)
            assert answer_to(shape, document) is None, (name, answer_to(shape, document))
            status, code, message = service.send(name, shape, document)
            valid = status < 500 and "validation error" not in message and code not in ("SerializationException", "MalformedInput")
            report.check(kind, name, True, valid or (status, code, message, document))
    report.finish(f"{service.name}-{service.protocol}")


def test_every_constraint_broken_in_turn(service):
    report = Report()
    for name, shape, values in inputs(service):
        for path, place in places(shape):
            seen = Counter()
            for kind, value in broken_values(values, place):
                document = with_value(values, shape, path, value)
                wanted = answer_to(shape, document)
                if wanted is None or seen[kind] == 2 or not sendable(service, document):
                    continue
                seen[kind] += 1
                got = service.send(name, shape, document)
                report.check(kind, f"{name} {'.'.join(path)}", (400, service.code, wanted), got)
        for path, _ in places(shape):
            parent = path[:-1]
            if path[-1] in ("[]", "{}") or path[-1] not in required_at(shape, parent):
                continue
            document = with_value(values, shape, path, KeyError)
            if not sendable(service, {"": document} if not document else document):
                continue
            wanted = answer_to(shape, document)
            report.check("required", f"{name} {'.'.join(path)}", (400, service.code, wanted), service.send(name, shape, document))
    report.finish(f"{service.name}-{service.protocol}")


def required_at(shape, path):
    for step in path:
        shape = shape.member if step == "[]" else shape.value if step == "{}" else shape.members[step]
    return shape.required_members


def test_several_constraints_at_once(service):
    report = Report()
    for name, shape, values in inputs(service):
        broken = {}
        for member, inner in shape.members.items():
            broken[member] = [value for _, value in broken_values(values, inner)]
        candidates = [member for member, found in broken.items() if found]
        for round_number in range(min(COMBINATIONS, len(candidates) - 1)):
            chosen = values.strings.random.sample(candidates, min(len(candidates), 2 + round_number % 3))
            document = {**values.of(shape, False), **{member: values.strings.random.choice(broken[member]) for member in chosen}}
            wanted = answer_to(shape, document)
            if wanted is None or not sendable(service, document):
                continue
            report.check(f"{len(chosen)} at once", name, (400, service.code, wanted), service.send(name, shape, document))
    report.finish(f"{service.name}-{service.protocol}")


def test_wrong_types(service):
    if service.protocol == "query":
        return wrong_texts(service)
    report = Report()
    for name, shape, values in inputs(service):
        for path, place in places(shape):
            for value, text in wrong_types(place):
                document = wire_value(shape, with_value(values, shape, path, None))
                put(document, shape, path, value)
                got = service.call(name, document)
                report.check(place.type_name, f"{name} {'.'.join(path)} = {value!r}", (400, "SerializationException", text), got)
        for text in ("", "{", "[]", "null", '"x"', "{\"a\":}", "\xff"):
            status, body = service.client.post(service.signing_name, {
                "content-type": "application/x-amz-json-1.1", "x-amz-target": f"{service.model.metadata['targetPrefix']}.{name}"},
                text.encode("latin-1"))
            report.check("not a document", f"{name} {text}", True, status < 500 or body)
    report.finish(f"{service.name}-{service.protocol}")


def put(document, shape, path, value):
    """Replaces what stands at `path` of a JSON document."""
    for step in path[:-1]:
        key = 0 if step == "[]" else next(iter(document)) if step == "{}" else shape.members[step].serialization.get("name", step)
        document = document[key]
        shape = shape.member if step == "[]" else shape.value if step == "{}" else shape.members[step]
    step = path[-1]
    key = 0 if step == "[]" else next(iter(document)) if step == "{}" else shape.members[step].serialization.get("name", step)
    document[key] = value


def wrong_texts(service):
    """Forms have only texts; numbers, booleans and times must read as such."""
    report = Report()
    for name, shape, values in inputs(service):
        for path, place in places(shape):
            if place.type_name not in ("integer", "long", "float", "double", "boolean", "timestamp") or len(path) > 1:
                continue
            for text in ("many", "", "1e999x", "0x10", " 1"):
                request = service.serializer.serialize_to_request(values.of(shape, False), service.model.operation_model(name))
                from botocore.compat import urlencode
                body = {**request["body"], place.serialization.get("name", path[0]): text}
                status, answer = service.client.post(service.signing_name, {"content-type": "application/x-www-form-urlencoded"},
                                                     urlencode(body).encode())
                report.check(place.type_name, f"{name} {path} = {text!r}", True, (status == 400 and b"MalformedInput" in answer) or answer)
    report.finish(f"{service.name}-{service.protocol}")


def test_more_errors_than_are_listed(service):
    if service.name != "sagemaker":
        return
    shape = service.model.operation_model("AddTags").input_shape
    document = {"ResourceArn": "arn:aws:sagemaker:us-west-2:123456789012:model/m", "Tags": [{} for _ in range(60)]}
    wanted = answer_to(shape, document)
    assert wanted.startswith("121 validation errors detected") and wanted.count("; ") == LISTED - 1
    assert service.send("AddTags", shape, document) == (400, service.code, wanted)
