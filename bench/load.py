"""Load on an HTTP server: requests that are signed before the clock starts, sent by wrk."""
import hashlib
import hmac
import http.client
import json
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")


@dataclass
class Outcome:
    rate: float  # requests per second
    p50: float  # microseconds, like the next two
    p99: float
    slowest: float
    requests: int


class Signer:
    """Signature Version 4 of many requests to one service; the derived key is made once."""

    def __init__(self, credentials, service, host):
        self.id, self.service, self.host, self.region = credentials["AccessKeyId"], service, host, credentials["Region"]
        self.stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        key = ("AWS4" + credentials["SecretAccessKey"]).encode()
        for part in (self.stamp[:8], self.region, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self.key = key
        self.scope = f"{self.stamp[:8]}/{self.region}/{service}/aws4_request"

    def request(self, method, path, body=b"", headers=(), query=""):
        """The bytes of the request. `path` and `query` as they go over the wire, the query sorted."""
        digest = hashlib.sha256(body).hexdigest()
        fields = {"host": self.host, "x-amz-date": self.stamp, **{name.lower(): value for name, value in dict(headers).items()}}
        if self.service == "s3":
            fields["x-amz-content-sha256"] = digest
        names = ";".join(sorted(fields))
        canonical = "\n".join([method, path, query, *(f"{name}:{fields[name]}" for name in sorted(fields)), "", names, digest])
        to_sign = "\n".join(["AWS4-HMAC-SHA256", self.stamp, self.scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(self.key, to_sign.encode(), hashlib.sha256).hexdigest()
        fields["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.id}/{self.scope}, SignedHeaders={names}, "
                                   f"Signature={signature}")
        return raw_request(method, path + ("?" + query if query else ""), fields, body)

    def call(self, operation, parameters):
        """A SageMaker operation."""
        return self.request("POST", "/", json.dumps(parameters).encode(),
                            {"x-amz-target": f"SageMaker.{operation}", "content-type": "application/x-amz-json-1.1"})


def raw_request(method, target, fields, body=b""):
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if body or method in ("POST", "PUT"):
        lines.append(f"content-length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def send(port, requests, connections=1, seconds=1, once=False):
    """Sends the requests in turn for that long. With `once` an error tells when they did not suffice."""
    threads = 1 if connections == 1 else 2
    with tempfile.NamedTemporaryFile(prefix="millwright-load-") as file:
        for request in requests:
            file.write(b"%d\n" % len(request) + request)
        file.flush()
        done = subprocess.run(
            ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}/", "--", file.name, str(threads)],
            capture_output=True, text=True, timeout=seconds + 120)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"wrk: {done.stdout}{done.stderr}")
    figures = json.loads(lines[0])
    if figures["refused"] or figures["failed"] or not figures["requests"]:
        raise SystemExit(f"port {port}: {figures}\n{requests[0][:600]!r}")
    if once and figures["requests"] > len(requests):
        raise SystemExit(f"{figures['requests']} were sent, {len(requests)} prepared")
    return Outcome(figures["requests"] / figures["seconds"], figures["p50"], figures["p99"], figures["max"], figures["requests"])


def ask(port, request):
    """One request, outside of any clock; the body of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{answer.status} {body[:400]!r}\n{request[:600]!r}")
        return body


def in_turns(rounds, **contenders):
    """Each contender once per round, so that all meet the same machine. name -> its outcomes."""
    outcomes = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            outcomes[name].append(run())
    return outcomes


def best_rate(outcomes):
    return max(outcome.rate for outcome in outcomes)


def best_p50(outcomes):
    return min(outcome.p50 for outcome in outcomes)
