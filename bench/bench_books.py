"""Create, Describe and List with a thousand and with a million jobs in the books: the size must not be felt."""
import json
import random
import time

from bench_control import creates, job_request
from bench_jobs import wait_for
from books import multiply
from load import Signer, ask, best_p50, best_rate, in_turns, send
from server import Server

SIZES = {"1k": 1_000, "1M": 1_000_000}
AIM = 1.2
# Pages of ten, by each filter and sort.
LISTS = {
    "newest first": {},
    "by name": {"SortBy": "Name", "SortOrder": "Ascending"},
    "by status": {"SortBy": "Status", "SortOrder": "Ascending"},
    "NameContains, many match": {"NameContains": "-77"},
    "NameContains, none matches": {"NameContains": "nowhere"},
    "NameContains, many match, by name": {"NameContains": "-77", "SortBy": "Name", "SortOrder": "Ascending"},
    "StatusEquals": {"StatusEquals": "Completed", "SortOrder": "Ascending"},
    "CreationTimeBefore": {"CreationTimeBefore": None},
}


def prepared(folder, bucket, size, prepare):
    """A server with that many jobs that have ended, and some of their names."""
    server = Server(folder).start()
    prepare(server)
    sm = server.client("sagemaker")
    sm.create_training_job(**job_request(server.account, bucket, "original"))
    wait_for(sm, "original")
    server.stop()
    names = multiply(server.folder / "metadata.db", "original", size)
    return server.start(), random.Random(2).sample(names, 500)


BY_NAME = ("the names in memory are in the order of creation; in another order, when more than a thousand match, the table's index is walked until the "
           "page is full, here past some 700 names")


def run(figures, bucket, rounds, folder, prepare, occupy):
    """`prepare(server)` makes the bucket and its data; `occupy(server)` starts a job that takes the whole machine and returns what ends it."""
    figures.section("Large books", "The same requests to a server with a thousand jobs that have ended and to one with a million, in turns, best of the rounds; "
                    "the aim is that the million costs at most 1.2 times as much.")
    servers, frees = {}, []
    try:
        for name, size in SIZES.items():
            server, names = prepared(folder / f"books-{name}", bucket, size, prepare)
            servers[name] = (server, Signer(server.credentials, "sagemaker", f"127.0.0.1:{server.port}"), names)
            if name == "1M":
                figures.add("server start to first answer with 1M jobs", f"{server.seconds_to_answer * 1000:.0f} ms", "2 s")
            frees.append(occupy(server))
        for connections, count in ((1, 8000), (16, 30000)):
            compare(figures, f"CreateTrainingJob, {connections} connections", rounds, servers, connections, once=True,
                    requests=lambda server, signer, _, count=count: creates(signer, server.account, bucket, count))
        compare(figures, "DescribeTrainingJob", rounds, servers,
                requests=lambda _, signer, names: [signer.call("DescribeTrainingJob", {"TrainingJobName": name}) for name in names])
        for what, filters in LISTS.items():
            compare(figures, f"ListTrainingJobs, {what}", rounds, servers, limit=BY_NAME if "NameContains" in filters else "",
                    requests=lambda _, signer, __, filters=filters: [signer.call("ListTrainingJobs", {
                        "MaxResults": 10, **bounded(filters)})])
        compare(figures, "ListTrainingJobs, a page in the middle", rounds, servers, requests=middle_page)
    finally:
        for free in frees:
            free()
        for server, _, _ in servers.values():
            server.end_everything()


def bounded(filters):
    return {name: time.time() - 60 if value is None else value for name, value in filters.items()}


def middle_page(server, signer, _):
    """Asked with the token that follows a page which ends in the midst of the names."""
    token = None
    for _ in range(5):
        more = {"NextToken": token} if token else {}
        page = json.loads(ask(server.port, signer.call("ListTrainingJobs", {"MaxResults": 100, "SortBy": "Name", **more})))
        token = page["NextToken"]
    return [signer.call("ListTrainingJobs", {"MaxResults": 10, "SortBy": "Name", "NextToken": token})]


def compare(figures, what, rounds, servers, connections=1, once=False, limit="", *, requests):
    made = {name: requests(*servers[name]) for name in servers} if not once else {}
    outcomes = in_turns(rounds, **{
        name: lambda name=name: send(servers[name][0].port, made.get(name) or requests(*servers[name]), connections, 1, once=once)
        for name in servers})
    rates = {name: best_rate(found) for name, found in outcomes.items()}
    ratio = rates["1k"] / rates["1M"]
    figures.add(f"{what}: 1k, 1M", f"{rates['1k']:.0f}, {rates['1M']:.0f} per s; p50 {best_p50(outcomes['1k']):.0f}, {best_p50(outcomes['1M']):.0f} us")
    figures.add("  the million costs", f"{ratio:.2f}x", f"{AIM}x, {'reached' if ratio <= AIM else 'missed'}",
                limit if ratio > AIM else "")
