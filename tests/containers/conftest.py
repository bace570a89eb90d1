"""Fixtures: engines of the tests' own, each started once, with an image that holds busybox; and servers that use them."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "conformance"))
from engines import KINDS, Engine, NoEngine, busybox_tar  # noqa: E402

BUSYBOX = "test-busybox"


def start_engine(kind, folder, *options):
    """Skips the test, with the reason, where the engine cannot run."""
    engine = Engine(kind, folder, *options)
    try:
        engine.start()
        engine.import_image(busybox_tar(), BUSYBOX)
    except NoEngine as reason:
        engine.close()
        pytest.skip(f"{kind}: {reason}")
    return engine


@pytest.fixture(scope="session")
def engines(tmp_path_factory):
    """By kind; started when they are first asked for."""
    running = {}

    def get(kind):
        if kind not in running:
            running[kind] = start_engine(kind, tmp_path_factory.mktemp(kind))
        return running[kind]

    yield get
    for engine in running.values():
        engine.close()


@pytest.fixture(params=KINDS)
def engine(request, engines):
    return engines(request.param)
