"""The image registry and clients that mean harm, or that lose their patience."""
import base64
import json
import os
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from registry_client import CONFIG, INDEX, LAYER, MANIFEST, Registry, descriptor, digest_of, manifest_of, noise
from server import Server


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("hostile") / "data").start()
    yield running
    running.end_everything()


@pytest.fixture(scope="module")
def registry(own):
    return Registry(own)


@pytest.fixture
def name(unique):
    return f"hostile/{unique}"


def raw(server, text, wait=True):
    """What a client says that knows no rules; the first line of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        line.sendall(text if isinstance(text, bytes) else text.encode())
        if wait:
            return line.makefile("rb").readline().decode()
    return None


def authorization(registry):
    return "Authorization: Basic " + base64.b64encode(registry.login.encode()).decode()


def files_of(server):
    return sorted((server.folder / "registry").glob("??/*"))


DIGESTS = ["sha256:../../../../etc/passwd", "sha256:" + "../" * 21 + "a", "sha256:" + "A" * 64, "sha256:" + "g" * 64, "sha256:" + "0" * 63,
           "sha256:" + "0" * 65, "sha512:" + "0" * 64, "md5:" + "0" * 32, "sha256:", ":" + "0" * 64, "sha256", "sha256:" + "0" * 60 + "/../",
           "sha256:%2e%2e%2f%2e%2e%2fmetadata.db", "sha256:" + "0" * 63 + "%00", "sha256+b64:AAAA", "sha256:" + "0" * 10_000, "..", "-", "%"]


@pytest.mark.parametrize("digest", DIGESTS, ids=range(len(DIGESTS)))
def test_digests_that_lead_elsewhere(own, registry, name, digest):
    registry.push(name, "v1", [])
    before = files_of(own)
    asks = [("GET", f"/v2/{name}/blobs/{digest}"), ("HEAD", f"/v2/{name}/blobs/{digest}"), ("DELETE", f"/v2/{name}/blobs/{digest}"),
            ("GET", f"/v2/{name}/referrers/{digest}"), ("GET", f"/v2/{name}/manifests/{digest}"),
            ("POST", f"/v2/{name}/blobs/uploads/?mount={digest}&from={name}")]
    place = registry("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    asks.append(("PUT", f"{place}?digest={digest}"))
    for method, path in asks:
        answer = registry(method, path)
        assert answer.status in (400, 404, 414, 431), (method, path[:100], answer.status, answer.body[:200])
        assert b"root:" not in answer.body and b"SQLite" not in answer.body
    assert registry("DELETE", place).status == 204
    assert files_of(own) == before
    body = json.loads(manifest_of([]))
    body["config"]["digest"] = digest.replace("%00", "\0")
    answer = registry("PUT", f"/v2/{name}/manifests/v2", json.dumps(body).encode(), Content_Type=MANIFEST)
    assert answer.status == 400, answer.body


def giant(kind):
    entry = descriptor(LAYER, b"x")
    return {"many layers": lambda: {"layers": [entry] * 10_001}, "deep": lambda: None, "a long annotation": lambda: {
        "layers": [], "annotations": {"a": "x" * (5 << 20)}}, "a negative size": lambda: {"layers": [{**entry, "size": -1}]},
        "a huge size": lambda: {"layers": [{**entry, "size": 2 ** 63}]}, "half a byte": lambda: {"layers": [{**entry, "size": 0.5}]},
        "no list": lambda: {"layers": {"0": entry}}}[kind]()


@pytest.mark.parametrize("kind", ["many layers", "deep", "a long annotation", "a negative size", "a huge size", "half a byte", "no list"])
def test_manifests_that_are_too_much(registry, name, kind):
    registry.push_blob(name, b"{}")
    more = giant(kind)
    text = b'{"a":' * 100_000 + b"1" + b"}" * 100_000 if more is None else json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, b"{}"), **more}).encode()
    answer = registry("PUT", f"/v2/{name}/manifests/v1", text, Content_Type=MANIFEST)
    assert (answer.status, answer.code) in ((400, "MANIFEST_INVALID"), (413, "MANIFEST_INVALID")), (answer.status, answer.body[:300])
    assert registry("GET", f"/v2/{name}/manifests/v1").status == 404


def test_a_manifest_of_unknown_length_ends_at_the_limit(own, registry, name):
    registry.push_blob(name, b"{}")
    answer = registry("PUT", f"/v2/{name}/manifests/v1", (b" " * 65536 for _ in range(80)), Content_Type=MANIFEST, Transfer_Encoding="chunked")
    assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")
    # And one that announces an absurd length is refused before a byte of it has come.
    first = raw(own, f"PUT /v2/{name}/manifests/v1 HTTP/1.1\r\nHost: x\r\n{authorization(registry)}\r\nContent-Type: {MANIFEST}\r\n"
                     f"Content-Length: 99999999999999\r\n\r\n")
    assert " 413 " in first, first


def test_an_index_that_names_itself_or_what_is_not_there(registry, name):
    digest = registry.push(name, "v1", [])
    for children in ([{"mediaType": MANIFEST, "digest": digest_of(b"none"), "size": 1}],
                     [{"mediaType": INDEX, "digest": digest_of(b"none"), "size": 1}]):
        text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()
        answer = registry("PUT", f"/v2/{name}/manifests/list", text, Content_Type=INDEX)
        assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    good = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "digest": digest, "size": 1}]}).encode()
    assert registry("PUT", f"/v2/{name}/manifests/list", good, Content_Type=INDEX).status == 201


def test_ranges_that_do_not_fit(registry, name):
    body = noise(10_000)
    for asked in ("1-9999", "0-9998", "0-10000", "5-2", "-", "0-", "-5", "a-b", "0-18446744073709551615", "18446744073709551615-18446744073709551616",
                  "0-9999/10000", "bytes 0-9999/10000", "0-9999, 0-9999", " "):
        place = registry("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        answer = registry("PATCH", place, body, Content_Range=asked)
        assert (answer.status, answer.code) == (416, "RANGE_INVALID"), (asked, answer.status, answer.body)
        assert registry("GET", place).headers["Range"] == "0-0", asked
        assert registry("PUT", f"{place}?digest={digest_of(body)}", body, Content_Range="0-9999").status == 201
    place = registry("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    assert registry("PATCH", place, body[:5000], Content_Range="0-4999").status == 202
    for asked in ("0-4999", "4999-9998", "5001-10000", "9000-13999"):
        answer = registry("PATCH", place, body[:5000], Content_Range=asked)
        assert (answer.status, answer.headers["Range"]) == (416, "0-4999"), asked
    assert registry("PUT", f"{place}?digest={digest_of(body)}", body[5000:], Content_Range="5000-9999").status == 201


def test_two_writers_of_one_upload(own, registry, name):
    """The second is refused while the first has not ended, and the upload is that of the first."""
    body = noise(20_000)
    place = registry("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    with socket.create_connection(("127.0.0.1", own.port), timeout=20) as line:
        line.sendall(f"PATCH {place} HTTP/1.1\r\nHost: x\r\n{authorization(registry)}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        deadline = time.monotonic() + 60
        while (answer := registry("PATCH", place, b"")).status != 409 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (answer.status, answer.code) == (409, "BLOB_UPLOAD_INVALID")
        assert registry("PUT", f"{place}?digest={digest_of(b'')}").status == 409
        line.sendall(body[10:])
        assert b" 202 " in line.makefile("rb").readline()
    assert registry("PUT", f"{place}?digest={digest_of(body)}").status == 201


def test_a_thousand_uploads_of_the_same_layer(own, name):
    """All begun before the first is completed, from a hundred threads; one file is left, and it is whole."""
    Registry(own).push_blob(name, b"{}")
    before, body, failures = files_of(own), noise(20_000), []
    all_begun = threading.Barrier(100)

    def push():
        try:
            client = Registry(own)
            places = [client("POST", f"/v2/{name}/blobs/uploads/").headers["Location"] for _ in range(10)]
            for place in places:
                assert client("PATCH", place, body[:12_000]).status == 202
            all_begun.wait(300)
            for place in places:
                answer = client("PUT", f"{place}?digest={digest_of(body)}", body[12_000:])
                assert answer.status == 201, answer.body
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=push) for _ in range(100)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    print(f"\n1000 uploads of one layer at once in {time.monotonic() - begun:.1f} s")
    assert failures == []
    assert len(files_of(own)) == len(before) + 1
    assert Registry(own)("GET", f"/v2/{name}/blobs/{digest_of(body)}").body == body


def test_uploads_that_are_never_finished_go(tmp_path):
    """Left by clients that went away: after a day they are gone, and their files with them."""
    server = Server(tmp_path / "data").start()
    try:
        registry = Registry(server)
        registry.push("kept/image", "v1", [b"layer"])
        places = [registry("POST", "/v2/kept/image/blobs/uploads/").headers["Location"] for _ in range(50)]
        for place in places:
            assert registry("PATCH", place, noise(1000)).status == 202
        assert len(files_of(server)) == 52
        server.stop()
        with sqlite3.connect(server.folder / "metadata.db", timeout=30) as database:
            database.execute("UPDATE image_upload SET begun=begun-100000000")
        database.close()
        # A day has passed, but one of them was written to an hour ago.
        young = database_file(server, places[7])
        for path in files_of(server):
            age = 3600 if path == young else 100_000
            os.utime(path, (time.time() - age, time.time() - age))
        server.start()
        deadline = time.monotonic() + 90
        while len(files_of(server)) > 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        registry = Registry(server)
        assert len(files_of(server)) == 3
        assert [registry("GET", place).status for place in places].count(404) == 49
        assert registry("GET", places[7]).headers["Range"] == "0-999"
        assert registry("GET", f"/v2/kept/image/blobs/{digest_of(b'layer')}").body == b"layer"
    finally:
        server.end_everything()


def database_file(server, place):
    with sqlite3.connect(server.folder / "metadata.db", timeout=30) as database:
        (file,), = database.execute("SELECT file FROM image_upload WHERE id=?", [place.rsplit("/", 1)[1]])
    database.close()
    return Path(server.folder / "registry" / file[:2] / file)
