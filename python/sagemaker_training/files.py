"""Reading, writing and fetching files."""
import contextlib
import json
import os
import shutil
import tempfile

import millwright_fetch
from sagemaker_training import environment


def write_success_file():
    write_file(os.path.join(environment.output_dir, "success"), "")


def write_failure_file(failure_msg):
    """The reason that DescribeTrainingJob shows. An existing file stays."""
    path = os.path.join(environment.output_dir, "failure")
    if not os.path.exists(path):
        write_file(path, failure_msg)


@contextlib.contextmanager
def tmpdir(suffix="", prefix="tmp", directory=None):
    path = tempfile.mkdtemp(suffix=suffix, prefix=prefix, dir=directory)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_file(path, data, mode="w"):
    with open(path, mode) as file:
        file.write(data)


def read_file(path, mode="r"):
    with open(path, mode) as file:
        return file.read()


def read_json(path):
    return json.loads(read_file(path))


def download_and_extract(uri, path):
    """Brings the code of a folder, an archive, a file or an s3:// URI to `path`, unless something is there."""
    os.makedirs(path, exist_ok=True)
    if not os.listdir(path):
        millwright_fetch.fetch(uri, path)


def s3_download(url, dst):
    millwright_fetch.download(url, dst)
