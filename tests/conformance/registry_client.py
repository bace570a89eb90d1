"""The distribution API by hand: one kept connection, no client's habits in between."""
import base64
import hashlib
import http.client
import json
import os

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(body):
    return "sha256:" + hashlib.sha256(body).hexdigest()


def descriptor(media_type, body, **more):
    return {"mediaType": media_type, "digest": digest_of(body), "size": len(body), **more}


def manifest_of(layers, config=b"{}", **more):
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config),
                       "layers": [descriptor(LAYER, layer) for layer in layers], **more}).encode()


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def code(self):
        return json.loads(self.body)["errors"][0]["code"]

    def json(self):
        return json.loads(self.body)


class Registry:
    """Of one thread. Failures of the connection are OSError and http.client.HTTPException."""

    def __init__(self, server, login=None, host=None):
        known = server.credentials
        self.server, self.host, self.connection, self.port = server, host, None, 0
        self.login = login if login is not None else f"{known['AccessKeyId']}:{known['SecretAccessKey']}"

    def __call__(self, method, path, body=None, **headers):
        if self.connection is None or self.port != self.server.port:
            self.port = self.server.port
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.login:
            named["Authorization"] = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.host:
            named["Host"] = self.host
        try:
            self.connection.request(method, path, body, named, encode_chunked="Transfer-Encoding" in named)
            response = self.connection.getresponse()
            return Answer(response, response.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise

    def push_blob(self, repository, body):
        """By POST and PUT. Returns the answer to the last request."""
        place = self("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        return self("PUT", f"{place}?digest={digest_of(body)}", body)

    def push(self, repository, reference, layers, config=b"{}", **more):
        """An image with its blobs; its digest."""
        for body in [config, *layers]:
            answer = self.push_blob(repository, body)
            assert answer.status == 201, answer.body
        return self.put(repository, reference, manifest_of(layers, config, **more))

    def put(self, repository, reference, manifest, kind=MANIFEST):
        answer = self("PUT", f"/v2/{repository}/manifests/{reference}", manifest, Content_Type=kind)
        assert answer.status == 201, answer.body
        return answer.headers["Docker-Content-Digest"]


def noise(size):
    return os.urandom(size)
