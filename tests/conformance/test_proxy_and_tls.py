"""The proxy for fixed AWS hosts, and TLS on the server's own port, with the clients users have."""
import http.client
import os
import socket
import ssl
import subprocess
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config
from fixed_hosts import sdk_stays_on_the_machine
from server import Server


def test_default_bucket_role_and_telemetry_of_sdk_v2_stay_on_the_machine(server, tmp_path):
    sdk_stays_on_the_machine(server, tmp_path)


@pytest.fixture(scope="module")
def through(server):
    """boto3 clients that know no endpoint URL, only the proxy."""
    environment = server.environment("--proxy")

    def make(service, **changes):
        proxies = {"https": environment["HTTPS_PROXY"]}
        return server.boto_session().client(service, verify=environment["AWS_CA_BUNDLE"],
                                            config=Config(proxies=proxies, retries={"max_attempts": 0}, **changes))

    return make


def tunnel(server, authority, then=b""):
    """The answer to a CONNECT, and the connection."""
    peer = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    peer.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode() + then)
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = peer.recv(65536)
        if not more:
            break
        answer += more
    return answer.decode(), peer


def test_services_answer_under_their_aws_names(server, through, unique):
    assert through("sts").get_caller_identity()["Account"] == server.account
    assert through("sagemaker").list_training_jobs()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert through("iam").get_role(RoleName="SageMakerRole")["Role"]["RoleName"] == "SageMakerRole"
    assert "logGroups" in through("logs").describe_log_groups()
    with pytest.raises(Exception, match="not found"):
        through("sagemaker-runtime").invoke_endpoint(EndpointName=unique, Body=b"1")


@pytest.mark.parametrize("style", ["virtual", "path"])
def test_s3_answers_under_its_aws_names(through, unique, style):
    s3 = through("s3", s3={"addressing_style": style})
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    body = os.urandom(3 << 20)
    s3.put_object(Bucket=unique, Key="a b/ü", Body=body)
    assert s3.get_object(Bucket=unique, Key="a b/ü")["Body"].read() == body
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=unique)["Contents"]] == ["a b/ü"]
    s3.delete_object(Bucket=unique, Key="a b/ü")
    s3.delete_bucket(Bucket=unique)


def test_services_that_are_not_spoken_are_refused_here(through):
    with pytest.raises(Exception, match="Millwright does not speak"):
        through("ec2").describe_instances()


def test_telemetry_gets_a_quiet_answer(server):
    context = ssl.create_default_context(cafile=server.environment("--proxy")["AWS_CA_BUNDLE"])
    host = "sm-pysdk-t-us-west-2.s3.us-west-2.amazonaws.com"
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=20)
    connection.set_tunnel(host, 443)
    for _ in range(3):
        connection.request("GET", "/telemetry?x-accountId=1&x-status=1")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")


@pytest.mark.parametrize("authority", ["example.com:443", "127.0.0.1:443", "sts.amazonaws.com:80", "[::1]:22",
                                       "amazonaws.com.example.com:443", "169.254.169.254:80", "localhost:9770",
                                       "sts.amazonaws.com", "2130706433:443", "0x7f.1:443", "sts.amazonaws.com.:443"])
def test_nothing_else_is_tunnelled(server, authority):
    answer, peer = tunnel(server, authority)
    assert answer.startswith("HTTP/1.1 400 " if ":" not in authority else "HTTP/1.1 403 "), answer
    text = answer + peer.recv(65536).decode(errors="replace")
    clear = authority not in ("sts.amazonaws.com", "2130706433:443", "0x7f.1:443", "sts.amazonaws.com.:443")
    assert not clear or "[proxy] allow" in text, text


def test_bytes_that_do_not_wait_for_the_answer_are_refused(server):
    answer, _ = tunnel(server, "sts.us-west-2.amazonaws.com:443", b"\x16\x03\x01")
    assert answer.startswith("HTTP/1.1 400 ")


def test_the_authority_cannot_vouch_for_other_sites(server, tmp_path):
    """A certificate that its key signs for another name is refused by OpenSSL because of the name constraints."""
    folder = server.folder / "ca"
    assert (folder / "aws.key").stat().st_mode & 0o777 == 0o600
    run = lambda *command: subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)  # noqa: E731
    for name, good in (("sts.amazonaws.com", True), ("example.com", False), ("amazonaws.com.example.com", False)):
        (tmp_path / "names").write_text(f"subjectAltName=DNS:{name}\n")
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=x")
        signed = run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", folder / "aws.pem", "-CAkey", folder / "aws.key",
                     "-CAcreateserial", "-CAserial", tmp_path / "serial", "-out", "leaf.pem", "-extfile", "names")
        assert signed.returncode == 0, signed.stderr
        verified = run("openssl", "verify", "-CAfile", folder / "aws.pem", "leaf.pem")
        assert (verified.returncode == 0) == good, verified.stderr
    (tmp_path / "names").write_text("subjectAltName=IP:192.0.2.1\n")
    run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", folder / "aws.pem", "-CAkey", folder / "aws.key", "-CAcreateserial",
        "-CAserial", tmp_path / "serial", "-out", "leaf.pem", "-extfile", "names")
    assert run("openssl", "verify", "-CAfile", folder / "aws.pem", "leaf.pem").returncode != 0


def test_the_proxy_can_be_switched_off_and_opened(tmp_path):
    """With a listener of our own as the site that is allowed."""
    site = socket.create_server(("127.0.0.1", 0))
    port = site.getsockname()[1]
    off = Server(tmp_path / "off", config="[proxy]\nenabled = false\n").start()
    opened = Server(tmp_path / "open", config=f'[proxy]\nallow = ["127.0.0.1:{port}"]\n').start()
    try:
        assert tunnel(off, "sts.us-west-2.amazonaws.com:443")[0].startswith("HTTP/1.1 405 ")
        assert not (off.folder / "ca").exists()
        with pytest.raises(subprocess.CalledProcessError):
            off.environment("--proxy")
        answer, peer = tunnel(opened, f"127.0.0.1:{port}")
        assert answer.startswith("HTTP/1.1 200 "), answer
        inner, _ = site.accept()
        peer.sendall(b"ping")
        assert inner.recv(10) == b"ping"
        inner.sendall(b"pong")
        assert peer.recv(10) == b"pong"
        assert tunnel(opened, f"127.0.0.1:{port + 1}")[0].startswith("HTTP/1.1 403 ")
        assert tunnel(opened, f"127.0.0.1:{opened.port}")[0].startswith("HTTP/1.1 403 ")
    finally:
        off.end_everything()
        opened.end_everything()
        site.close()


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("tls") / "data", config='[tls]\ncertificate = "own"\n').start()
    yield running
    running.end_everything()


def test_tls_and_plain_http_share_a_port(secure):
    environment = secure.environment()
    assert environment["AWS_ENDPOINT_URL"] == f"https://127.0.0.1:{secure.port}"
    context = ssl.create_default_context(cafile=environment["AWS_CA_BUNDLE"])
    for host in ("127.0.0.1", "localhost"):
        assert urllib.request.urlopen(f"https://{host}:{secure.port}/health", context=context, timeout=20).status == 200
    assert urllib.request.urlopen(f"http://127.0.0.1:{secure.port}/health", timeout=20).status == 200


def test_boto3_moves_large_bodies_over_tls(secure, unique):
    environment = secure.environment()
    s3 = secure.boto_session().client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], verify=environment["AWS_CA_BUNDLE"])
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    body = os.urandom(20 << 20)
    s3.put_object(Bucket=unique, Key="k", Body=body)
    for _ in range(3):
        assert s3.get_object(Bucket=unique, Key="k")["Body"].read() == body
    assert s3.get_object(Bucket=unique, Key="k", Range="bytes=5-104")["Body"].read() == body[5:105]
    for i in range(50):
        s3.put_object(Bucket=unique, Key=f"small-{i}", Body=b"x" * i * 700)
    assert len(s3.list_objects_v2(Bucket=unique)["Contents"]) == 51


def test_old_versions_of_tls_are_refused(secure):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        with context.wrap_socket(socket.create_connection(("127.0.0.1", secure.port), timeout=20)) as peer:
            assert "GCM" in peer.cipher()[0] or "CHACHA20" in peer.cipher()[0]
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError):
        context.wrap_socket(socket.create_connection(("127.0.0.1", secure.port), timeout=20))


def test_a_handshake_that_stalls_is_cut(secure):
    """At the deadline of a head, 10 s."""
    peers = [socket.create_connection(("127.0.0.1", secure.port), timeout=30) for _ in range(3)]
    begun = time.monotonic()
    peers[0].sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
    peers[1].sendall(b"GET / HT")
    for peer in peers[:2]:
        assert peer.recv(100) == b""
        assert 9 < time.monotonic() - begun < 20
    peers[2].sendall(b"\x16\x03\x01\x00\x05junk!")
    answer = peers[2].recv(1000)
    assert answer == b"" or answer[0] == 0x15  # a TLS alert


def test_a_certificate_from_files_is_read_again_when_it_changes(tmp_path):
    def make(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
                        "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"], cwd=tmp_path,
                       check=True, capture_output=True)

    def shown():
        return ssl.get_server_certificate(("127.0.0.1", server.port), timeout=20)

    make("first")
    first = (tmp_path / "cert.pem").read_text()
    server = Server(tmp_path / "data", config=f'[tls]\ncertificate = "{tmp_path}/cert.pem"\nkey = "{tmp_path}/key.pem"\n')
    server.start()
    try:
        assert shown().split() == first.split()
        make("second")
        deadline = time.monotonic() + 60
        while shown().split() == first.split() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert shown().split() == (tmp_path / "cert.pem").read_text().split()
    finally:
        server.end_everything()
