"""Memory: a server that may use 256 MB has many jobs in its books and many connections, and a job that uses too much.

MILLWRIGHT_ROWS is the number of jobs in the books. As root only, because a control group limits the server.
"""
import json
import os
import random
import re
import selectors
import socket
import time
from pathlib import Path

import pytest
from books import multiply
from promises import BUCKET, bad_ends, client, prepare, training_request
from quick import EMPTY, sign
from server import SANITIZED, Server
from test_disk_full import script

ROWS = int(os.environ.get("MILLWRIGHT_ROWS", "20000"))
CONNECTIONS = 1000
LIMIT = 256 << 20


class Group:
    """A control group of the memory controller, of either version."""

    def __init__(self, limit):
        v1 = Path("/sys/fs/cgroup/memory")
        self.old = v1.is_dir()
        parent = v1 if self.old else Path("/sys/fs/cgroup")
        self.path = parent / f"millwright-memory-test-{os.getpid()}"
        self.path.mkdir()
        (self.path / ("memory.limit_in_bytes" if self.old else "memory.max")).write_text(str(limit))
        own = re.search(r":memory:(.*)" if self.old else r"^0::(.*)", Path("/proc/self/cgroup").read_text(), re.M).group(1)
        self.home = Path(str(parent) + own)

    def __enter__(self):
        """What this process starts is inside."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def __exit__(self, *_):
        (self.home / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self):
        text = (self.path / ("memory.oom_control" if self.old else "memory.events")).read_text()
        return int(re.search(r"^oom_kill (\d+)", text, re.M).group(1))

    def highest(self):
        return int((self.path / ("memory.max_usage_in_bytes" if self.old else "memory.peak")).read_text())

    def remove(self):
        for child in sorted(self.path.glob("**/"), key=lambda path: -len(path.parts)):
            for _ in range(50):
                try:
                    child.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)


@pytest.fixture
def group():
    if os.geteuid() != 0:
        pytest.skip("limiting the server needs root")
    try:
        made = Group(LIMIT)
    except (OSError, AttributeError) as failure:
        pytest.skip(f"there is no memory controller: {failure}")
    yield made
    made.remove()


def message(server, service, method, path, headers=None, body=b"", query=""):
    import hashlib
    signed = sign(server.credentials, service, method, f"127.0.0.1:{server.port}", path, query, headers or {},
                  hashlib.sha256(body).hexdigest() if body else EMPTY)
    lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1", *(f"{k}: {v}" for k, v in signed.items()),
             f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sagemaker(server, operation, **members):
    return message(server, "sagemaker", "POST", "/", {"content-type": "application/x-amz-json-1.1",
                                                      "x-amz-target": f"SageMaker.{operation}"}, json.dumps(members).encode())


def crowd(server, messages, seconds):
    """CONNECTIONS clients that ask again as soon as they are answered; returns counts by status."""
    watched, counts, chooser = selectors.DefaultSelector(), {}, random.Random(3)
    sockets = []
    for _ in range(CONNECTIONS):
        one = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        sockets.append(one)
        one.sendall(chooser.choice(messages))
        watched.register(one, selectors.EVENT_READ, bytearray())
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for key, _ in watched.select(0.5):
            got = key.fileobj.recv(1 << 18)
            key.data.extend(got)
            head, _, body = bytes(key.data).partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.I)
            if not got or (length and len(body) >= int(length.group(1))):
                status = head[9:12].decode() if got or head else "closed"
                counts[status] = counts.get(status, 0) + 1
                key.data.clear()
                if got:
                    key.fileobj.sendall(chooser.choice(messages))
                else:
                    watched.unregister(key.fileobj)
    for one in sockets:
        one.close()
    return counts


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has more in memory than the server may")
def test_a_small_server_with_large_books_and_many_clients_is_never_killed(group, tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        prepare(server)
        sm = client(server, "sagemaker")
        sm.create_training_job(**training_request(server, "original"))
        assert bad_ends(server, ["original"]) == []
        server.stop()
        multiply(server.folder / "metadata.db", "original", ROWS)
        with group:
            server.start()
        started = server.seconds_to_answer
        listed = [sagemaker(server, "ListTrainingJobs", MaxResults=100, **more) for more in (
            {}, {"SortBy": "Name"}, {"NameContains": "past-00"}, {"StatusEquals": "Completed", "SortOrder": "Ascending"})]
        body = random.Random(1).randbytes(1 << 20)
        messages = [*listed, sagemaker(server, "DescribeTrainingJob", TrainingJobName="original"),
                    message(server, "s3", "GET", f"/{BUCKET}/data/x.csv"),
                    message(server, "s3", "GET", f"/{BUCKET}", query="list-type=2"),
                    message(server, "s3", "PUT", f"/{BUCKET}/crowd", body=body)]
        counts = crowd(server, messages, 5)
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        resident = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) >> 10
        sm.create_training_job(**training_request(server, "later"))
        assert bad_ends(server, ["later"]) == []
        print(f"{ROWS} jobs, {CONNECTIONS} connections: started in {started:.2f} s, answers {counts}, at most {resident} MiB "
              f"resident, {group.highest() >> 20} MiB of {LIMIT >> 20} with the cache of files, {group.kills()} kills")
        assert started < 2 and server.process.poll() is None and group.kills() == 0
        assert counts.get("200", 0) > 100 and set(counts) <= {"200", "503"}
        assert sm.describe_training_job(TrainingJobName="later")["TrainingJobStatus"] == "Completed"
    finally:
        server.end_everything()


BOMB = """
import sys, time
held = []
while True:
    print(f"{len(held)} {time.time()}", flush=True)
    held.append(bytearray(b"x") * (64 << 20))
"""


def test_a_job_that_uses_too_much_memory_is_told_so_within_a_second(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        prepare(server)
        sm, logs = client(server, "sagemaker"), client(server, "logs")
        sm.create_training_job(**script(server, "bomb", BOMB))
        seen, deadline = None, time.monotonic() + 600  # the first may have to build the environment
        while seen is None:
            job = sm.describe_training_job(TrainingJobName="bomb")
            seen = time.time() if job["TrainingJobStatus"] == "Failed" else None
            assert seen or (job["TrainingJobStatus"] == "InProgress" and time.monotonic() < deadline), job
        assert "Please use an instance type with more memory" in job["FailureReason"], job["FailureReason"]
        stream = logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs")["logStreams"][0]["logStreamName"]
        page = logs.get_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream)["events"]
        last = max(float(event["message"].split()[1]) for event in page if re.match(r"\d+ \d+\.\d+$", event["message"]))
        print(f"Failed is visible {seen - last:.2f} s after the last sign of life: {job['FailureReason'][:80]}")
        assert seen - last < 5  # a step of the job and one second, on a machine that may have other work
    finally:
        server.end_everything()
