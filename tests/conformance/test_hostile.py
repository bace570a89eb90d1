"""An attacker: forged signatures, smuggled requests, hostile names, archives and models. The server refuses and goes on."""
import io
import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.exceptions import ClientError
from conftest import XGBOOST_IMAGE
from server import paths_below


def refused(call, *arguments, **keywords):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **keywords)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.fixture(autouse=True)
def still_there(server):
    """Whatever a test did: the same process answers afterwards."""
    before = server.process.pid
    yield
    assert server.process.poll() is None and server.process.pid == before
    assert urllib.request.urlopen(server.url + "/health", timeout=30).status == 200


def raw(server, data, seconds=30):
    """Sends bytes, closes our side and returns everything that comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before we were done
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.parametrize("head", [
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcdGET /health HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
], ids=["cl-te", "two-lengths", "signed-length", "two-codings", "space-before-colon", "two-hosts", "folded", "nul", "space-in-target"])
def test_requests_that_could_be_read_in_two_ways_are_refused_once(server, head):
    answer = raw(server, head)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert len(re.findall(rb"^HTTP/1.1 \d", answer, re.MULTILINE)) == 1, "a smuggled request was answered"


def test_a_tls_client_gets_no_answer_and_does_no_harm(server):
    assert b"HTTP/1.1 200" not in raw(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64))


def test_a_head_without_end_is_refused(server):
    answer = raw(server, b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 200_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 "), answer[:200]


def test_slow_clients_do_not_hold_up_others(server, s3, bucket):
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(400)]
    try:
        for number, connection in enumerate(slow):
            connection.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nx" if number % 2 else b"GET / HT")
        begun = time.monotonic()
        for number in range(5):
            s3.put_object(Bucket=bucket, Key=f"slow/{number}", Body=b"x")
        assert time.monotonic() - begun < 9  # the slow ones are cut after 10 s
    finally:
        for connection in slow:
            connection.close()


# --- Signatures.


def signed(server, service="sagemaker", region="us-west-2", body=b"{}", method="POST", path="/", headers=None, keys=None):
    known = keys or server.credentials
    request = botocore.awsrequest.AWSRequest(method, server.url + path, data=body, headers={
        "X-Amz-Target": "SageMaker.ListTrainingJobs", "Content-Type": "application/x-amz-json-1.1", **(headers or {})})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(known["AccessKeyId"], known["SecretAccessKey"]), service,
                            region).add_auth(request)
    return request.prepare()


def send(server, prepared, changes=None, body=None):
    headers = {**dict(prepared.headers), **(changes or {})}
    request = urllib.request.Request(prepared.url, data=prepared.body if body is None else body, headers=headers,
                                     method=prepared.method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_signature_these_tests_start_from_is_taken(server):
    assert send(server, signed(server))[0] == 200


@pytest.mark.parametrize("changes, body", [
    ({"X-Amz-Target": "SageMaker.DeleteModel"}, None),
    ({"X-Amz-Acl": "public-read"}, None),
    ({"X-Amz-Security-Token": "stolen"}, None),
    ({"Host": "elsewhere:80"}, None),
    ({"X-Amz-Date": "20200101T000000Z"}, None),
    ({}, b'{"MaxResults": 1}'),
])
def test_what_was_signed_cannot_be_changed(server, changes, body):
    status, text = send(server, signed(server), changes, body)
    assert 400 <= status <= 403, text
    assert "TrainingJobSummaries" not in text


@pytest.mark.parametrize("service, region", [("s3", "us-west-2"), ("iam", "us-west-2"), ("nonsense", "us-west-2"),
                                             ("sagemaker", "../..")])
def test_a_signature_for_one_service_is_no_good_for_another(server, service, region):
    status, text = send(server, signed(server, service, region))
    assert status >= 400 and "TrainingJobSummaries" not in text, text


def test_a_key_with_the_wrong_secret_and_an_unknown_key_are_refused(server):
    for keys in ({**server.credentials, "SecretAccessKey": "guess"}, {**server.credentials, "AccessKeyId": "AKIAAAAAAAAAAAAAAAAA"}):
        assert send(server, signed(server, keys=keys))[0] in (400, 403)


def test_nothing_is_told_to_who_signs_nothing(server):
    for path in ("/", "/some-bucket/key", "/endpoints/x/invocations", "/metadata.db", "/%2e%2e/%2e%2e/etc/passwd"):
        answer = raw(server, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        assert answer.split(b" ", 2)[1] in (b"400", b"403", b"404"), answer[:200]
        assert str(server.folder).encode() not in answer


def test_presigned_urls_open_only_what_they_name(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="open", Body=b"for all")
    s3.put_object(Bucket=bucket, Key="closed", Body=b"secret")
    for client in (s3, server.client("s3", signature_version="s3v4")):
        url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "open"}, ExpiresIn=60)
        assert urllib.request.urlopen(url).read() == b"for all"
        forged = [url.replace("/open?", "/closed?"), url.replace("/open?", "/open/../closed?"),
                  url.replace("Expires=60", "Expires=600000"), url + "&versionId=1", url + "&acl"]
        forged.append(re.sub(r"Expires=(\d{6,})", lambda found: f"Expires={int(found[1]) + 1000}", url))
        for changed in set(forged) - {url}:
            with pytest.raises(urllib.error.HTTPError) as caught:
                print(changed, urllib.request.urlopen(changed).read())
            assert caught.value.code in (400, 403, 404), changed
        request = urllib.request.Request(url, data=b"overwritten", method="PUT")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
    assert s3.get_object(Bucket=bucket, Key="open")["Body"].read() == b"for all"


def test_credentials_of_jobs_cannot_be_guessed(server):
    for path in ("", "/", "/0" * 3, "/" + "0" * 64, "/../credentials.json", "/%00", "/*", "/" + "a" * 5000, "?id=1"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(server.url + "/v2/credentials" + path)
        assert caught.value.code in (400, 401, 403, 404)
        assert b"SecretAccessKey" not in caught.value.read()


# --- Names.


@pytest.mark.parametrize("key", ["../../../etc/passwd", "/etc/passwd", "a/../b", "..", ".", "a//b", "%2e%2e/x", "a\nb", "x" * 1024,
                                 "\u202egnp.exe", "' OR 1=1 --", "\x01\x7f"])
def test_keys_are_texts_and_never_paths(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    s3.delete_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize("key, code", [("a\0b", "InvalidURI"), ("x" * 1025, "KeyTooLongError")])
def test_keys_that_s3_does_not_know_are_refused(s3, bucket, key, code):
    assert refused(s3.put_object, Bucket=bucket, Key=key, Body=b"")[0] == code


@pytest.mark.parametrize("keys", [["../escaped"], ["a/../../escaped"], ["./a"], ["a", "a/b"], ["a//b", "a/b"], ["n" * 300]])
def test_keys_that_make_no_tree_of_files_fail_the_job(sm, s3, bucket, training_request, finish, unique, keys):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=f"{unique}/{key}", Body=b"1,2\n0,3\n")
    sm.create_training_job(**training_request(uri=f"s3://{bucket}/{unique}/"))
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Failed" and "cannot become a file name" in job["FailureReason"]


@pytest.mark.parametrize("manifest, reason", [
    ([{"prefix": "s3://somebody-elses-bucket/"}, "x"], "does not exist"),
    ([{"prefix": "s3://BUCKET/"}, "/etc/passwd"], "not a relative key"),
    ([{"prefix": "s3://BUCKET/"}, "../../x"], "cannot become a file name"),
    ([{"prefix": "s3://BUCKET/"}, "a" * 5000], "longer than 1024 bytes"),
    ([{"prefix": "file:///etc/"}, "passwd"], "s3://"),
    ([{"prefix": "s3://BUCKET/"}, 7], "A manifest is a JSON array"),
    ("[" * 100_000, "A manifest is a JSON array"),
])
def test_hostile_manifests_fail_the_job(sm, s3, bucket, training_request, finish, unique, manifest, reason):
    text = manifest if isinstance(manifest, str) else json.dumps(manifest).replace("BUCKET", bucket)
    s3.put_object(Bucket=bucket, Key=unique, Body=text.encode())
    request = training_request(uri=f"s3://{bucket}/{unique}")
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
    sm.create_training_job(**request)
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Failed" and reason in job["FailureReason"], job["FailureReason"]


@pytest.mark.parametrize("name", ["..", ".", "../../x", "a/b", "train\0"])
def test_channels_are_no_paths(sm, training_request, name):
    request = training_request()
    request["InputDataConfig"][0]["ChannelName"] = name
    assert refused(sm.create_training_job, **request)[0] == "ValidationException"


# --- Models.


def archive(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, kind, content in members:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            if kind == tarfile.REGTYPE:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            else:
                entry.linkname = content
                tar.addfile(entry)
    return out.getvalue()


def outcome_of(sm, server, s3, bucket, name, model):
    """The end of an endpoint made from this model.tar.gz."""
    s3.put_object(Bucket=bucket, Key=f"{name}/model.tar.gz", Body=model)
    sm.create_model(ModelName=name, ExecutionRoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole", PrimaryContainer={
        "Image": XGBOOST_IMAGE, "ModelDataUrl": f"s3://{bucket}/{name}/model.tar.gz"})
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{
        "VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    deadline = time.monotonic() + 120
    while (found := sm.describe_endpoint(EndpointName=name))["EndpointStatus"] == "Creating" and time.monotonic() < deadline:
        time.sleep(0.05)
    sm.delete_endpoint(EndpointName=name)
    return found


@pytest.mark.parametrize("members", [
    [("../../escaped", tarfile.REGTYPE, b"x")],
    [("/tmp/escaped-by-millwright-test", tarfile.REGTYPE, b"x")],
    [("link", tarfile.SYMTYPE, "/etc"), ("link/escaped", tarfile.REGTYPE, b"x")],
    [("xgboost-model", tarfile.LNKTYPE, "/etc/passwd")],
    [("xgboost-model", tarfile.FIFOTYPE, "")],
    [("xgboost-model", tarfile.CHRTYPE, "")],
], ids=["dots", "absolute", "through-a-link", "hard-link", "fifo", "device"])
def test_archives_cannot_write_elsewhere(sm, server, s3, bucket, unique, members):
    endpoint = outcome_of(sm, server, s3, bucket, unique, archive(*members))
    assert endpoint["EndpointStatus"] == "Failed", endpoint
    assert str(server.folder) not in endpoint["FailureReason"]
    assert not os.path.exists("/tmp/escaped-by-millwright-test")
    assert not [path for path in paths_below(server.folder) if path.name == "escaped"]


def test_an_archive_that_unpacks_to_far_more_is_refused(sm, server, s3, bucket, unique):
    bomb = archive(("xgboost-model", tarfile.REGTYPE, bytes(300 << 20)))
    assert len(bomb) < 1 << 20
    endpoint = outcome_of(sm, server, s3, bucket, unique, bomb)
    assert endpoint["EndpointStatus"] == "Failed" and str(server.folder) not in endpoint["FailureReason"]


@pytest.mark.parametrize("content", [b"", b"{", b"binf" + bytes(200), struct.pack("<I", 0xFFFFFFFF) * 500,
                                     b'{"learner":{"gradient_booster":{"name":"gbtree","model":{"trees":[]}}}}', b"{L" + b"\xff" * 64],
                         ids=["empty", "brace", "binf", "huge-counts", "json", "ubjson"])
def test_a_hostile_model_fails_its_endpoint_and_nothing_else(sm, server, s3, bucket, unique, content):
    endpoint = outcome_of(sm, server, s3, bucket, unique, archive(("xgboost-model", tarfile.REGTYPE, content)))
    assert endpoint["EndpointStatus"] == "Failed", endpoint


# --- Secrets.


def test_nobody_else_can_read_the_data_directory(server):
    for name in ("credentials.json", "page-token.key", "metadata.db", "metadata.db-wal"):
        assert stat.S_IMODE((server.folder / name).stat().st_mode) & 0o077 == 0, name
    for name in ("objects", "jobs", "logs", "endpoints"):
        assert stat.S_IMODE((server.folder / name).stat().st_mode) & 0o077 == 0, name
    if os.geteuid() != 0:
        return  # the modes say it
    script = ("import os,sys\nos.setgroups([]);os.setgid(65534);os.setuid(65534)\n"
              "for name in sys.argv[1:]:\n"
              "    try: os.listdir(name) if os.path.isdir(name) else open(name).read(); print('read', name)\n"
              "    except OSError: pass\n")
    names = ["credentials.json", "page-token.key", "metadata.db", "metadata.db-wal", "objects", "jobs", "logs", "endpoints", "objects/00"]
    seen = subprocess.run([sys.executable, "-c", script, *(str(server.folder / name) for name in names)], capture_output=True, text=True)
    assert seen.stdout == "", seen.stdout


def test_no_secret_is_logged_or_stands_on_a_command_line(server):
    secret = server.credentials["SecretAccessKey"]
    assert secret not in server.log()
    for process in [path for path in os.listdir("/proc") if path.isdigit()]:
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:
                assert secret.encode() not in file.read()
        except OSError:
            pass
