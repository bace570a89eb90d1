"""Races on one name: 64 connections ask at the same moment, all with the bytes of one signed request.

Of those who create there is one winner, whoever stops and deletes meanwhile; the history that is left is a legal one.
MILLWRIGHT_RACES=10000 for the long run.
"""
import collections
import hashlib
import json
import os
import random
import select
import socket
import time

import pytest
from quick import Client, Refused, sign
from server import Server
from test_kill import FOLLOWS, TERMINAL, request

RACES = int(os.environ.get("MILLWRIGHT_RACES", "60"))
CLIENTS = 64
BUCKET = "kill-test-bucket"


class Field:
    """The connections. All requests are sent before any answer is read."""

    def __init__(self, server):
        self.server, self.known = server, server.credentials
        self.sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CLIENTS)]
        for connection in self.sockets:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def bytes_of(self, operation, **members):
        host, body = f"127.0.0.1:{self.server.port}", json.dumps(members).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"SageMaker.{operation}"}
        signed = sign(self.known, "sagemaker", "POST", host, "/", "", headers, hashlib.sha256(body).hexdigest())
        head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        return f"POST / HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def race(self, requests):
        """One request for each connection; the (status, code) of each, in that order."""
        for connection, text in zip(self.sockets, requests):
            connection.sendall(text)
        answers, buffers = {}, {connection: b"" for connection in self.sockets[:len(requests)]}
        deadline = time.monotonic() + 30
        while len(answers) < len(requests):
            ready, _, _ = select.select([c for c in buffers if c not in answers], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{len(requests) - len(answers)} of {len(requests)} got no answer"
            for connection in ready:
                some = connection.recv(65536)
                assert some, "a connection was closed"
                buffers[connection] += some
                answer = parse(buffers[connection])
                if answer:
                    answers[connection] = answer
        return [answers[connection] for connection in self.sockets[:len(requests)]]

    def close(self):
        for connection in self.sockets:
            connection.close()


def parse(text):
    """(status, error code or "") of a whole answer, else None."""
    head, found, body = text.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = head.decode().lower().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
    if len(body) < length:
        return None
    status = int(lines[0].split()[1])
    code = "" if status < 300 else json.loads(body[:length]).get("__type", "").rpartition("#")[2]
    return status, code


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "data").start()
    yield running
    running.end_everything()


def check_history(client, name):
    try:
        job = client.sagemaker("DescribeTrainingJob", TrainingJobName=name)
    except Refused as refused:
        assert refused.status == 400 and "not found" in str(refused), refused
        return "deleted"
    statuses = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert statuses[0] == "Starting" and sum(s in TERMINAL for s in statuses) <= 1, (name, statuses)
    assert all(b in TERMINAL or b in FOLLOWS[a] for a, b in zip(statuses, statuses[1:])), (name, statuses)
    ended = job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")
    assert ended == (statuses[-1] in TERMINAL), (name, job["TrainingJobStatus"], statuses)
    return job["TrainingJobStatus"]


def stop_if_it_runs(client, name):
    try:
        client.sagemaker("StopTrainingJob", TrainingJobName=name)
    except Refused as refused:
        assert "is in status" in str(refused) or "not found" in str(refused), refused


def run_one(field, client, server, name, chooser, kind):
    """Counts of what was answered."""
    create = field.bytes_of("CreateTrainingJob", **request(server.account, name, random.Random(1)))
    stop = field.bytes_of("StopTrainingJob", TrainingJobName=name)
    delete = field.bytes_of("DeleteTrainingJob", TrainingJobName=name)
    shares = {"create": (64, 0, 0), "stop while starting": (48, 16, 0), "delete while stopping": (24, 16, 24)}[kind]
    there = kind == "delete while stopping"  # a job of this name, before the race
    if there:
        client.sagemaker("CreateTrainingJob", **request(server.account, name, random.Random(1)))
        stop_if_it_runs(client, name)
        time.sleep(chooser.choice([0, 0, 0.002, 0.01]))
    order = ["create"] * shares[0] + ["stop"] * shares[1] + ["delete"] * shares[2]
    chooser.shuffle(order)
    answers = field.race([{"create": create, "stop": stop, "delete": delete}[what] for what in order])
    counts = collections.Counter((what, status, code) for what, (status, code) in zip(order, answers))
    created, deleted = counts[("create", 200, "")], counts[("delete", 200, "")]
    # Each deletion that succeeds makes room for one more winner.
    assert 0 <= there + created - deleted <= 1, (name, counts)
    assert there or created >= 1, (name, counts)
    assert created + counts[("create", 400, "ResourceInUse")] == shares[0], (name, counts)
    allowed = {("create", "ResourceInUse"), ("stop", "ValidationException"), ("delete", "ValidationException"),
               ("stop", "ResourceNotFound"), ("delete", "ResourceNotFound"), ("delete", "ResourceInUse")}
    assert all(status == 200 or (status == 400 and (what, code) in allowed) for what, status, code in counts), (name, counts)
    check_history(client, name)
    return counts


def end_all(client, names):
    """Stops and deletes them; how each was left."""
    for name in names:
        stop_if_it_runs(client, name)
    for name in names:
        deadline = time.monotonic() + 30
        while (left := check_history(client, name)) in ("InProgress", "Stopping"):
            assert time.monotonic() < deadline, f"{name} is stuck: {left}"
            time.sleep(0.01)
        if left != "deleted":
            client.sagemaker("DeleteTrainingJob", TrainingJobName=name)


def test_one_name_has_one_winner(server):
    client, chooser = Client(server, timeout=60), random.Random(7)
    client.request("s3", "PUT", f"/{BUCKET}", body=b"<CreateBucketConfiguration><LocationConstraint>us-west-2"
                   b"</LocationConstraint></CreateBucketConfiguration>")
    client.put(BUCKET, "data/x.csv", "".join(f"{i % 2},{i}\n" for i in range(100)).encode())
    field, totals, names, begun = Field(server), collections.Counter(), [], time.monotonic()
    kinds = ["create", "stop while starting", "delete while stopping"]
    for number in range(RACES):
        names.append(f"race-{number}")
        totals += run_one(field, client, server, names[-1], chooser, kinds[number % 3])
        if len(names) == 20:
            end_all(client, names)
            names = []
    end_all(client, names)
    field.close()
    print(f"\n{RACES} races of {CLIENTS} in {time.monotonic() - begun:.0f} s: "
          + ", ".join(f"{what} {status} {code}: {n}" for (what, status, code), n in sorted(totals.items())))
    assert client.sagemaker("ListTrainingJobs")["TrainingJobSummaries"] == []
