"""Small images, pushed with nothing but ECR's own API."""
import gzip
import hashlib
import io
import json
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(body):
    return "sha256:" + hashlib.sha256(body).hexdigest()


def layer_of(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, body in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(body)
            archive.addfile(about, io.BytesIO(body))
    return packed.getvalue()


def push_layer(ecr, repository, body, part_size=None):
    started = ecr.initiate_layer_upload(repositoryName=repository)
    step = part_size or started["partSize"]
    for at in range(0, len(body), step):
        piece = body[at:at + step]
        done = ecr.upload_layer_part(repositoryName=repository, uploadId=started["uploadId"], partFirstByte=at,
                                     partLastByte=at + len(piece) - 1, layerPartBlob=piece)
        assert done["lastByteReceived"] == at + len(piece) - 1
    done = ecr.complete_layer_upload(repositoryName=repository, uploadId=started["uploadId"], layerDigests=[digest_of(body)])
    return done["layerDigest"]


def descriptor(media_type, body):
    return {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}


def manifest_of(layers, config):
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config),
                       "layers": [descriptor(LAYER, layer) for layer in layers]})


def push_image(ecr, repository, text, tag=None):
    """An image whose one file holds `text`. Returns its manifest."""
    tar = layer_of({"note": text.encode()})
    layer = gzip.compress(tar, mtime=0)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": [f"NOTE={text}"]},
                         "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]}}).encode()
    for body in (layer, config):
        known = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest_of(body)])["layers"][0]
        if known["layerAvailability"] == "UNAVAILABLE":
            push_layer(ecr, repository, body)
    manifest = manifest_of([layer], config)
    ecr.put_image(repositoryName=repository, imageManifest=manifest, **({"imageTag": tag} if tag else {}))
    return manifest
