"""S3 as other clients speak it: s3cmd, rclone, @aws-sdk/client-s3 and `aws s3 sync` move a folder there and back.
tools/dev setup installs them; a client that is not there is skipped by name."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from server import ROOT
from transfers import digest

CLIENTS = ROOT / "build/node/clients"
HERE = Path(__file__).resolve().parent


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed; tools/dev setup installs it")


@pytest.fixture
def own_bucket(s3, unique):
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return unique


@pytest.fixture
def folder(tmp_path):
    """A tree with an empty file, odd names, and a file that goes in parts."""
    root = tmp_path / "tree"
    (root / "deep/er").mkdir(parents=True)
    (root / "empty").write_bytes(b"")
    (root / "with space+plus").write_bytes(b"1")
    (root / "deep/ünïcode").write_bytes(b"2" * 1000)
    (root / "deep/er/large").write_bytes(os.urandom(17 << 20))
    return root


def contents(folder):
    return {str(path.relative_to(folder)): digest(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(environment, server, tmp_path):
    """Runs a program with the server's keys and returns what it printed."""
    path = str(Path(sys.executable).parent) + os.pathsep + environment["PATH"]
    known = server.credentials
    full = {**environment, "PATH": path, "HOME": str(tmp_path), "AWS_REGION": known["Region"], "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": known["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": known["SecretAccessKey"],
            "AWS_ENDPOINT_URL": server.url, "CLIENTS": str(CLIENTS)}

    def run(*command, cwd=None):
        result = subprocess.run([str(part) for part in command], env=full, cwd=cwd, capture_output=True, text=True, timeout=180)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


def test_s3cmd(run, server, own_bucket, folder, tmp_path, s3):
    need("s3cmd")
    known = server.credentials
    host = server.url.removeprefix("http://")
    config = tmp_path / "s3cfg"
    config.write_text(f"[default]\naccess_key = {known['AccessKeyId']}\nsecret_key = {known['SecretAccessKey']}\n"
                      f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\nbucket_location = us-west-2\n"
                      "multipart_chunk_size_mb = 5\nsignature_v2 = False\n")

    def s3cmd(*arguments):
        return run("s3cmd", "-c", config, "--no-progress", *arguments)

    s3cmd("sync", f"{folder}/", f"s3://{own_bucket}/tree/")
    assert len(s3cmd("ls", "-r", f"s3://{own_bucket}/").splitlines()) == 4
    assert s3.head_object(Bucket=own_bucket, Key="tree/deep/er/large")["ETag"].endswith('-4"')
    s3cmd("sync", f"s3://{own_bucket}/tree/", f"{tmp_path}/back/")
    assert contents(tmp_path / "back") == contents(folder)
    s3cmd("cp", f"s3://{own_bucket}/tree/deep/er/large", f"s3://{own_bucket}/copy")
    s3cmd("get", "--force", f"s3://{own_bucket}/copy", f"{tmp_path}/copy")
    assert digest(tmp_path / "copy") == digest(folder / "deep/er/large")
    assert "MD5 sum" in s3cmd("info", f"s3://{own_bucket}/copy")
    s3cmd("rb", "--recursive", "--force", f"s3://{own_bucket}")
    assert own_bucket not in s3cmd("ls")


def test_rclone(run, own_bucket, folder, tmp_path):
    need("rclone")

    def rclone(*arguments):
        return run("rclone", "--config", "/dev/null", "--s3-provider", "Other", "--s3-env-auth", "--s3-endpoint",
                   rclone.endpoint, "--s3-force-path-style", "--s3-chunk-size", "5Mi",
                   "--s3-upload-cutoff", "5Mi", "--s3-region", "us-west-2", *arguments)

    rclone.endpoint = run("printenv", "AWS_ENDPOINT_URL").strip()
    rclone("sync", folder, f":s3:{own_bucket}/tree")
    rclone("check", "--download", folder, f":s3:{own_bucket}/tree")
    assert sorted(rclone("lsf", "-R", "--files-only", f":s3:{own_bucket}/tree").splitlines()) == sorted(contents(folder))
    (folder / "empty").unlink()
    (folder / "with space+plus").write_bytes(b"changed")
    rclone("sync", folder, f":s3:{own_bucket}/tree")
    rclone("copy", f":s3:{own_bucket}/tree", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)
    rclone("copyto", f":s3:{own_bucket}/tree/deep/er/large", f":s3:{own_bucket}/copy")
    assert digest(folder / "deep/er/large") in rclone("hashsum", "sha256", "--download", f":s3:{own_bucket}/copy")
    rclone("purge", f":s3:{own_bucket}")


def test_aws_sdk_for_javascript(run, server, own_bucket):
    need("node")
    if not (CLIENTS / "node_modules/@aws-sdk/client-s3").exists():
        pytest.skip("@aws-sdk/client-s3 is not installed; tools/dev setup installs it")
    assert "all round trips are right" in run("node", HERE / "s3_client.mjs", server.url, own_bucket)


def test_aws_cli_sync(run, own_bucket, folder, tmp_path):
    run("aws", "s3", "sync", "--no-progress", folder, f"s3://{own_bucket}/tree")
    run("aws", "s3", "sync", "--no-progress", f"s3://{own_bucket}/tree", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)
    (folder / "empty").unlink()
    run("aws", "s3", "sync", "--no-progress", "--delete", folder, f"s3://{own_bucket}/tree")
    assert "empty" not in run("aws", "s3", "ls", "--recursive", f"s3://{own_bucket}/")
    assert run("aws", "s3", "sync", "--no-progress", "--delete", folder, f"s3://{own_bucket}/tree") == ""
    run("aws", "s3", "rb", "--force", f"s3://{own_bucket}")
