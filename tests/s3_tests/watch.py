"""A pytest plugin for runs of ceph/s3-tests: takes its share of the tests, bounds the time of each, and writes down what
became of it. Loaded by run.py, which sets the environment variables named here."""
import functools
import importlib
import json
import os
import re
import signal

import pytest

SHARE, SHARES = (int(part) for part in os.environ.get("S3_TESTS_SHARE", "0/1").split("/"))
SECONDS = int(os.environ.get("S3_TESTS_SECONDS", "60"))
RESULT = os.environ["S3_TESTS_RESULT"]
LEFT_OUT = set(json.loads(os.environ.get("S3_TESTS_LEFT_OUT", "[]")))  # markers
ONLY = re.compile(os.environ.get("S3_TESTS_ONLY", ""))


class TooSlow(BaseException):  # no handler of a test swallows it
    pass


def name_of(item):
    return f"{os.path.basename(str(item.fspath))}::{item.name}"


def pytest_collection_modifyitems(config, items):
    keep_clients_of_cleaning()
    wanted = [item for item in sorted(items, key=name_of) if ONLY.search(name_of(item))]
    left_out = [item for item in wanted if LEFT_OUT & {mark.name for mark in item.iter_markers()}]
    config.outcomes = {name_of(item): about(item, "left out", "") for item in left_out} if SHARE == 0 else {}
    mine = [item for item in wanted if item not in left_out]
    items[:] = mine[SHARE::SHARES]


def keep_clients_of_cleaning():
    """The suite makes its clients anew before and after each test, which takes longer than most tests. The tests themselves
    have imported the functions by now and go on making their own."""
    suite = importlib.import_module("s3tests.functional")
    for name in ("get_client", "get_alt_client", "get_tenant_client", "get_iam_client"):
        setattr(suite, name, functools.cache(getattr(suite, name)))


def about(item, outcome, why):
    return {"outcome": outcome, "why": why, "markers": sorted({mark.name for mark in item.iter_markers()})}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    def interrupt(_number, _frame):
        raise TooSlow(f"took longer than {SECONDS} s")

    signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        write_down(item.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    outcomes = item.config.outcomes
    name = name_of(item)
    if call.when == "call" or (report.failed and outcomes.get(name, {}).get("outcome") != "failed"):
        outcomes[name] = about(item, report.outcome, reason_of(call))
    elif report.skipped:
        outcomes[name] = about(item, "skipped", reason_of(call))
    return report


def reason_of(call):
    """The last frame in the suite and what was raised there, in one line."""
    if not call.excinfo:
        return ""
    place = ""
    for entry in call.excinfo.traceback:
        if "s3tests" in str(entry.path):
            place = f"{entry.path.name}:{entry.lineno + 1}"
    text = str(call.excinfo.value).strip().splitlines() or [""]
    return f"{call.when} {place} {call.excinfo.typename}: {text[0]}"[:300]


def write_down(config):
    """After each test, so that a run that is cut short has told what it knows."""
    with open(RESULT + ".new", "w") as file:
        json.dump(config.outcomes, file)
    os.replace(RESULT + ".new", RESULT)


def pytest_sessionfinish(session):
    write_down(session.config)
