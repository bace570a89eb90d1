"""The object store: GET against nginx and s3rver, durable PUT against s3rver, and pages of a bucket with a million keys.

Millwright checks the signature of every request; nginx sends plain files and checks nothing.
"""
import hashlib
import sqlite3
import time

import peers
from load import Signer, ask, best_p50, best_rate, in_turns, raw_request, send

KIB, MIB = 1024, 1024 * 1024
BUCKET = "bench-s3"
MANY = "bench-many-keys"


def run(server, figures, rounds, folder):
    figures.section("Object store", "GET and PUT of 1 KiB and of 16 MiB with signed requests, sent by wrk. nginx serves the same bytes as plain files, with "
                    "sendfile and two workers; s3rver is a mock of S3 for Node.js, its requests are signed like ours. A PUT of Millwright is on "
                    "disk before it is answered; one of s3rver is not.")
    server.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    files = folder / "nginx-files"
    files.mkdir()
    bodies = {"1 KiB": bytes(range(256)) * 4, "16 MiB": hashlib.sha256(b"bench").digest() * (16 * MIB // 32)}
    s3rver_keys = {"AccessKeyId": "S3RVER", "SecretAccessKey": "S3RVER", "Region": server.credentials["Region"]}
    with peers.nginx(folder / "nginx", f"location / {{ root {files}; }}") as nginx, \
            peers.s3rver(str(folder / "s3rver")) as s3rver:
        ours = Signer(server.credentials, "s3", f"127.0.0.1:{server.port}")
        theirs = Signer(s3rver_keys, "s3", f"127.0.0.1:{s3rver}")
        ask(s3rver, theirs.request("PUT", f"/{BUCKET}"))
        for size, body in bodies.items():
            path = f"/{BUCKET}/{size.replace(' ', '-')}"
            (files / BUCKET).mkdir(exist_ok=True)
            (files / path[1:]).write_bytes(body)
            ask(server.port, ours.request("PUT", path, body))
            ask(s3rver, theirs.request("PUT", path, body))
            for connections in (1, 16):
                gets(figures, rounds, size, len(body), connections, {
                    "ours": (server.port, ours.request("GET", path)),
                    "nginx": (nginx, raw_request("GET", path, {"host": f"127.0.0.1:{nginx}"})),
                    "s3rver": (s3rver, theirs.request("GET", path))})
        for size, body in bodies.items():
            for connections in (1, 16):
                puts(figures, rounds, size, body, connections, {"ours": (server.port, ours), "s3rver": (s3rver, theirs)})
    lists(server, figures, ours)


SMALL_GET = ("by the profile 40 % of the server's time is the kernel, sending and waiting, which nginx needs, too; the rest is the signature, the policy, the look "
             "into the table and the allocation of their texts, each of them little, which nginx does not have. Answers kept in memory would save the table")
LARGE_GET = "both send with sendfile; runs on other days found 0.94 to 1.58, so the scatter of the machine is larger than the difference"


def gets(figures, rounds, size, length, connections, contenders):
    found = in_turns(rounds, **{name: (lambda port=port, request=request: send(port, [request], connections))
                                for name, (port, request) in contenders.items()})
    rates = {name: best_rate(outcomes) for name, outcomes in found.items()}
    shown = ", ".join(amount(rate, length) for rate in rates.values())
    figures.add(f"GET {size}, {connections} connections: Millwright, nginx, s3rver", shown)
    figures.add("  p50 of the same", ", ".join(f"{best_p50(outcomes):.0f}" for outcomes in found.values()) + " us")
    figures.ratio("  Millwright to nginx", rates["ours"], rates["nginx"], 0.9, SMALL_GET if length == KIB else LARGE_GET)
    figures.ratio("  Millwright to s3rver", rates["ours"], rates["s3rver"], 20 if length == KIB else None, SMALL_GET)


def puts(figures, rounds, size, body, connections, contenders):
    count = 4000 if len(body) <= KIB else 4 * connections
    found = in_turns(rounds, **{
        name: (lambda port=port, signer=signer: send(port, [signer.request("PUT", f"/{BUCKET}/put-{i}", body) for i in range(count)], connections,
                                                     1 if len(body) <= KIB else 5))  # a large one takes a fourth of a second
        for name, (port, signer) in contenders.items()})
    rates = {name: best_rate(outcomes) for name, outcomes in found.items()}
    figures.add(f"PUT {size}, {connections} connections: Millwright (durable), s3rver", ", ".join(amount(rate, len(body)) for rate in rates.values()))
    figures.add("  p50 of the same", ", ".join(f"{best_p50(outcomes):.0f}" for outcomes in found.values()) + " us")
    figures.ratio("  Millwright to s3rver", rates["ours"], rates["s3rver"])


def amount(rate, length):
    return f"{rate:.0f}/s" if length <= KIB else f"{rate * length / 1e6:.0f} MB/s"


def lists(server, figures, signer, keys=1_000_000, pages=60):
    """The rows of a million objects are copies of one that was put."""
    s3 = server.client("s3")
    s3.create_bucket(Bucket=MANY, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket=MANY, Key="data/000/first", Body=b"x")
    fill(server.folder / "metadata.db", keys)
    milliseconds = []
    for page in range(pages):
        after = f"data/{page * 1000 // pages:03d}/{page * 7:06d}"
        start = time.perf_counter()
        answer = ask(server.port, signer.request("GET", f"/{MANY}", query=f"list-type=2&max-keys=1000&start-after={after.replace('/', '%2F')}"))
        milliseconds.append((time.perf_counter() - start) * 1000)
        assert answer.count(b"<Key>") == 1000
    milliseconds.sort()
    figures.add(f"LIST of 1000 among {keys} keys, p50 and p99 of {pages} pages, connecting included",
                f"{milliseconds[pages // 2]:.2f}, {milliseconds[int(pages * 0.99)]:.2f} ms", "2 ms",
                "reading a thousand rows of SQLite and writing their XML; a row per entry that holds the text of its answer would save most")


def fill(path, keys):
    database = sqlite3.connect(path, timeout=60)
    columns = [row[1] for row in database.execute("PRAGMA table_info(object)")]
    row = dict(zip(columns, database.execute("SELECT * FROM object WHERE key = 'data/000/first'").fetchone()))
    marks = ",".join("?" * len(columns))

    def rows():
        for number in range(keys):
            yield [f"data/{number // 1000:03d}/{number % 1000:06d}" if name == "key" else
                   f"{row['file']}{number:07d}" if name == "file" else row[name] for name in columns]

    with database:
        database.executemany(f"INSERT INTO object VALUES({marks})", rows())
    database.close()
