"""Power cuts: a real server works under a shim that writes down every change of its disk, and is started again on what
the disk could hold at hundreds of moments. Everything that was acknowledged before the moment must be there.

MILLWRIGHT_POWER_CUTS is the number of moments; MILLWRIGHT_SEED the run.
"""
import collections
import os
import random
import shutil
from pathlib import Path

import pytest
from disk_model import ALARM, NOTE, SYNC_END, Cut, Disk, DiskModel
from promises import Promises, Workload, allowed_by, bad_ends, broken_promises, prepare
from server import Server, launchers_of

CUTS = int(os.environ.get("MILLWRIGHT_POWER_CUTS", "24"))
SEED = int(os.environ.get("MILLWRIGHT_SEED", "20261123"))
SECONDS_TO_START = 2.0


class Recording:
    """One run of the workload on a watched disk."""

    def __init__(self, folder, seed):
        self.folder, self.seed = folder / "data", seed
        self.server, self.disk = Server(self.folder), None

    def make(self):
        self.server.start()
        prepare(self.server)
        self.server.stop()
        self.disk = Disk(self.folder.parent, self.folder)
        self.models = [self.fresh_model() for _ in range(2)]  # both of the disk before the trace
        self.server.variables = self.disk.environment()
        self.server.start()
        self.work = Workload(self.server, Promises(self.disk.note), self.seed).run()
        assert not self.work.failures, self.work.failures
        self.server.stop()
        self.server.variables = {}
        self.records = list(self.disk.records())

    def fresh_model(self):
        model = DiskModel(self.folder)
        model.start_from(self.folder)
        return model

    def moments(self, count):
        """Where to cut: half anywhere, half just after an acknowledgement or a sync, where most is promised."""
        chooser = random.Random(self.seed)
        ends = [i + 1 for i, record in enumerate(self.records) if record[0] in (NOTE, SYNC_END)]
        everywhere = [chooser.randrange(1, len(self.records)) for _ in range(count - count // 2)]
        return sorted(everywhere + [chooser.choice(ends) for _ in range(count // 2)])


def restart_machine(folder):
    """Notes of which boot files are from name another one than the present."""
    for note in folder.glob("jobs/*/boot"):
        note.write_text("another boot\n")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    made = Recording(tmp_path_factory.mktemp("power"), SEED)
    try:
        made.make()
        yield made
    finally:
        made.server.end_everything()
        if made.disk:
            made.disk.close()


def contents(folder):
    """Of the files whose every byte we should know: not what jobs and launchers write."""
    found = {}
    for path in Path(folder).rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("jobs/") and not name.endswith("-shm"):
            found[name] = path.read_bytes()
    return found


def test_the_trace_holds_everything_that_was_written(recording, tmp_path):
    model = recording.models[0]
    for record in recording.records:
        model.play(record)
    assert model.alarms == []
    model.write_to(tmp_path / "disk", Cut("everything"))
    ours, real = contents(tmp_path / "disk"), contents(recording.folder)
    launchers = {name for name in real if name.startswith("logs/") and ours.get(name) == b""}
    assert len(real) > 20 and set(ours) == set(real)
    assert [name for name in real if name not in launchers and ours[name] != real[name]] == []


def test_nothing_acknowledged_is_lost_by_a_power_cut(recording):
    chooser, played, slowest = random.Random(SEED), 0, 0.0
    bad, styles, model = [], collections.Counter(), recording.models[1]
    for moment in recording.moments(CUTS):
        for record in recording.records[played:moment]:
            model.play(record)
        played = moment
        style = chooser.choices(Cut.STYLES, [4, 3, 2, 1])[0]
        styles[style] += 1
        shutil.rmtree(recording.folder)
        model.write_to(recording.folder, Cut(style, chooser.random()))
        restart_machine(recording.folder)
        server = Server(recording.folder)
        server.port = recording.server.port
        try:
            server.start()
            slowest = max(slowest, server.seconds_to_answer)
            complaints = broken_promises(server, model.notes)
            jobs = [name[len("job/"):] for name in allowed_by(model.notes) if name.startswith("job/")]
            complaints += bad_ends(server, jobs)
            server.stop()
        except Exception as failure:
            complaints = [f"{type(failure).__name__}: {failure}"]
        finally:
            server.end_everything()
        if server.seconds_to_answer > SECONDS_TO_START:
            complaints.append(f"took {server.seconds_to_answer:.1f} s to start")
        if complaints:
            bad.append((moment, style, complaints))
            print(f"cut at {moment}, {style}:", *complaints, sep="\n    ")
    print(f"{CUTS} power cuts in {len(recording.records)} changes ({dict(styles)}), {len(allowed_by(model.notes))} resources: "
          f"{len(bad)} bad, slowest start {slowest:.2f} s")
    assert bad == []
    assert launchers_of(recording.folder) == []

