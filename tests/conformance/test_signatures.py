"""Signature Version 4: the vectors of botocore's suite, requests signed by botocore, and the same with something changed."""
import base64
import datetime
import hashlib
import http.client
import json
import random
import re
import string
import subprocess
from collections import Counter
from urllib.parse import quote, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore_source import botocore_source
from server import BIN

KEYS = {"id": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}


def parse_request(text):
    """The request files of the suite: a request line whose target may hold blanks, headers, and a body."""
    head, _, body = text.partition("\n\n")
    lines = head.split("\n")
    method, target = lines[0].removesuffix(" HTTP/1.1").split(" ", 1)
    headers = []
    for line in lines[1:]:
        if line.startswith(" "):
            headers[-1][1] += "\n" + line
        elif line:
            headers.append(list(line.split(":", 1)))
    return method, target, headers, body


def vectors():
    """name -> what the program is asked and what the suite says."""
    folder = botocore_source() / "tests/unit/auth/aws4_testsuite"
    found = {}
    for path in sorted(folder.rglob("*.sreq")):
        method, target, headers, body = parse_request(path.read_text(encoding="utf-8"))
        authorization = path.with_suffix(".authz").read_text()
        signed = re.search(r"SignedHeaders=([^,]*)", authorization).group(1).split(";")
        # One of the suite's signed requests carries the signature of another; the .authz file is right.
        headers = [[name, authorization if name == "Authorization" else value] for name, value in headers]
        token = next((value.strip() for name, value in headers if name == "X-Amz-Security-Token"), "")
        # The suite's scripts send header values as written; a server sees them without surrounding blanks.
        question = {"method": method, "target": target, "headers": [[name, value.strip(" ")] for name, value in headers],
                    "body": body, "time": "20150830T123600Z", "service": "service", "signed": signed, "token": token}
        found[path.stem] = (question, {"canonical": path.with_suffix(".creq").read_text(encoding="utf-8"),
                                       "to_sign": path.with_suffix(".sts").read_text()})
    return found


def test_the_vectors_of_the_suite():
    cases = vectors()
    done = subprocess.run([BIN / "signature_cases"], capture_output=True, text=True, timeout=60,
                          input=json.dumps({"keys": KEYS, "cases": [question for question, _ in cases.values()]}))
    assert done.returncode == 0, done.stderr
    wrong = []
    for (name, (question, wanted)), got in zip(cases.items(), json.loads(done.stdout)["results"], strict=True):
        for part in ("canonical", "to_sign"):
            if got[part] != wanted[part].replace("\r", ""):
                wrong.append(f"{name}: {part}\n{got[part]!r}\n{wanted[part]!r}")
        # A token added after signing could be exchanged on the way: every x-amz-* header must be signed.
        verdict = "8 " if name == "post-sts-header-after" else "accepted"
        if not got["verdict"].startswith(verdict):
            wrong.append(f"{name}: {got['verdict']}")
    print(f"{len(cases)} vectors, {len(wrong)} differences")
    assert len(cases) >= 31 and not wrong, "\n".join(wrong)


class Signer:
    """Makes random requests and signs them as botocore does."""

    def __init__(self, server, seed):
        known = server.credentials
        self.random = random.Random(seed)
        self.keys = botocore.credentials.Credentials(known["AccessKeyId"], known["SecretAccessKey"])
        self.region, self.url, self.bucket = known["Region"], server.url, f"signed-{seed}"
        self.port = server.port

    def text(self, length, letters=string.ascii_letters + string.digits + " -_.~/+=&%?*'()!:@$,;äß世"):
        return "".join(self.random.choice(letters) for _ in range(self.random.randint(1, length)))

    def query(self):
        return "&".join(f"{quote(self.text(6), safe='-_.~')}={quote(self.text(9), safe='-_.~')}"
                        for _ in range(self.random.randint(0, 4)))

    def json(self):
        body = json.dumps({"NameContains": self.text(10, string.ascii_letters), "Unknown": self.text(40)}).encode()
        request = botocore.awsrequest.AWSRequest("POST", self.url + "/", data=body, headers={
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "SageMaker.ListModels",
            "X-Amz-User": self.text(9, string.ascii_letters + "  ")})
        botocore.auth.SigV4Auth(self.keys, "sagemaker", self.region).add_auth(request)
        return request.prepare()

    def form(self):
        body = ("Action=GetCallerIdentity&Version=2011-06-15&" + self.query()).encode()
        request = botocore.awsrequest.AWSRequest("POST", self.url + "/", data=body, headers={
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
        botocore.auth.SigV4Auth(self.keys, "sts", self.region).add_auth(request)
        return request.prepare()

    def object_url(self):
        return f"{self.url}/{self.bucket}/{quote(self.text(30).strip('/.') or 'k', safe='/-_.~')}"

    def s3(self):
        body = self.text(200).encode()
        method = self.random.choice(["PUT", "GET", "DELETE", "HEAD"])
        request = botocore.awsrequest.AWSRequest(method, self.object_url(), data=body if method == "PUT" else None, headers={
            "x-amz-meta-a": self.text(10, string.ascii_letters + " ").strip() or "a"} if method == "PUT" else {})
        botocore.auth.S3SigV4Auth(self.keys, "s3", self.region).add_auth(request)
        return request.prepare()

    def presigned(self):
        method = self.random.choice(["PUT", "GET"])
        request = botocore.awsrequest.AWSRequest(method, self.object_url())
        botocore.auth.S3SigV4QueryAuth(self.keys, "s3", self.region, expires=self.random.randint(60, 600000)).add_auth(request)
        prepared = request.prepare()
        if method == "PUT":
            prepared.body = self.text(200).encode()
        return prepared

    def chunked(self):
        body = self.text(300).encode()
        request = botocore.awsrequest.AWSRequest("PUT", self.object_url(), data=body, headers={
            "Content-Encoding": "aws-chunked", "X-Amz-Trailer": "x-amz-checksum-sha256",
            "X-Amz-Decoded-Content-Length": str(len(body)), "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
        botocore.auth.S3SigV4Auth(self.keys, "s3", self.region).add_auth(request)
        prepared = request.prepare()
        checksum = base64.b64encode(hashlib.sha256(body).digest())
        prepared.body = b"%x\r\n%s\r\n0\r\nx-amz-checksum-sha256:%s\r\n\r\n" % (len(body), body, checksum)
        return prepared

    def any(self):
        return self.random.choice([self.json, self.form, self.s3, self.presigned, self.chunked])()


class Wire:
    """One connection, kept open as far as the server keeps it."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, method, target, headers, body):
        """(status, body). Headers are pairs, sent as they are."""
        for attempt in range(2):
            try:
                self.connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
                for name, value in headers:
                    self.connection.putheader(name, value)
                self.connection.putheader("Content-Length", str(len(body)))
                self.connection.endheaders(body)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()
                if attempt:
                    raise


def parts(prepared):
    split = urlsplit(prepared.url)
    headers = [(name, value if isinstance(value, str) else value.decode("latin-1")) for name, value in prepared.headers.items()
               if name.lower() not in ("content-length", "host")]
    target = split.path + ("?" + split.query if split.query else "")
    body = prepared.body or b""
    return prepared.method, target, [("Host", split.netloc), *headers], body


REFUSED = re.compile(rb"InvalidSignature|SignatureDoesNotMatch|UnrecognizedClient|MissingAuthenticationToken|IncompleteSignature"
                     rb"|AuthorizationHeaderMalformed|AuthorizationQueryParametersError|AccessDenied|InvalidAccessKeyId|InvalidToken"
                     rb"|InvalidClientTokenId|RequestTimeTooSkewed|XAmzContentSHA256Mismatch|Expired|InvalidToken|BadDigest")


@pytest.fixture(scope="module")
def signer(server, s3):
    made = Signer(server, 7)
    s3.create_bucket(Bucket=made.bucket, CreateBucketConfiguration={"LocationConstraint": made.region})
    return made


def test_a_thousand_requests_signed_by_botocore_are_accepted(signer):
    wire, counts, refused = Wire(signer.port), Counter(), []
    for number in range(1000):
        make = [signer.json, signer.form, signer.s3, signer.presigned, signer.chunked][number % 5]
        prepared = make()
        status, body = wire.send(*parts(prepared))
        counts[make.__name__, status] += 1
        # A HEAD answer has no body; an object that is not there is 404, not 403.
        if status in (401, 403) or REFUSED.search(body) or status >= 500:
            refused.append((make.__name__, prepared.method, prepared.url, status, body[:200]))
    print("accepted:", dict(counts))
    assert not refused, refused[:5]


def flip(random_, text):
    """One letter of a header or target becomes another that HTTP allows there."""
    at = random_.randrange(len(text))
    return text[:at] + random_.choice([c for c in string.ascii_letters + string.digits + "-_" if c != text[at]]) + text[at + 1:]


def changed(random_, method, target, headers, body):
    """The request with something changed that its signature covers."""
    kind = random_.choice(["method", "path", "parameter", "signature", "date", "key", "header removed", "header added", "region"])
    headers = list(headers)
    authorization = next((i for i, (name, _) in enumerate(headers) if name == "Authorization"), None)

    def edit(name, change):
        nonlocal target, headers
        headers = [(n, change(v) if n.lower() in name else v) for n, v in headers]
        if authorization is None:
            target = change(target)

    if kind == "method":
        method = {"GET": "DELETE", "PUT": "POST", "POST": "PUT", "DELETE": "GET", "HEAD": "DELETE"}[method]
    elif kind == "path":
        path, _, query = target.partition("?")
        target = path + "x" + ("?" + query if query else "")
    elif kind == "parameter":
        target += ("&" if "?" in target else "?") + "versionId=" + flip(random_, "abcdef")
    elif kind == "signature":
        edit(("authorization",), lambda text: re.sub("Signature=([0-9a-f]{64})", lambda m: "Signature=" + m[1][::-1], text))
    elif kind == "date":
        edit(("x-amz-date",), lambda text: re.sub(r"(\d{8})T(\d\d)", lambda m: f"{m[1]}T{(int(m[2]) + 1) % 24:02d}", text))
    elif kind == "key":
        edit(("authorization",), lambda text: re.sub("Credential=([A-Z0-9]+)", lambda m: "Credential=" + m[1][::-1], text))
    elif kind == "header removed":
        if authorization is None:
            target = re.sub("&X-Amz-SignedHeaders=host", "", target)
        else:
            headers = [pair for pair in headers if pair[0].lower() not in ("x-amz-date", "x-amz-content-sha256")]
    elif kind == "header added":
        headers.append(("X-Amz-Copy-Source", "/other/object"))
    else:
        edit(("authorization",), lambda text: text.replace("us-west-2", "us-east-1"))
    return kind, (method, target, headers, body)


def test_the_same_requests_are_refused_when_something_is_changed(signer):
    wire, counts, accepted = Wire(signer.port), Counter(), []
    for _ in range(1500):
        kind, request = changed(signer.random, *parts(signer.any()))
        status, body = wire.send(*request)
        counts[kind] += 1
        if status not in (400, 401, 403) or not (REFUSED.search(body) or request[0] == "HEAD"):
            accepted.append((kind, request[:3], status, body[:300]))
    print("refused:", dict(counts))
    assert not accepted, accepted[:3]


def test_a_changed_body_is_refused(signer):
    wire, accepted, refused = Wire(signer.port), [], 0
    for number in range(300):
        make = [signer.json, signer.form, signer.s3, signer.chunked][number % 4]
        method, target, headers, body = parts(make())
        if not body:
            continue
        at = signer.random.randrange(len(body))
        status, answer = wire.send(method, target, headers, body[:at] + bytes([body[at] ^ 1]) + body[at + 1:])
        refused += 1
        if status < 400:
            accepted.append((make.__name__, target, at, status, answer[:200]))
    print(f"{refused} bodies refused")
    assert not accepted and refused > 200, accepted[:3]


def test_an_old_request_is_refused(signer, monkeypatch):
    wire = Wire(signer.port)
    for minutes in (-16, 16, -60 * 24, 60 * 24 * 365):
        moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: moment.replace(tzinfo=None))
        status, body = wire.send(*parts(signer.json()))
        assert status in (400, 403) and REFUSED.search(body), (minutes, status, body)
