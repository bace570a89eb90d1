"""Moves 100 MiB both ways with the upload_data and download_data of whichever SageMaker SDK runs this; used by both generations."""
import hashlib
import os
import subprocess
import sys

SIZE = 100 * 2**20
PROGRAM = """
import sys
import boto3, sagemaker
source, target, bucket = sys.argv[1:]
session = sagemaker.Session()
uri = session.upload_data(source, bucket=bucket, key_prefix="transfer/sdk")
session.download_data(target, bucket=bucket, key_prefix="transfer/sdk")
print(uri)
"""


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_file(path):
    with open(path, "wb") as file:
        for _ in range(SIZE // 2**20):
            file.write(os.urandom(2**20))
    return path


def move_with_sdk(environment, bucket, folder):
    source, target = make_file(folder / "random.bin"), folder / "back"
    target.mkdir()
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, source, target, bucket], env=environment,
                            capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stdout + result.stderr
    assert digest(target / "random.bin") == digest(source)
