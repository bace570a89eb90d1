"""Images made without an engine, and their way into Millwright's registry."""
import base64
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import urllib.request
from pathlib import Path


def compiled(source, target):
    """A static program."""
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", target, source], check=True, timeout=120)
    return Path(target).read_bytes()


def layer(files, modes=None, mode=0o755):
    """A gzipped layer of {path: bytes}; all have `mode`, or as `modes` says. Also its diff id."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), (modes or {}).get(path, mode)
            archive.addfile(entry, io.BytesIO(content))
    return layer_of(raw.getvalue())


def layer_of(tar):
    return gzip.compress(tar, 1, mtime=0), "sha256:" + hashlib.sha256(tar).hexdigest()


class Image:
    """`config`: of the image configuration's "config": Entrypoint, Cmd, Env, WorkingDir, User, Labels."""

    def __init__(self, *layers, architecture="amd64", **config):
        self.blobs = [packed for packed, _ in layers]
        self.config = json.dumps({"architecture": architecture, "os": "linux", "config": config,
                                  "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]}}).encode()

    def manifest(self):
        def described(media_type, content):
            return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
        kind = "application/vnd.oci.image."
        return json.dumps({"schemaVersion": 2, "mediaType": f"{kind}manifest.v1+json",
                           "config": described(f"{kind}config.v1+json", self.config),
                           "layers": [described(f"{kind}layer.v1.tar+gzip", blob) for blob in self.blobs]}).encode()

    def write_layout(self, folder, name):
        """An OCI image layout."""
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True)
        manifest = self.manifest()
        for content in [*self.blobs, self.config, manifest]:
            (blobs / digest_of(content)[7:]).write_bytes(content)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest_of(manifest), "size": len(manifest),
             "annotations": {"org.opencontainers.image.ref.name": name}}]}))


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def push(server, image, repository, tag="latest"):
    """By the distribution API with the root key; returns the ECR name of the image."""
    known = server.credentials
    login = base64.b64encode(f"{known['AccessKeyId']}:{known['SecretAccessKey']}".encode()).decode()

    def call(method, path, body=None, content_type="application/octet-stream"):
        url = path if path.startswith("http") else server.url + path
        request = urllib.request.Request(url, data=body, method=method,
                                         headers={"Authorization": f"Basic {login}", "Content-Type": content_type})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer

    for blob in [*image.blobs, image.config]:
        place = call("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        call("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest_of(blob)}", blob)
    call("PUT", f"/v2/{repository}/manifests/{tag}", image.manifest(), "application/vnd.oci.image.manifest.v1+json")
    return f"{known['AccountId']}.dkr.ecr.{known['Region']}.amazonaws.com/{repository}:{tag}"
