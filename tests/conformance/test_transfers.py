"""100 MiB both ways: SageMaker SDK v2 and the AWS CLI. (boto3 itself: test_s3.py; SDK v1: v1/test_sdk_v1.py.)"""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transfers import digest, make_file, move_with_sdk


def test_sdk_v2(environment, bucket, tmp_path):
    move_with_sdk(environment, bucket, tmp_path)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_aws_cli(environment, bucket, tmp_path, s3, algorithm):
    path = str(Path(sys.executable).parent) + os.pathsep + environment["PATH"]
    source, target = make_file(tmp_path / "random.bin"), tmp_path / "back.bin"

    def aws(*arguments):
        result = subprocess.run(["aws", *arguments], env={**environment, "PATH": path}, capture_output=True, text=True, timeout=400)
        assert result.returncode == 0, result.stdout + result.stderr

    aws("s3", "cp", "--no-progress", "--checksum-algorithm", algorithm, str(source), f"s3://{bucket}/transfer/{algorithm}")
    aws("s3", "cp", "--no-progress", "--checksum-mode", "ENABLED", f"s3://{bucket}/transfer/{algorithm}", str(target))
    assert digest(target) == digest(source)
    head = s3.head_object(Bucket=bucket, Key=f"transfer/{algorithm}", ChecksumMode="ENABLED")
    assert head["ContentLength"] == 100 * 2**20 and head[f"Checksum{algorithm}"]
