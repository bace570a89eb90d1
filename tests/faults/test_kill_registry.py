"""kill -9 of the server at random moments and at the registry's fail points, while seven clients push images, in one request, in
pieces and by mounting, pull, delete, and remove whole repositories, so that layers are collected all the time.

What was acknowledged must be there afterwards byte by byte, a push that was cut off goes on or begins again, and no file
stays that nothing names. MILLWRIGHT_KILLS=1000 for the long run.
"""
import http.client
import json
import os
import random
import re
import sqlite3
import subprocess
import threading
import time
from collections import defaultdict

import pytest
from registry_client import MANIFEST, Registry, digest_of, manifest_of
from server import BIN, ROOT, Server

KILLS = int(os.environ.get("MILLWRIGHT_KILLS", "20"))
SEED = int(os.environ.get("MILLWRIGHT_KILL_SEED", "20261123"))
MOST_IN_VAIN = 8
# Bytes that all pushes share, so that one removes what another is just pushing.
SHARED = [random.Random(SEED + n).randbytes(size) for n, size in enumerate([2, 900, 4096, 20_000, 70_000, 300_000, 700_000])]
REPOSITORIES = [f"kill/{number}" for number in range(3)]
DOWN = (OSError, http.client.HTTPException)


def passing():
    """Bytes that are new to all for a moment: collected when one gives them up, while others push them."""
    return random.Random(int(time.monotonic() * 2)).randbytes(30_000)


def fail_points():
    names = set()
    for path in (ROOT / "src/registry").rglob("*.cc"):
        names.update(re.findall(r'FAIL_POINT(?:_AT_EXIT)?\("([^"]+)"\)', path.read_text()))
    return sorted(names)


class Clients:
    """Threads that work for as long as the test runs, and note what was acknowledged."""

    def __init__(self, server):
        self.server, self.lock = server, threading.Lock()
        self.images = {}  # (repository, digest) -> (tag, layers); absent while a deletion is in doubt
        self.counts, self.unexpected = defaultdict(int), []
        self.ending = threading.Event()
        roles = [self.push, self.push, self.push, self.churn, self.churn, self.delete, self.pull]
        self.threads = [threading.Thread(target=self.work, args=(role, n), daemon=True) for n, role in enumerate(roles)]
        for thread in self.threads:
            thread.start()

    def finish(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)

    def work(self, role, number):
        client, chooser = Registry(self.server), random.Random(SEED * 100 + number)
        while not self.ending.is_set():
            try:
                role(client, chooser)
                self.count(role.__name__)
            except DOWN:
                self.count("cut off")
                time.sleep(0.01)
            except AssertionError as failure:
                self.unexpected.append(f"{role.__name__}: {failure}")
                time.sleep(0.1)

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def insist(self, client, *request, **headers):
        """The answer, however often the server dies before it; for requests that may be sent again."""
        for _ in range(2000):
            try:
                return client(*request, **headers)
            except DOWN:
                if self.ending.is_set():
                    raise
                time.sleep(0.01)
        raise AssertionError(f"no answer to {request[:2]}")

    def push_layer(self, client, chooser, repository, body):
        place = f"/v2/{repository}/blobs/{digest_of(body)}"
        way = chooser.choice(["whole", "pieces", "pieces", "look", "mount"])
        if way == "look" and self.insist(client, "HEAD", place).status == 200:
            return
        if way == "mount":
            source = chooser.choice(REPOSITORIES + ["churn/0"])
            answer = client("POST", f"/v2/{repository}/blobs/uploads/?mount={digest_of(body)}&from={source}")
            assert answer.status in (201, 202), (answer.status, answer.body)
            if answer.status == 201:
                return self.count("mounted")
        if way != "pieces":
            answer = self.insist(client, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(body)}", body)
            assert answer.status == 201, (answer.status, answer.body)
            return None
        return self.push_in_pieces(client, chooser, repository, body)

    def push_in_pieces(self, client, chooser, repository, body):
        """Goes on where the upload stands after each crash."""
        begun = self.insist(client, "POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, (begun.status, begun.body)
        place, at = begun.headers["Location"], 0
        for _ in range(1000):
            piece = body[at:at + chooser.choice([2, 5000, 50_000, 200_000])]
            try:
                if at + len(piece) < len(body):
                    answer = client("PATCH", place, piece, Content_Range=f"{at}-{at + len(piece) - 1}")
                    assert answer.status == 202, (answer.status, answer.body)
                    at += len(piece)
                    continue
                answer = client("PUT", f"{place}?digest={digest_of(body)}", body[at:])
                assert answer.status == 201, (answer.status, answer.body)
                return
            except DOWN:
                # A server that was killed knows how far it was, or has completed the upload, or never made it.
                standing = self.insist(client, "GET", place)
                if standing.status == 404:
                    return self.begin_again(client, repository, body)
                first, last = map(int, standing.headers["Range"].split("-"))
                assert standing.status == 204 and first == 0 and last + 1 >= at, (standing.status, standing.headers["Range"], at)
                at = last + 1 if last else 0  # "0-0" is said of no bytes, too; nobody here sends a single one
                self.count("resumed")
        raise AssertionError("an upload without an end")

    def begin_again(self, client, repository, body):
        self.count("begun again")
        answer = self.insist(client, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(body)}", body)
        assert answer.status == 201, (answer.status, answer.body)

    def push(self, client, chooser):
        repository, tag = chooser.choice(REPOSITORIES), f"t{chooser.getrandbits(60)}"
        layers = chooser.sample(SHARED, 1) + [passing(), tag.encode() * chooser.choice([1, 100, 10_000])]
        for body in [b"{}", *layers]:
            self.push_layer(client, chooser, repository, body)
        text = manifest_of(layers)
        answer = self.insist(client, "PUT", f"/v2/{repository}/manifests/{tag}", text, Content_Type=MANIFEST)
        assert answer.status == 201, (answer.status, answer.body)
        with self.lock:
            self.images[repository, digest_of(text)] = (tag, layers)

    def churn(self, client, chooser):
        """A repository that comes and goes: with it go the layers that no other has, at once."""
        repository = f"churn/{chooser.randrange(2)}"
        try:
            for body in [passing(), *chooser.sample(SHARED, 1), chooser.randbytes(100)]:
                answer = client("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(body)}", body)
                # The other thread removes it in between.
                assert answer.status == 201 or answer.code in ("NAME_UNKNOWN", "BLOB_UPLOAD_UNKNOWN"), (answer.status, answer.body)
        finally:
            session = self.server.client("ecr", connect_timeout=5, read_timeout=20)
            try:
                session.delete_repository(repositoryName=repository, force=True)
            except session.exceptions.RepositoryNotFoundException:
                pass
            except Exception as failure:  # the server is away
                raise OSError(str(failure)) from failure

    def delete(self, client, chooser):
        time.sleep(chooser.uniform(0, 0.1))
        with self.lock:
            if len(self.images) < 20:
                return
            chosen = chooser.choice(sorted(self.images))
            tag, layers = self.images.pop(chosen)
        repository, digest = chosen
        if chooser.random() < 0.5:
            answer = self.insist(client, "DELETE", f"/v2/{repository}/manifests/{digest}")
            assert answer.status in (202, 404), (answer.status, answer.body)
            assert self.insist(client, "GET", f"/v2/{repository}/manifests/{tag}").status == 404
            return
        answer = self.insist(client, "DELETE", f"/v2/{repository}/manifests/{tag}")
        assert answer.status in (202, 404), (answer.status, answer.body)
        with self.lock:
            self.images[chosen] = (None, layers)

    def pull(self, client, chooser):
        time.sleep(0.01)
        with self.lock:
            if not self.images:
                return
            chosen = chooser.choice(sorted(self.images))
            tag, layers = self.images[chosen]
        repository, digest = chosen
        answer = client("GET", f"/v2/{repository}/manifests/{digest}")
        got = [client("GET", f"/v2/{repository}/blobs/{digest_of(layer)}") for layer in layers]
        with self.lock:
            if chosen not in self.images:
                return  # removed meanwhile
        assert answer.status == 200 and digest_of(answer.body) == digest, (answer.status, answer.body[:200])
        for layer, blob in zip(layers, got):
            assert blob.status == 200 and blob.body == layer, (blob.status, digest_of(layer))


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "data").start()
    yield running
    running.end_everything()


def start(server, points=()):
    """False: it died while it started, as it was told to."""
    server.variables["MILLWRIGHT_FAIL_POINTS"] = ";".join(points)
    try:
        server.start()
        return True
    except RuntimeError:
        if server.process.poll() != -9:
            raise
        return False


def kill_again_and_again(server, chooser):
    """Every other time at a fail point. How often each struck, and how many kills came at random."""
    hits, at_random, in_vain = dict.fromkeys(fail_points(), 0), 0, 0
    log = open(server.folder.parent / "data.log", errors="replace")
    for number in range(10 * KILLS + 100):
        missing = [point for point in hits if not hits[point]]
        if at_random + sum(hits.values()) >= KILLS and (not missing or in_vain >= MOST_IN_VAIN):
            break
        wanted = chooser.choice(missing or sorted(hits)) if number % 2 else None
        server.kill()
        died = not start(server, [f"{wanted}=kill@{chooser.choice([1, 2, 3]) if hits[wanted] else 1}"] if wanted else [])
        deadline = time.monotonic() + (3 if wanted else chooser.uniform(0.02, 0.6))
        while not died and time.monotonic() < deadline:
            died = server.process.poll() is not None
            time.sleep(0.005)
        struck = re.findall(r"fail point (\S+) kills", log.read())
        for point in struck:
            hits[point] += 1
        in_vain = 0 if struck else in_vain + bool(missing and wanted)
        at_random += not struck
    return hits, at_random


def check(server):
    done = subprocess.run([BIN / "millwright", "check", "--deep", "--json", "--data-dir", server.folder], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


def files_of(server):
    return [path for path in (server.folder / "registry").glob("??/*")]


def wait_for_files(server, number, seconds=60):
    """Until there are so many; `number()`, because rows go as well while files are collected."""
    deadline = time.monotonic() + seconds
    while len(files_of(server)) != number():
        assert time.monotonic() < deadline, (len(files_of(server)), number())
        time.sleep(0.02)


def wait_for_images(clients, seconds=60):
    """A slow disk takes few while the server is killed all the time."""
    deadline = time.monotonic() + seconds
    while len(clients.images) <= KILLS / 2 and time.monotonic() < deadline:
        time.sleep(0.05)


def test_no_acknowledged_image_is_lost_when_the_server_is_killed(server):
    clients, begun = Clients(server), time.monotonic()
    hits, at_random = kill_again_and_again(server, random.Random(SEED))
    server.kill()
    start(server)
    wait_for_images(clients)
    clients.finish()
    server.kill()
    start(server)
    registry = Registry(server)
    for (repository, digest), (tag, layers) in clients.images.items():
        for name in [digest] + [tag] * bool(tag):
            answer = registry("GET", f"/v2/{repository}/manifests/{name}")
            assert answer.status == 200 and digest_of(answer.body) == digest, (repository, name, answer.status)
        for layer in layers:
            assert registry("GET", f"/v2/{repository}/blobs/{digest_of(layer)}").body == layer, (repository, digest)
    wait_for_files(server, lambda: len(rows(server, "SELECT file FROM image_blob UNION SELECT file FROM image_upload")))
    server.stop()
    code, found = check(server)
    assert code == 0 and found["image_damages"] == [], found
    uploads = len(rows(server, "SELECT id FROM image_upload"))
    print(f"\n{at_random} kills at random, {sum(hits.values())} at {sum(1 for n in hits.values() if n)} of {len(hits)} fail points in "
          f"{time.monotonic() - begun:.0f} s; {dict(clients.counts)}; {len(clients.images)} images checked, {found['layers']} layers, "
          f"{uploads} unfinished uploads")
    assert clients.unexpected == []
    assert [point for point, number in hits.items() if not number] == [], "never reached"
    assert len(clients.images) > KILLS / 2

    nothing_stays_for_ever(server)


def rows(server, sql):
    with sqlite3.connect(f"file:{server.folder}/metadata.db?mode=ro", uri=True, timeout=30) as database:
        return database.execute(sql).fetchall()


def nothing_stays_for_ever(server):
    """When all repositories are gone, no file is left."""
    server.start()
    registry, ecr = Registry(server), server.client("ecr")
    place = registry("POST", f"/v2/{REPOSITORIES[0]}/blobs/uploads/").headers["Location"]
    assert registry("PATCH", place, b"never to be finished").status == 202
    for name in registry("GET", "/v2/_catalog").json()["repositories"]:
        if name != REPOSITORIES[0]:
            ecr.delete_repository(repositoryName=name, force=True)
    # The uploads that crashes left go a day later; here the day is over at once.
    server.stop()
    with sqlite3.connect(server.folder / "metadata.db", timeout=30) as database:
        database.execute("UPDATE image_upload SET begun=0")
    for path in files_of(server):
        os.utime(path, (1_000_000, 1_000_000))
    server.start()
    registry, deadline = Registry(server), time.monotonic() + 60
    while registry("GET", place).status != 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ecr = server.client("ecr")
    ecr.delete_repository(repositoryName=REPOSITORIES[0], force=True)
    wait_for_files(server, lambda: 0)
