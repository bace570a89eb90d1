"""The image registry: pushes and pulls of layers against Debian's docker-registry, as docker sends them.

A push is POST, one PATCH with the bytes and PUT with the digest; a pull is GET. Both servers hash what comes and sync it before they
answer. Millwright asks the policies for each request; docker-registry asks nobody. Layers are new in each round.
"""
import base64
import hashlib
import socket
import threading
import time

import peers
from load import in_turns

KIB, MIB = 1024, 1024 * 1024
TAIL = hashlib.sha256(b"bench").digest() * (256 * MIB // 32)
# What is pushed: the name, the bytes of one layer, how many, over how many connections.
LOADS = (("one of 256 MiB, 1 connection", 256 * MIB, 1, 1),
         ("16 of 32 MiB, 8 connections", 32 * MIB, 16, 8),
         ("100 of 64 KiB, 1 connection", 64 * KIB, 100, 1),
         ("400 of 64 KiB, 8 connections", 64 * KIB, 400, 8))


def run(server, figures, rounds, folder):
    figures.section("Image registry", "Layers pushed as docker does it (POST, PATCH, PUT with the digest) and pulled, over kept connections; docker-registry "
                    "is Debian's, with its files on the same disk and no login. Both hash the bytes and sync the file before they answer; the best of "
                    "the rounds.")
    login = f"{server.credentials['AccessKeyId']}:{server.credentials['SecretAccessKey']}"
    with peers.docker_registry(folder / "docker-registry") as other:
        contenders = {"ours": (server.port, f"Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"), "theirs": (other, "")}
        for name, size, count, connections in LOADS:
            measure(figures, rounds, contenders, name, size, count, connections)


LARGE_PUSH = ("SHA-256 in the thread that receives and writes: by the profile the hash takes 60 % of the server's time, copying out of and into the kernel the rest; "
              "hashing beside the writing would save up to a third on an idle machine")
SMALL_PUSH = "two commits of SQLite and two syncs of a file and its folder for each layer; docker-registry has no database and syncs one file"
LARGE_PULL = "both send with sendfile, and the reader's copies are most of the time; runs on other days found 0.58 to 1.2"
SMALL_PULL = "the password, the policy and three looks into the tables for each request, and a thread that is woken for it; docker-registry asks nobody"


def measure(figures, rounds, contenders, name, size, count, connections):
    pushed = {who: [] for who in contenders}  # digests of the last round, for the pulls

    def push(who):
        layers = fresh_layers(size, count)
        pushed[who] = [digest for _, _, digest in layers]
        return timed(*contenders[who], layers, connections, push_layer)

    def pull(who):
        return timed(*contenders[who], [(size, digest) for digest in pushed[who]], connections, pull_layer)

    small = size <= MIB
    for word, work, limit in (("push", push, SMALL_PUSH if small else LARGE_PUSH), ("pull", pull, SMALL_PULL if small else LARGE_PULL)):
        found = in_turns(rounds, **{who: (lambda who=who: work(who)) for who in contenders})
        seconds = {who: min(times) for who, times in found.items()}
        shown = [f"{count / s:.0f}/s" if small else f"{count * size / s / 1e6:.0f} MB/s" for s in seconds.values()]
        figures.add(f"{word} {name}: Millwright, docker-registry", ", ".join(shown))
        figures.ratio("  Millwright to docker-registry", 1 / seconds["ours"], 1 / seconds["theirs"], 1, limit)


def fresh_layers(size, count):
    """(own first bytes, the rest, digest) of each."""
    layers = []
    for number in range(count):
        head, rest = time.time_ns().to_bytes(8, "big") + number.to_bytes(8, "big"), memoryview(TAIL)[:size - 16]
        hashed = hashlib.sha256(head)
        hashed.update(rest)
        layers.append((head, rest, "sha256:" + hashed.hexdigest()))
    return layers


class Line:
    """One kept connection, with little of Python in between."""

    def __init__(self, port, login):
        self.start = f"Host: 127.0.0.1:{port}\r\n{login}"
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(MIB)

    def ask(self, method, target, body=(), sink=0):
        """Status and headers; of a body `sink` bytes are read and dropped."""
        length = sum(map(len, body))
        head = f"{method} {target} HTTP/1.1\r\n{self.start}Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
        self.socket.sendall(head.encode() + (body[0] if body else b""))
        for part in body[1:]:
            self.socket.sendall(part)
        got = b""
        while b"\r\n\r\n" not in got:
            more = self.socket.recv(65536)
            if not more:
                raise SystemExit(f"{method} {target}: the connection ended")
            got += more
        answer, _, rest = got.partition(b"\r\n\r\n")
        lines = answer.decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        left = int(headers.get("content-length", 0)) - len(rest)
        while left > 0:
            left -= self.socket.recv_into(self.buffer, min(left, MIB))
        status = int(lines[0].split()[1])
        if status >= 300 or (sink and int(headers["content-length"]) != sink):
            raise SystemExit(f"{method} {target}: {answer.decode()}")
        return headers


def push_layer(line, layer):
    head, rest, digest = layer
    place = relative(line.ask("POST", "/v2/bench/layers/blobs/uploads/")["location"])
    place = relative(line.ask("PATCH", place, (head, rest))["location"])
    line.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}")


def pull_layer(line, layer):
    size, digest = layer
    line.ask("GET", f"/v2/bench/layers/blobs/{digest}", sink=size)


def relative(location):
    return location if location.startswith("/") else "/" + location.split("/", 3)[3]


def timed(port, login, layers, connections, work):
    """Seconds until all layers are done."""
    lines, todo, failures = [Line(port, login) for _ in range(connections)], list(layers), []

    def serve(line):
        while not failures:
            try:
                layer = todo.pop()
            except IndexError:
                return
            try:
                work(line, layer)
            except (Exception, SystemExit) as failure:
                failures.append(failure)

    threads = [threading.Thread(target=serve, args=(line,)) for line in lines]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    for line in lines:
        line.socket.close()
    if failures:
        raise SystemExit(f"port {port}: {failures[0]}")
    return seconds
