"""Calls of the server that fail: the n-th write, fsync, rename, open, link and so on, once or from then on.

Each fault must end in a clean error for the client or a clean exit of the server; what was acknowledged stays, nothing is
half visible, nobody hangs, and without faults everything works again. MILLWRIGHT_FAULTS is the largest n.
"""
import collections
import errno
import os
import random
import shutil
import subprocess
import time

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from disk_model import CALLS, Cut, Disk, DiskModel
from promises import BUCKET, Promises, Workload, bad_ends, broken_promises, client, notes_of, prepare
from server import Server

FAULTS = int(os.environ.get("MILLWRIGHT_FAULTS", "2"))
SEED = int(os.environ.get("MILLWRIGHT_SEED", "20261123"))
SECONDS_TO_ANSWER = 10
FOR_EVER = 1 << 40
FAILURES = {"write": [errno.ENOSPC, errno.EIO, errno.EDQUOT], "sync": [errno.EIO, errno.ENOSPC],
            "open": [errno.EMFILE, errno.EIO, errno.ENOSPC], "rename": [errno.EIO, errno.ENOSPC],
            "link": [errno.EMLINK, errno.EIO, errno.ENOSPC], "truncate": [errno.EIO], "unlink": [errno.EIO],
            "mkdir": [errno.ENOSPC, errno.EIO]}


class Patient:
    """A server whose disk fails on demand, and what its clients were promised."""

    def __init__(self, folder):
        self.server = Server(folder / "data").start()
        prepare(self.server)
        self.server.stop()
        self.folder, self.number, self.notes, self.chooser = folder, 0, [], random.Random(SEED)
        self.disk = Disk(folder, self.server.folder)
        self.promises = Promises(self.note)
        self.server.variables = self.disk.environment()
        self.slowest, self.deaths, self.refused = 0.0, 0, 0
        self.begin_trace()
        self.server.start()

    def note(self, text):
        self.notes.append(text)
        self.disk.note(text)

    def begin_trace(self):
        self.disk.forget()
        self.model = DiskModel(self.server.folder)
        self.model.start_from(self.server.folder)

    def work(self, jobs=False):
        self.number += 1
        work = Workload(self.server, self.promises, f"{SEED}-{self.number}", size=0.15, tolerant=True, jobs=jobs).run(90)
        self.slowest = max(self.slowest, work.slowest)
        self.refused += len(work.failures)
        strange = [failure for failure in work.failures if not isinstance(failure, ClientError)]
        unclear = [failure for failure in work.failures if isinstance(failure, ClientError)
                   and (failure.response["ResponseMetadata"].get("HTTPStatusCode") or 0) < 400]
        assert not unclear, unclear
        assert not strange or self.has_ended(), strange
        assert work.slowest < SECONDS_TO_ANSWER
        return work

    def has_ended(self, seconds=20):
        """Whoever ends closes its connections first."""
        try:
            self.server.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def restart(self):
        """Ends the server as an operator would, after which its disk is well."""
        if self.server.process.poll() is None:
            self.server.process.terminate()
        code = self.server.process.wait(30)
        assert code >= 0, f"ended by signal {-code}: {self.server.log()[-2000:]}"
        self.deaths += code != 0
        self.disk.heal()
        self.server.start()

    def works(self):
        """Whether a write of each kind is taken."""
        try:
            client(self.server, "s3").put_object(Bucket=BUCKET, Key="probes/probe", Body=b"1")
            client(self.server, "iam").create_user(UserName=f"probe-{time.monotonic_ns()}")
            return True
        except (ClientError, EndpointConnectionError, HTTPClientError):  # not the first: it saw the failure late and ended
            return False

    def complaints(self, jobs=()):
        found = {}
        complaints = broken_promises(self.server, self.notes, found) + bad_ends(self.server, jobs)
        # What is there has to stay; half of it is looked at once more.
        self.notes = notes_of({name: value for name, value in found.items()
                               if name.startswith("object/") or self.chooser.random() < 0.5})
        return complaints

    def end(self):
        self.disk.heal()
        self.server.end_everything()
        self.disk.close()


@pytest.fixture
def patient(tmp_path):
    made = Patient(tmp_path)
    yield made
    made.end()


def test_every_failing_call_ends_in_a_clean_error(patient):
    before = patient.disk.calls()
    patient.work(jobs=True)
    usual = {call: count - before[call] for call, count in patient.disk.calls().items()}
    chooser, done, restarts = random.Random(SEED), collections.Counter(), 0
    for n in range(1, FAULTS + 1):
        patient.disk.forget()  # nothing of the trace is played here, and it has an end
        for call in CALLS:
            if n > max(1, usual[call]):
                continue
            at = n if FAULTS > 50 else chooser.randint(1, max(1, usual[call]))
            lasting = chooser.random() < 0.3
            patient.disk.fail(call, at, FOR_EVER if lasting else at, chooser.choice(FAILURES[call]))
            failed = patient.disk.failed()
            work = patient.work(jobs=n % 4 == 1)
            patient.disk.heal()
            done[call] += patient.disk.failed() - failed
            if patient.server.process.poll() is not None or not patient.works():
                restarts += 1
                patient.restart()
            complaints = patient.complaints(work.jobs_made)
            assert complaints == [], (call, at, lasting, complaints)
    print(f"{sum(done.values())} failing calls ({dict(done)}), {patient.refused} requests refused, slowest answer "
          f"{patient.slowest:.2f} s, {restarts} restarts, {patient.deaths} exits")
    patient.restart()
    assert patient.works() and patient.complaints() == []


def test_a_server_that_cannot_start_says_why_and_starts_later(patient):
    before = patient.disk.calls()
    patient.restart()
    usual = {call: count - before[call] for call, count in patient.disk.calls().items()}
    chooser, ends = random.Random(SEED), collections.Counter()
    for n in range(1, FAULTS + 1):
        patient.disk.forget()
        for call in CALLS:
            if n > usual[call]:
                continue
            at = n if FAULTS > 50 else chooser.randint(1, usual[call])
            patient.server.stop()
            patient.disk.fail(call, at, FOR_EVER if chooser.random() < 0.3 else at, chooser.choice(FAILURES[call]))
            try:
                patient.server.start()
                ends["started"] += 1
            except RuntimeError:
                code = patient.server.process.returncode
                assert code is not None and code > 0 and "cannot" in patient.server.log(), (call, at, patient.server.log()[-500:])
                ends["refused"] += 1
            patient.disk.heal()
            if patient.server.process.poll() is not None:
                patient.server.start()
            elif not patient.works():
                patient.restart()
            assert patient.works(), (call, at)
    print(f"starts with a failing call: {dict(ends)}")
    assert patient.complaints() == []


def test_what_a_failed_fsync_has_dropped_was_not_acknowledged(patient):
    """After a failed fsync the kernel forgets that pages are dirty, so a later fsync that succeeds saves nothing."""
    chooser = random.Random(SEED)
    for n in range(1, FAULTS + 1):
        patient.restart()
        patient.begin_trace()
        at = chooser.randint(1, 60)
        patient.disk.fail("sync", at, at + chooser.choice([0, 0, 3, FOR_EVER]), errno.EIO)
        patient.work()
        patient.disk.heal()
        patient.server.kill()
        for record in patient.disk.records():
            patient.model.play(record)
        shutil.rmtree(patient.server.folder)
        patient.model.write_to(patient.server.folder, Cut("nothing"))
        patient.server.start()
        assert patient.complaints() == [], (n, at)
