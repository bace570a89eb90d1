"""The fixtures of tests/conformance, the digits in buckets, and the estimators of the SDK at hand."""
import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "conformance"), str(HERE)]
_spec = importlib.util.spec_from_file_location("conformance_fixtures", HERE.parent / "conformance/conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: getattr(_module, name) for name in ("server", "environment", "s3", "sm", "logs", "bucket",
                                                            "log_lines", "unique", "training_data", "training_request", "script_request",
                                                            "finish")})


if os.environ.get("MILLWRIGHT_FRAMEWORK_IMAGES"):

    @pytest.fixture(scope="session")
    def server(tmp_path_factory):
        """Of a server that has the engine, with the images of all frameworks."""
        from frameworks import ENGINE, FRAMEWORKS
        from server import BIN, Server
        folder = tmp_path_factory.mktemp("millwright") / "data"
        running = Server(folder, config=f'[containers]\nsocket = "{ENGINE}"\n').start()
        base = os.environ.get("MILLWRIGHT_IMAGES_BASE", "debian:12-slim")
        names = sorted({name for framework in FRAMEWORKS.values() for name in framework.recipes.values()})
        subprocess.run([BIN / "millwright", "images", "build", "--data-dir", folder, "--base", base, *names], check=True)
        yield running
        running.end_everything()


@pytest.fixture(scope="session")
def aws(environment):
    """This process, as a user's shell after `eval "$(millwright env)"`."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def digits_folders(tmp_path_factory):
    from frameworks import write_digits
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def digits(s3, bucket, digits_folders):
    """Folder of the form "npz" or "csv" -> the channels of fit()."""
    for name in ("training", "testing"):
        for form in ("npz", "csv"):
            s3.put_object(Bucket=bucket, Key=f"digits/{form}/{name}/digits.{form}",
                          Body=(digits_folders / name / f"digits.{form}").read_bytes())
    return {form: {name: f"s3://{bucket}/digits/{form}/{name}" for name in ("training", "testing")}
            for form in ("npz", "csv")}


@pytest.fixture(scope="session")
def fetch_model(s3, tmp_path_factory):
    """Unpacks the model.tar.gz of a finished estimator; returns the folder."""
    import tarfile

    def fetch(estimator):
        key = estimator.model_data.split("/", 3)
        packed = s3.get_object(Bucket=key[2], Key=key[3])["Body"].read()
        folder = tmp_path_factory.mktemp("model")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder)
        return folder

    return fetch
