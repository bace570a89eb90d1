"""The image registry's own protocol: the OCI distribution specification, and what no well-behaved client does."""
import base64
import hashlib
import http.client
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from registry_client import INDEX, MANIFEST, Registry, descriptor, digest_of, manifest_of, noise
from server import BIN, Server


@pytest.fixture(scope="module")
def registry(server):
    return Registry(server)


@pytest.fixture
def name(unique):
    return f"test/{unique}"


def test_who_does_not_log_in_is_asked_to(server):
    for login in ("", "AWS:", "AWS:x", "nobody:secret", f"{server.credentials['AccessKeyId']}:wrong"):
        answer = Registry(server, login)("GET", "/v2/")
        assert answer.status == 401 and answer.code == "UNAUTHORIZED", login
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        assert Registry(server, login)("GET", "/v2/whatever/../is/there").status == 401
    token = server.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    for login in (base64.b64decode(token).decode(), f"{server.credentials['AccessKeyId']}:{server.credentials['SecretAccessKey']}"):
        assert Registry(server, login)("GET", "/v2/").status == 200
    for header in ("Basic", "Basic !!!", "Bearer abc", "Basic " + base64.b64encode(b"nocolon").decode()):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/v2/", headers={"Authorization": header})
        assert connection.getresponse().status == 401, header
        connection.close()


def test_blobs_are_read_whole_in_part_and_not_again(registry, name):
    body = noise(100_000)
    made = registry.push_blob(name, body)
    assert made.status == 201 and made.headers["Docker-Content-Digest"] == digest_of(body)
    place = made.headers["Location"]
    head, got = registry("HEAD", place), registry("GET", place)
    assert got.body == body and got.status == 200
    for answer in (head, got):
        assert answer.headers["Content-Length"] == "100000" and answer.headers["Docker-Content-Digest"] == digest_of(body)
        assert answer.headers["ETag"] == f'"{digest_of(body)}"' and answer.headers["Accept-Ranges"] == "bytes"
    assert registry("GET", place, If_None_Match=got.headers["ETag"]).status == 304
    for asked, expected in (("bytes=0-9", body[:10]), ("bytes=99990-", body[-10:]), ("bytes=-5", body[-5:]),
                            ("bytes=5-200000", body[5:])):
        part = registry("GET", place, Range=asked)
        assert part.status == 206 and part.body == expected, asked
        assert part.headers["Content-Range"].endswith("/100000")
    beyond = registry("GET", place, Range="bytes=100000-")
    assert beyond.status == 416 and beyond.headers["Content-Range"] == "bytes */100000"
    missing = registry("GET", f"/v2/{name}/blobs/{digest_of(b'x')}")
    assert (missing.status, missing.code) == (404, "BLOB_UNKNOWN")
    assert registry("HEAD", f"/v2/{name}/blobs/{digest_of(b'x')}").body == b""


def test_manifests_are_what_was_pushed_byte_by_byte(registry, name):
    text = manifest_of([]).replace(b'", "', b'" ,\n "')
    registry.push_blob(name, b"{}")
    digest = registry.put(name, "v1", text)
    assert digest == digest_of(text)
    for reference in ("v1", digest):
        got = registry("GET", f"/v2/{name}/manifests/{reference}")
        assert got.body == text and got.headers["Content-Type"] == MANIFEST
        head = registry("HEAD", f"/v2/{name}/manifests/{reference}")
        assert head.headers["Content-Length"] == str(len(text)) and head.headers["Docker-Content-Digest"] == digest
        assert registry("GET", f"/v2/{name}/manifests/{reference}", If_None_Match=f'"{digest}"').status == 304
    unknown = registry("GET", f"/v2/{name}/manifests/v2")
    assert (unknown.status, unknown.code) == (404, "MANIFEST_UNKNOWN")


def test_manifests_that_are_none(registry, name):
    registry.push_blob(name, b"{}")

    def refused(body, reference="v1", kind=MANIFEST):
        answer = registry("PUT", f"/v2/{name}/manifests/{reference}", body, Content_Type=kind)
        return answer.status, answer.code

    good = manifest_of([])
    assert refused(b"") == (400, "MANIFEST_INVALID")
    assert refused(b"[]") == (400, "MANIFEST_INVALID")
    assert refused(good[:-1]) == (400, "MANIFEST_INVALID")
    assert refused(good, kind="text/html") == (400, "MANIFEST_INVALID")
    assert refused(good, kind=INDEX) == (400, "MANIFEST_INVALID")
    assert refused(good.replace(b'"layers"', b'"manifests"')) == (400, "MANIFEST_INVALID")
    assert refused(good[:-1] + b', "layers": []}') == (400, "MANIFEST_INVALID")
    assert refused(good[:-1] + b', "manifests": []}') == (400, "MANIFEST_INVALID")
    assert refused(good.replace(b'2, ', b'1, ', 1)) == (400, "MANIFEST_INVALID")
    assert refused(good, digest_of(b"other")) == (400, "DIGEST_INVALID")
    assert refused(good, "sha256:short") == (400, "DIGEST_INVALID")
    assert refused(good, ".hidden") == (400, "TAG_INVALID")
    assert refused(manifest_of([b"not pushed"])) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert refused(manifest_of([], b"{} ")) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert refused(good + b" " * (4 << 20)) == (413, "MANIFEST_INVALID")
    assert registry("GET", f"/v2/{name}/tags/list").json()["tags"] == []
    padded = good + b" " * ((4 << 20) - len(good))
    assert registry.put(name, "large", padded) == digest_of(padded)


def test_uploads_in_pieces_go_on_where_they_stand(registry, name):
    body = noise(50_000)
    place = registry("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    first = registry("PATCH", place, body[:20_000], Content_Range="0-19999")
    assert first.status == 202 and first.headers["Range"] == "0-19999"
    wrong = registry("PATCH", place, body[:10], Content_Range="30000-30009")
    assert (wrong.status, wrong.code) == (416, "RANGE_INVALID")
    assert wrong.headers["Range"] == "0-19999" and wrong.headers["Location"] == place
    assert registry("PATCH", place, body[:10], Content_Range="20000-20019").status == 416, "two lengths"
    assert registry("PATCH", place, body[:10], Content_Range="bytes 0-9").status == 416
    status = registry("GET", place)
    assert status.status == 204 and status.headers["Range"] == "0-19999"
    chunked = registry("PATCH", place, iter([body[20_000:30_000], body[30_000:40_000]]), Transfer_Encoding="chunked")
    assert chunked.status == 202 and chunked.headers["Range"] == "0-39999"
    done = registry("PUT", f"{place}?digest={digest_of(body)}", body[40_000:])
    assert done.status == 201
    assert registry("GET", done.headers["Location"]).body == body
    assert registry("GET", place).code == "BLOB_UPLOAD_UNKNOWN"


def test_an_upload_survives_the_clients_connection(server, registry, name):
    body = noise(300_000)
    place = registry("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    login = base64.b64encode(registry.login.encode()).decode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
        line.sendall(f"PATCH {place} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Length: {len(body)}\r\n\r\n"
                     .encode() + body[:123_456])
    deadline = time.monotonic() + 60
    while registry("GET", place).headers["Range"] != "0-123455" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert registry("GET", place).headers["Range"] == "0-123455"
    # What is written is seen before the server has noticed that its writer has gone.
    while (done := registry("PUT", f"{place}?digest={digest_of(body)}", body[123_456:])).status == 409:
        assert time.monotonic() < deadline, done.body
        time.sleep(0.02)
    assert done.status == 201


def test_bytes_with_another_digest_are_not_kept(registry, name):
    body = noise(40_000)
    place = registry("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    assert registry("PUT", place, body).code == "DIGEST_INVALID", "none was said"
    assert registry("PUT", f"{place}?digest=sha256:x", body).code == "DIGEST_INVALID"
    assert registry("PUT", f"{place}?digest={digest_of(b'other')}", body).code == "DIGEST_INVALID"
    assert registry("GET", place).status == 404, "the upload is gone"
    whole = registry("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(b'other')}", body)
    assert (whole.status, whole.code) == (400, "DIGEST_INVALID")
    for digest in (digest_of(b"other"), digest_of(body)):
        assert registry("HEAD", f"/v2/{name}/blobs/{digest}").status == 404
    whole = registry("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(body)}", body)
    assert whole.status == 201 and registry("GET", whole.headers["Location"]).body == body


def test_an_upload_is_cancelled(registry, name):
    place = registry("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    assert registry("DELETE", place).status == 204
    for answer in (registry("DELETE", place), registry("PATCH", place, b"x"), registry("GET", place)):
        assert answer.status == 404


def test_a_layer_is_mounted_from_where_the_caller_may_read(registry, name):
    body = noise(1000)
    registry.push_blob(name, body)
    other = name + "-other"
    mounted = registry("POST", f"/v2/{other}/blobs/uploads/?mount={digest_of(body)}&from={name}")
    assert mounted.status == 201 and registry("GET", mounted.headers["Location"]).body == body
    for query in (f"mount={digest_of(b'x')}&from={name}", f"mount={digest_of(body)}&from=no/such", f"mount={digest_of(b'x')}",
                  f"mount={digest_of(body)}&from=../A"):
        assert registry("POST", f"/v2/{other}/blobs/uploads/?{query}").status == 202, query
    found = registry("POST", f"/v2/{other}-third/blobs/uploads/?mount={digest_of(body)}")
    assert found.status == 201 and registry("GET", found.headers["Location"]).body == body, "wherever it is"
    assert registry("POST", f"/v2/{other}/blobs/uploads/?mount=sha256:x&from={name}").code == "DIGEST_INVALID"


def test_tags_and_repositories_come_in_pages(registry, name):
    registry.push_blob(name, b"{}")
    tags = sorted(f"v{number}" for number in range(12))
    for tag in reversed(tags):
        registry.put(name, tag, manifest_of([]))
    assert registry("GET", f"/v2/{name}/tags/list").json() == {"name": name, "tags": tags}
    seen, path = [], f"/v2/{name}/tags/list?n=5"
    while path:
        page = registry("GET", path)
        seen += page.json()["tags"]
        link = page.headers["Link"]
        path = link[1:link.index(">")] if link else None
    assert seen == tags
    assert registry("GET", f"/v2/{name}/tags/list?n=0").json()["tags"] == []
    assert registry("GET", f"/v2/{name}/tags/list?n=x").code == "PAGINATION_NUMBER_INVALID"
    assert registry("GET", "/v2/no/such/tags/list").code == "NAME_UNKNOWN"
    known, path = [], "/v2/_catalog?n=2"
    while path:
        page = registry("GET", path)
        known += page.json()["repositories"]
        link = page.headers["Link"]
        path = link[1:link.index(">")] if link else None
    assert known == sorted(known) and name in known


def test_referrers_are_found_and_filtered(registry, name):
    digest = registry.push(name, "v1", [b"layer"])
    subject = {"subject": descriptor(MANIFEST, manifest_of([b"layer"]))}
    assert subject["subject"]["digest"] == digest
    made = {}
    for kind in ("application/vnd.example.signature", "application/vnd.example.sbom+json"):
        text = manifest_of([], artifactType=kind, annotations={"kind": kind}, **subject)
        answer = registry("PUT", f"/v2/{name}/manifests/{digest_of(text)}", text, Content_Type=MANIFEST)
        assert answer.status == 201 and answer.headers["OCI-Subject"] == digest
        made[kind] = digest_of(text)
    found = registry("GET", f"/v2/{name}/referrers/{digest}")
    assert found.headers["Content-Type"] == INDEX
    assert {entry["digest"]: entry["annotations"]["kind"] for entry in found.json()["manifests"]} == {v: k for k, v in made.items()}
    for kind, own in made.items():
        some = registry("GET", f"/v2/{name}/referrers/{digest}?artifactType={kind.replace('+', '%2B')}")
        assert some.headers["OCI-Filters-Applied"] == "artifactType"
        assert [entry["digest"] for entry in some.json()["manifests"]] == [own]
    assert registry("GET", f"/v2/{name}/referrers/{digest_of(b'none')}").json()["manifests"] == []
    for number in range(40):
        registry.put(name, f"a{number}", manifest_of([], annotations={"n": str(number)}, **subject))
    assert len(registry("GET", f"/v2/{name}/referrers/{digest}").json()["manifests"]) == 42


def test_deleting(registry, name):
    digest = registry.push(name, "v1", [b"layer of " + name.encode()])
    registry.put(name, "v2", manifest_of([b"layer of " + name.encode()]))
    place = f"/v2/{name}/blobs/{digest_of(b'layer of ' + name.encode())}"
    assert registry("DELETE", place).status == 405, "an image has it"
    assert registry("DELETE", f"/v2/{name}/manifests/v1").status == 202
    assert registry("GET", f"/v2/{name}/manifests/v1").status == 404
    assert registry("GET", f"/v2/{name}/manifests/v2").status == 200
    assert registry("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
    assert registry("GET", f"/v2/{name}/manifests/v2").status == 404
    assert registry("DELETE", f"/v2/{name}/manifests/{digest}").code == "MANIFEST_UNKNOWN"
    assert registry("DELETE", place).status == 202
    assert registry("GET", place).code == "BLOB_UNKNOWN"


@pytest.mark.parametrize("hostile", [
    "..", "a/../b", "%2e%2e", "a/%2e%2e/b", "a%2f..%2fb", "A", "a//b", "a b", "a%00b", "_a", "a_", "a/b/", "é", "%ff", "a" * 257,
    "a\\b", "-", "con:1", "a@b", "{}", "$(id)"])
def test_names_that_nobody_may_have(server, registry, hostile):
    quoted = hostile.replace(" ", "%20").replace("é", "%C3%A9")
    for method, rest in (("POST", "blobs/uploads/"), ("PUT", "manifests/v1"), ("GET", "tags/list"), ("GET", f"blobs/{digest_of(b'')}")):
        answer = registry(method, f"/v2/{quoted}/{rest}", b"" if method != "GET" else None)
        assert answer.status in (400, 404), (method, answer.body)
    assert hostile not in registry("GET", "/v2/_catalog").json()["repositories"]


def test_paths_and_methods_that_do_not_exist(registry, name):
    registry.push(name, "v1", [])
    assert registry("GET", "/v2/a").status == 404
    assert registry("GET", f"/v2/{name}/nothing/x").status == 404
    for method, path in (("POST", f"/v2/{name}/manifests/v1"), ("PATCH", f"/v2/{name}/tags/list"), ("PUT", "/v2/")):
        answer = registry(method, path, b"x")
        assert (answer.status, answer.code) == (405, "UNSUPPORTED") and answer.headers["Allow"]


def test_a_repository_may_be_called_credentials(registry):
    digest = registry.push("credentials", "v1", [])
    registry.push("credentials/own", "v1", [])
    assert registry("GET", "/v2/credentials/manifests/v1").headers["Docker-Content-Digest"] == digest
    assert registry("GET", "/v2/credentials/tags/list").json()["tags"] == ["v1"]
    assert registry("GET", "/v2/credentials/own/tags/list").json()["tags"] == ["v1"]
    assert b"no such credentials" in registry("GET", "/v2/credentials/0123456789abcdef").body


def policy(*actions, resource="*"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resource}]})


PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = ("ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")


@pytest.fixture
def person(server, unique):
    """A function: a registry client of a new user with these permissions."""
    iam = server.client("iam")

    def make(*actions, resource="*", label="a"):
        user = f"{unique}-{label}"
        iam.create_user(UserName=user)
        if actions:
            iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy(*actions, resource=resource))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return Registry(server, f"{key['AccessKeyId']}:{key['SecretAccessKey']}")

    return make


def test_policies_decide_who_pulls_and_pushes(server, registry, person, name):
    body = b"a layer"
    digest = registry.push(name, "v1", [body])
    reader, writer, nobody = person(*PULL, label="r"), person(*PUSH, label="w"), person(label="n")
    manifest, blob = f"/v2/{name}/manifests/v1", f"/v2/{name}/blobs/{digest_of(body)}"
    assert nobody("GET", "/v2/").status == 200, "a password is not a permission"
    for method, path in (("GET", manifest), ("GET", blob), ("HEAD", blob), ("POST", f"/v2/{name}/blobs/uploads/"),
                         ("GET", f"/v2/{name}/tags/list"), ("DELETE", manifest), ("GET", "/v2/_catalog"),
                         ("GET", f"/v2/{name}/referrers/{digest}"), ("PUT", manifest)):
        answer = nobody(method, path, b"x" if method in ("PUT", "POST") else None)
        assert answer.status == 403, (method, path)
        assert method == "HEAD" or answer.code == "DENIED"
    assert reader("GET", manifest).status == 200 and reader("GET", blob).body == body
    assert reader("POST", f"/v2/{name}/blobs/uploads/").code == "DENIED"
    assert reader("PUT", manifest, manifest_of([body]), Content_Type=MANIFEST).code == "DENIED"
    assert reader("DELETE", manifest).code == "DENIED"
    assert writer.push(name, "v2", [b"another"]) and writer("GET", manifest).code == "DENIED"
    text = writer("GET", manifest).json()["errors"][0]["message"]
    assert f"is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-west-2:{server.account}:repository/{name}" \
        in text
    # A repository is made by a push of those who may make one.
    assert writer("POST", f"/v2/{name}-new/blobs/uploads/").code == "NAME_UNKNOWN"
    maker = person(*PUSH, "ecr:CreateRepository", label="m")
    assert maker("POST", f"/v2/{name}-new/blobs/uploads/").status == 202


def test_policies_name_repositories(server, registry, person, name):
    registry.push(name, "v1", [b"open"])
    registry.push(name + "-secret", "v1", [b"secret of " + name.encode()])
    some = person(*PULL, *PUSH, resource=f"arn:aws:ecr:us-west-2:{server.account}:repository/{name}")
    assert some("GET", f"/v2/{name}/manifests/v1").status == 200
    assert some("GET", f"/v2/{name}-secret/manifests/v1").code == "DENIED"
    # Nor by mounting what is there into what one may read.
    digest = digest_of(b"secret of " + name.encode())
    for query in (f"mount={digest}&from={name}-secret", f"mount={digest}"):
        assert some("POST", f"/v2/{name}/blobs/uploads/?{query}").status == 202, query
    assert some("GET", f"/v2/{name}/blobs/{digest}").code == "BLOB_UNKNOWN"


def test_accounts_and_regions_have_registries_of_their_own(server, registry, name):
    registry.push(name, "v1", [b"mine"])
    ecr_host = f"{server.account}.dkr.ecr.us-west-2.amazonaws.com"
    assert Registry(server, host=ecr_host)("GET", f"/v2/{name}/manifests/v1").status == 200
    elsewhere = Registry(server, host=ecr_host.replace("us-west-2", "eu-central-1"))
    assert elsewhere("GET", f"/v2/{name}/manifests/v1").code == "NAME_UNKNOWN"
    elsewhere.push(name, "v1", [b"other"])
    assert registry("GET", f"/v2/{name}/manifests/v1").json()["layers"][0]["digest"] == digest_of(b"mine")
    stranger = Registry(server, host=ecr_host.replace(server.account, "999999999999"))
    assert stranger("GET", f"/v2/{name}/manifests/v1").code == "DENIED"
    made = json.loads(subprocess.run([BIN / "millwright", "accounts", "create", name.split("/")[1], "--json", "--data-dir", server.folder],
                                     check=True, capture_output=True, text=True).stdout)
    other = Registry(server, f"{made['AccessKeyId']}:{made['SecretAccessKey']}")
    assert other("GET", f"/v2/{name}/manifests/v1").code == "NAME_UNKNOWN", "its own registry is empty"
    guest = Registry(server, other.login, host=ecr_host)
    assert guest("GET", f"/v2/{name}/manifests/v1").code == "DENIED"
    server.client("ecr").set_repository_policy(repositoryName=name, policyText=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{made['AccountId']}:root"},
                                                "Action": list(PULL)}]}))
    assert guest("GET", f"/v2/{name}/manifests/v1").status == 200
    assert guest("GET", f"/v2/{name}/blobs/{digest_of(b'mine')}").body == b"mine"
    assert guest("PUT", f"/v2/{name}/manifests/v1", manifest_of([b"mine"]), Content_Type=MANIFEST).code == "DENIED"


def test_tags_that_do_not_move(server, registry, name):
    registry.push(name, "v1", [b"one"])
    server.client("ecr").put_image_tag_mutability(repositoryName=name, imageTagMutability="IMMUTABLE")
    registry.push_blob(name, b"two")
    answer = registry("PUT", f"/v2/{name}/manifests/v1", manifest_of([b"two"]), Content_Type=MANIFEST)
    assert (answer.status, answer.code) == (400, "TAG_INVALID") and "immutable" in answer.json()["errors"][0]["message"]
    assert registry.put(name, "v1", manifest_of([b"one"]))


def test_many_push_the_same_layers_at_once(server, name):
    layers = [noise(30_000) for _ in range(5)]

    def push(number):
        own = Registry(server)
        return own.push(f"{name}/{number % 4}", f"v{number}", layers)

    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(push, range(24)))
    assert len(digests) == 1
    reader = Registry(server)
    for number in range(4):
        for layer in layers:
            assert reader("GET", f"/v2/{name}/{number}/blobs/{digest_of(layer)}").body == layer


def memory_of(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) >> 10


def test_large_layers_do_not_pass_through_memory(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        registry, piece, pieces = Registry(server), noise(1 << 20), 400
        registry.push("warm/up", "v1", [noise(5 << 20)])
        before = memory_of(server.process.pid)
        whole = hashlib.sha256()
        for _ in range(pieces):
            whole.update(piece)
        place = registry("POST", "/v2/large/blobs/uploads/").headers["Location"]
        assert registry("PATCH", place, (piece for _ in range(pieces)), Transfer_Encoding="chunked").status == 202
        done = registry("PUT", f"{place}?digest=sha256:{whole.hexdigest()}")
        assert done.status == 201, done.body
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        line.request("GET", done.headers["Location"], headers={
            "Authorization": "Basic " + base64.b64encode(registry.login.encode()).decode()})
        answer, read = line.getresponse(), 0
        while got := answer.read(1 << 20):
            read += len(got)
        line.close()
        assert read == pieces << 20
        grown = memory_of(server.process.pid) - before
        print(f"\n400 MiB pushed and pulled: the server grew by {grown} MiB")
        assert grown < 32
    finally:
        server.end_everything()


def test_check_and_backup_know_the_images(tmp_path):
    server = Server(tmp_path / "data").start()
    copy = None
    try:
        registry = Registry(server)
        body = noise(100_000)
        digest = registry.push("kept/image", "v1", [body])
        place = registry("POST", "/v2/kept/image/blobs/uploads/").headers["Location"]
        registry("PATCH", place, b"half ")

        def check(folder):
            done = subprocess.run([BIN / "millwright", "check", "--deep", "--json", "--data-dir", folder], capture_output=True, text=True)
            return done.returncode, json.loads(done.stdout)

        code, found = check(server.folder)
        assert code == 0 and found["images"] == 1 and found["layers"] == 2, found
        subprocess.run([BIN / "millwright", "backup", tmp_path / "copy", "--data-dir", server.folder], check=True, capture_output=True)
        registry("PATCH", place, b"and more")
        assert registry("DELETE", f"/v2/kept/image/manifests/{digest}").status == 202
        assert check(tmp_path / "copy")[0] == 0
        copy = Server(tmp_path / "copy").start()
        again = Registry(copy)
        assert again("GET", "/v2/kept/image/manifests/v1").headers["Docker-Content-Digest"] == digest
        assert again("GET", f"/v2/kept/image/blobs/{digest_of(body)}").body == body
        assert again("GET", place).headers["Range"] == "0-4"
        copy.stop()
        file = max((path for path in (tmp_path / "copy/registry").glob("??/*")), key=lambda path: path.stat().st_size)
        damaged = bytearray(file.read_bytes())
        damaged[77] ^= 1
        file.unlink()
        file.write_bytes(damaged)
        code, found = check(tmp_path / "copy")
        assert code != 0 and "another digest" in found["image_damages"][0], found
    finally:
        if copy:
            copy.end_everything()
        server.end_everything()


def test_pulls_and_pushes_stand_in_the_audit_log(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        registry = Registry(server)
        registry.push("seen/image", "v1", [b"x"])
        registry("GET", "/v2/seen/image/manifests/v1")
        Registry(server, "AWS:wrong")("GET", "/v2/seen/image/manifests/v1")
        deadline = time.monotonic() + 60
        lines = []
        while time.monotonic() < deadline and not (any(line.get("operation") == "BatchGetImage" for line in lines)
                                                   and any(line["status"] == 401 for line in lines)):
            time.sleep(0.05)
            lines = [line for line in server.audit_lines() if line.get("service") == "ecr"]
        put = next(line for line in lines if line["operation"] == "PutImage")
        assert put["resource"] == f"arn:aws:ecr:us-west-2:{server.account}:repository/seen/image"
        assert put["action"] == "ecr:PutImage" and put["decision"] == "allow" and put["status"] == 201
        assert any(line["status"] == 401 for line in lines)
        assert registry.login.split(":")[1] not in (server.folder / "logs/audit/audit.jsonl").read_text()
    finally:
        server.end_everything()
