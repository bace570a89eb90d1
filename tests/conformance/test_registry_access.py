"""Every request of the distribution API by everybody: who is asked to log in, who is refused, and what a refusal tells."""
import base64
import json
import sqlite3
import subprocess
import time

import pytest
from registry_client import MANIFEST, Registry, digest_of, manifest_of
from server import BIN, Server

LAYER, SECRET = b"a layer of the matrix", b"a layer that only the secret repository has"
OPEN, HIDDEN = "matrix/open", "matrix/secret"

# Requests of everything below /v2/: method, path below /v2/, body, and ECR's action that allows it.
REQUESTS = {
    "base": ("GET", "", None, ""),
    "catalog": ("GET", "_catalog", None, "DescribeRepositories"),
    "tags": ("GET", "{name}/tags/list", None, "ListImages"),
    "referrers": ("GET", "{name}/referrers/{manifest}", None, "BatchGetImage"),
    "manifest": ("GET", "{name}/manifests/v1", None, "BatchGetImage"),
    "manifest's head": ("HEAD", "{name}/manifests/{manifest}", None, "BatchGetImage"),
    "push of a manifest": ("PUT", "{name}/manifests/v1", "manifest", "PutImage"),
    "deletion of a tag": ("DELETE", "{name}/manifests/spare", None, "BatchDeleteImage"),
    "layer": ("GET", "{name}/blobs/{layer}", None, "GetDownloadUrlForLayer"),
    "layer's head": ("HEAD", "{name}/blobs/{layer}", None, "BatchCheckLayerAvailability"),
    "deletion of a layer": ("DELETE", "{name}/blobs/{unused}", None, "BatchDeleteImage"),
    "begin of an upload": ("POST", "{name}/blobs/uploads/", b"", "InitiateLayerUpload"),
    "state of an upload": ("GET", "{upload}", None, "UploadLayerPart"),
    "piece of an upload": ("PATCH", "{upload}", b"piece", "UploadLayerPart"),
    "end of an upload": ("PUT", "{upload}?digest={none}", b"", "CompleteLayerUpload"),
    "cancelling": ("DELETE", "{upload}", None, "UploadLayerPart"),
}
PULL = {"BatchGetImage", "GetDownloadUrlForLayer", "BatchCheckLayerAvailability", "ListImages", "DescribeRepositories"}
PUSH = {"InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage", "BatchCheckLayerAvailability"}


class World:
    def __init__(self, folder):
        self.server = Server(folder / "data").start()
        self.owner = Registry(self.server)
        for name, layer in ((OPEN, LAYER), (HIDDEN, SECRET)):
            self.manifest = self.owner.push(name, "v1", [layer])
        self.logins = {"anonymous": "", "a wrong password": self.owner.login + "x", "an unknown user": "ada:lovelace",
                       "a made-up token": "AWS:" + base64.b64encode(b"made up").decode()}
        self.logins["an expired token"] = self.expired_token()
        self.people = {"nobody in particular": set(), "a reader": PULL, "a writer": PUSH, "a deleter": {"BatchDeleteImage"}}
        for number, (person, actions) in enumerate(self.people.items()):
            self.logins[person] = self.user(f"user-{number}", actions)
        made = json.loads(subprocess.run([BIN / "millwright", "accounts", "create", "strangers", "--json", "--data-dir", self.server.folder],
                                         check=True, capture_output=True, text=True).stdout)
        self.logins["a stranger"] = f"{made['AccessKeyId']}:{made['SecretAccessKey']}"

    def user(self, name, actions):
        """May do this in the open repository, and see nothing of the secret one."""
        iam = self.server.client("iam")
        iam.create_user(UserName=name)
        if actions:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": sorted(f"ecr:{action}" for action in actions - {"DescribeRepositories"}) or ["ecr:NoSuchAction"],
                 "Resource": f"arn:aws:ecr:us-west-2:{self.server.account}:repository/{OPEN}"},
                {"Effect": "Allow", "Action": "ecr:DescribeRepositories" if actions & {"DescribeRepositories"} else "ecr:NoSuchAction",
                 "Resource": "*"}]}))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return f"{key['AccessKeyId']}:{key['SecretAccessKey']}"

    def expired_token(self):
        """Of temporary keys whose end is moved into the past."""
        session = self.server.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
        ecr = self.server.boto_session(aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=session["SecretAccessKey"],
                                       aws_session_token=session["SessionToken"]).client("ecr", endpoint_url=self.server.url)
        login = base64.b64decode(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]).decode()
        assert Registry(self.server, login)("GET", "/v2/").status == 200
        self.server.stop()
        with sqlite3.connect(self.server.folder / "metadata.db") as database:
            changed = database.execute("UPDATE iam_session SET expires_ms=? WHERE id=?",
                                       (int((time.time() - 60) * 1000), session["AccessKeyId"])).rowcount
        database.close()
        assert changed == 1
        self.server.start()
        self.owner = Registry(self.server)
        return login

    def client(self, person):
        if person != "a stranger":
            return Registry(self.server, self.logins[person])
        return Registry(self.server, self.logins[person], host=f"{self.server.account}.dkr.ecr.us-west-2.amazonaws.com")

    def ask(self, person, request, name=OPEN):
        """Everything that the request is about is there, as the owner made it."""
        method, path, body, _ = REQUESTS[request]
        layer = LAYER if name == OPEN else SECRET
        unused = b"unused " + request.encode()
        self.owner.push_blob(name, unused)
        text = manifest_of([layer])
        self.owner.put(name, "v1", text)
        self.owner.put(name, "spare", text)
        upload = self.owner("POST", f"/v2/{name}/blobs/uploads/").headers["Location"][len("/v2/"):]
        path = path.format(name=name, manifest=digest_of(text), layer=digest_of(layer), unused=digest_of(unused), upload=upload,
                           none=digest_of(b""))
        return self.client(person)(method, "/v2/" + path, text if body == "manifest" else body, Content_Type=MANIFEST)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("matrix"))
    yield made
    made.server.end_everything()


@pytest.mark.parametrize("request_", REQUESTS)
def test_who_is_not_logged_in_learns_nothing(world, request_):
    for person in ("anonymous", "a wrong password", "an unknown user", "a made-up token", "an expired token"):
        for name in (OPEN, "no/such/repository"):
            method, path, _, _ = REQUESTS[request_]
            answer = world.ask(person, request_) if name == OPEN else world.client(person)(
                method, "/v2/" + path.format(name=name, manifest=world.manifest, layer=digest_of(LAYER), unused=digest_of(b"x"),
                                             upload=f"{name}/blobs/uploads/{'0' * 32}", none=digest_of(b"")))
            assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Basic"), (person, name)
            assert method == "HEAD" or answer.code == "UNAUTHORIZED"
            assert OPEN.encode() not in answer.body and name.encode() not in answer.body


@pytest.mark.parametrize("request_", REQUESTS)
def test_each_request_needs_its_action(world, request_):
    method, _, _, action = REQUESTS[request_]
    for person, actions in world.people.items():
        allowed = not action or action in actions
        answer = world.ask(person, request_)
        if allowed:
            assert answer.status < 300, (person, answer.status, answer.body)
            continue
        assert answer.status == 403, (person, answer.status, answer.body)
        if method != "HEAD":
            assert answer.code == "DENIED" and f"ecr:{action}" in answer.json()["errors"][0]["message"], answer.body
    # What a policy names by its ARN is all that it opens; other accounts are not in.
    if action and action != "DescribeRepositories":
        for person, name in [*((person, HIDDEN) for person in world.people), ("a stranger", OPEN)]:
            assert world.ask(person, request_, name).status == 403, (person, name)


def test_the_owner_may_do_everything(world):
    world.logins["the owner"] = world.owner.login
    for request_ in REQUESTS:
        assert world.ask("the owner", request_).status < 300, request_


def test_a_mount_does_not_tell_what_is_in_a_repository_one_may_not_read(world):
    """With and without the layer, and without the repository: the same answer, and nothing is there afterwards."""
    writer = world.client("a writer")
    seen = set()
    for digest, source in ((digest_of(SECRET), f"&from={HIDDEN}"), (digest_of(b"nobody has it"), f"&from={HIDDEN}"),
                           (digest_of(SECRET), "&from=no/such"), (digest_of(SECRET), "")):
        answer = writer("POST", f"/v2/{OPEN}/blobs/uploads/?mount={digest}{source}")
        seen.add((answer.status, answer.body, tuple(sorted(name for name in answer.headers.keys()))))
        assert world.owner("GET", f"/v2/{OPEN}/blobs/{digest}").status == 404
    assert len(seen) == 1 and next(iter(seen))[0] == 202, seen
    # Nor does a manifest that names the layer make it readable.
    text = manifest_of([SECRET])
    answer = writer("PUT", f"/v2/{OPEN}/manifests/stolen", text, Content_Type=MANIFEST)
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_an_upload_belongs_to_its_repository(world):
    place = world.owner("POST", f"/v2/{HIDDEN}/blobs/uploads/").headers["Location"]
    stolen = place.replace(HIDDEN, OPEN)
    for method, path, body in (("GET", stolen, None), ("PATCH", stolen, b"x"), ("PUT", f"{stolen}?digest={digest_of(b'x')}", b"x"),
                               ("DELETE", stolen, None)):
        answer = world.client("a writer")(method, path, body)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN"), method
    assert world.owner("GET", place).status == 204


def test_a_stranger_in_their_own_registry_meets_nothing_of_ours(world):
    stranger = Registry(world.server, world.logins["a stranger"])
    assert stranger("GET", "/v2/_catalog").json() == {"repositories": []}
    assert stranger("GET", f"/v2/{OPEN}/manifests/v1").code == "NAME_UNKNOWN"
    for query in (f"mount={digest_of(LAYER)}&from={OPEN}", f"mount={digest_of(LAYER)}"):
        assert stranger("POST", f"/v2/own/blobs/uploads/?{query}").status == 202
    assert stranger("GET", f"/v2/own/blobs/{digest_of(LAYER)}").code == "BLOB_UNKNOWN"
