"""Fixtures: engines of the tests' own, each started once, with an image that holds busybox; and servers that use them."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "conformance"))
from engines import KINDS, Engine, NoEngine, busybox_tar, python_tar  # noqa: E402
from prebuilt import Images  # noqa: E402
from prebuilt import engine as engine_of_images  # noqa: E402

BUSYBOX = "test-busybox"
PYTHON = "localhost/test-python"


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


@pytest.fixture(scope="session")
def python_base(engines):
    """The name of an image with Python in the engine of that kind."""
    packed, there = [], set()

    def get(kind):
        if kind not in there:
            packed.append(packed[0] if packed else python_tar())
            engines(kind).import_image(packed[0], PYTHON)
            there.add(kind)
        return PYTHON

    return get


@pytest.fixture(params=KINDS)
def engine(request, engines):
    return engines(request.param)


@pytest.fixture(scope="session")
def prebuilt(tmp_path_factory):
    """The engine that builds the prebuilt images; see prebuilt.engine()."""
    folder = tmp_path_factory.mktemp("prebuilt")
    with engine_of_images(folder) as found:
        if isinstance(found, str):
            pytest.skip(found)
        yield Images(*found, folder)


@pytest.fixture(scope="session")
def python_image(prebuilt):
    seconds, out, _ = prebuilt.build("python")
    print(f"millwright images build python: {seconds:.1f} s")
    assert out.startswith("millwright/python:latest"), out
    return "millwright/python:latest"


@pytest.fixture(scope="session")
def algorithms_image(prebuilt):
    seconds, _, _ = prebuilt.build("algorithms")
    print(f"millwright images build algorithms: {seconds:.1f} s")
    return "millwright/algorithms:latest"
