"""A client that costs little: SigV4 by hand over one kept connection. Faults need many requests at once, and botocore
spends more time on one than the server does."""
import datetime
import hashlib
import hmac
import http.client
import json
from urllib.parse import quote

REGION = "us-west-2"
EMPTY = hashlib.sha256(b"").hexdigest()


class Refused(Exception):
    """The server has answered with an error."""

    def __init__(self, status, code, text):
        super().__init__(f"{status} {code}: {text}")
        self.status, self.code = status, code


def sign(known, service, method, host, path, query, headers, payload_hash, when=None):
    """The headers with a signature. `query` is sorted and encoded already."""
    now = (when or datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
    headers = {**headers, "host": host, "x-amz-date": now}
    if service == "s3":
        headers["x-amz-content-sha256"] = payload_hash
    names = ";".join(sorted(headers))
    canonical = "\n".join([method, path, query] + [f"{name}:{headers[name]}" for name in sorted(headers)] + ["", names, payload_hash])
    scope = f"{now[:8]}/{REGION}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + known["SecretAccessKey"]).encode()
    for part in (now[:8], REGION, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={known['AccessKeyId']}/{scope}, SignedHeaders={names}, "
                                f"Signature={signature}")
    return headers


class Client:
    """Of one thread. Every failure of the connection is an OSError or an http.client.HTTPException."""

    def __init__(self, server, timeout=10):
        self.server, self.timeout, self.connection, self.port = server, timeout, None, 0

    def request(self, service, method, path, query="", headers=None, body=b""):
        known = self.server.credentials
        if self.connection is None or self.port != self.server.port:
            self.port = self.server.port
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        payload = hashlib.sha256(body).hexdigest() if body else EMPTY
        signed = sign(known, service, method, f"127.0.0.1:{self.port}", path, query, headers or {}, payload)
        try:
            self.connection.request(method, path + ("?" + query if query else ""), body, signed)
            answer = self.connection.getresponse()
            content = answer.read()
        except Exception:
            self.connection.close()
            self.connection = None
            raise
        if answer.status >= 300:
            text = content.decode(errors="replace")
            code = json.loads(text).get("__type", "") if text.startswith("{") else text.partition("<Code>")[2].partition("<")[0]
            raise Refused(answer.status, code.rpartition("#")[2], text[:300])
        return answer, content

    def sagemaker(self, operation, **members):
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"SageMaker.{operation}"}
        _, content = self.request("sagemaker", "POST", "/", headers=headers, body=json.dumps(members).encode())
        return json.loads(content) if content else {}

    def put(self, bucket, key, body):
        self.request("s3", "PUT", f"/{bucket}/{quote(key)}", body=body)

    def get(self, bucket, key):
        return self.request("s3", "GET", f"/{bucket}/{quote(key)}")[1]

    def delete(self, bucket, key):
        self.request("s3", "DELETE", f"/{bucket}/{quote(key)}")

    def exists(self, bucket, key):
        try:
            self.request("s3", "HEAD", f"/{bucket}/{quote(key)}")
            return True
        except Refused as refused:
            if refused.status != 404:
                raise
            return False

    def put_in_parts(self, bucket, key, parts):
        path = f"/{bucket}/{quote(key)}"
        upload = self.request("s3", "POST", path, "uploads=")[1].decode().partition("<UploadId>")[2].partition("<")[0]
        listed = ""
        for number, part in enumerate(parts, 1):
            answer, _ = self.request("s3", "PUT", path, f"partNumber={number}&uploadId={quote(upload, safe='')}", body=part)
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{answer.headers['ETag']}</ETag></Part>"
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        self.request("s3", "POST", path, f"uploadId={quote(upload, safe='')}", body=body)
