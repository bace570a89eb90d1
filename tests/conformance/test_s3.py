"""S3 as boto3 uses it: whole objects, parts, ranges, conditions, listings, presigned URLs, and bad requests."""
import base64
import hashlib
import io
import os
import socket
import urllib.parse
import zlib

import pytest
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

MIB = 1 << 20


def code_of(failure):
    return failure.value.response["Error"]["Code"]


@pytest.fixture
def put(s3, bucket, unique):
    """Puts bytes under a prefix of this test and returns the key."""
    def put(name, body, **options):
        key = f"{unique}/{name}"
        s3.put_object(Bucket=bucket, Key=key, Body=body, **options)
        return key
    return put


def test_moves_100_mib_both_ways_with_checksums(s3, bucket, unique, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    block = os.urandom(MIB)
    with open(source, "wb") as file:
        for i in range(100):
            file.write(bytes([i]) + block[1:])
    s3.upload_file(str(source), bucket, unique, ExtraArgs={"Metadata": {"made-by": "test"}, "ChecksumAlgorithm": "CRC32"})
    head = s3.head_object(Bucket=bucket, Key=unique, ChecksumMode="ENABLED")
    assert head["ContentLength"] == 100 * MIB
    assert head["ETag"].endswith('-13"')
    assert head["Metadata"] == {"made-by": "test"}
    assert head["ChecksumCRC32"].endswith("-13")
    s3.download_file(bucket, unique, str(target))
    assert hashlib.sha256(source.read_bytes()).digest() == hashlib.sha256(target.read_bytes()).digest()


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_keeps_the_checksum_asked_for(s3, bucket, unique, algorithm):
    answer = s3.put_object(Bucket=bucket, Key=unique, Body=b"data", ChecksumAlgorithm=algorithm)
    field = f"Checksum{algorithm}"
    read = s3.get_object(Bucket=bucket, Key=unique, ChecksumMode="ENABLED")
    assert read["Body"].read() == b"data"
    assert read[field] == answer[field]
    if algorithm == "CRC32":
        assert answer[field] == base64.b64encode(zlib.crc32(b"data").to_bytes(4, "big")).decode()


def test_full_object_checksum_of_a_multipart_upload(s3, bucket, unique):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=unique, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    bodies, parts = [b"a" * 5 * MIB, b"b" * 5 * MIB, b"end"], []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(Bucket=bucket, Key=unique, UploadId=upload["UploadId"], PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    whole = base64.b64encode(zlib.crc32(b"".join(bodies)).to_bytes(4, "big")).decode()
    done = s3.complete_multipart_upload(Bucket=bucket, Key=unique, UploadId=upload["UploadId"], MultipartUpload={"Parts": parts},
                                        ChecksumType="FULL_OBJECT", ChecksumCRC32=whole)
    assert done["ChecksumCRC32"] == whole
    assert s3.get_object(Bucket=bucket, Key=unique)["Body"].read() == b"".join(bodies)


def test_ranges(s3, bucket, put):
    key = put("k", b"0123456789")
    for given, expected in [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=0-100", b"0123456789")]:
        answer = s3.get_object(Bucket=bucket, Key=key, Range=given)
        assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Body"].read()) == (206, expected)
    with pytest.raises(ClientError) as failure:
        s3.get_object(Bucket=bucket, Key=key, Range="bytes=10-")
    assert code_of(failure) == "InvalidRange"


def test_conditions(s3, bucket, put):
    key = put("k", b"one")
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
    assert s3.get_object(Bucket=bucket, Key=key, IfMatch=etag)["Body"].read() == b"one"
    for arguments, code in [({"IfMatch": '"x"'}, "PreconditionFailed"), ({"IfNoneMatch": etag}, "304")]:
        with pytest.raises(ClientError) as failure:
            s3.get_object(Bucket=bucket, Key=key, **arguments)
        assert code_of(failure) == code
    with pytest.raises(ClientError) as failure:
        s3.put_object(Bucket=bucket, Key=key, Body=b"two", IfNoneMatch="*")
    assert code_of(failure) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"one"


def test_lists_2500_keys_in_pages_and_by_delimiter(s3, bucket, unique):
    names = [f"{unique}/{group:02}/{i:03}" for group in range(25) for i in range(100)]
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: s3.put_object(Bucket=bucket, Key=name, Body=b"x"), names))
    for operation in ("list_objects_v2", "list_objects"):
        pages = list(s3.get_paginator(operation).paginate(Bucket=bucket, Prefix=unique + "/"))
        assert [len(page["Contents"]) for page in pages] == [1000, 1000, 500]
        assert [entry["Key"] for page in pages for entry in page["Contents"]] == names
        rolled = s3.get_paginator(operation).paginate(Bucket=bucket, Prefix=unique + "/", Delimiter="/", PaginationConfig={"PageSize": 7})
        prefixes = [entry["Prefix"] for page in rolled for entry in page.get("CommonPrefixes", [])]
        assert prefixes == [f"{unique}/{group:02}/" for group in range(25)]
    after = s3.list_objects_v2(Bucket=bucket, Prefix=unique + "/", StartAfter=names[-3])
    assert [entry["Key"] for entry in after["Contents"]] == names[-2:]
    for start in range(0, len(names), 1000):
        batch = [{"Key": name} for name in names[start:start + 1000]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": start > 0})
        assert len(answer.get("Deleted", [])) == (0 if start else 1000)
    assert s3.list_objects_v2(Bucket=bucket, Prefix=unique + "/")["KeyCount"] == 0


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_put_and_get(server, s3, bucket, unique, version):
    # boto3 still signs URLs the old way ("s3") unless told otherwise.
    signer = s3 if version == "s3" else server.client("s3", signature_version=version)
    http = urllib3.PoolManager()
    url = signer.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": unique}, ExpiresIn=60)
    assert http.request("PUT", url, body=b"signed").status == 200
    url = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": unique, "ResponseContentType": "x/y"}, ExpiresIn=60)
    answer = http.request("GET", url)
    assert (answer.status, answer.data, answer.headers["Content-Type"]) == (200, b"signed", "x/y")
    assert http.request("GET", url.replace("x%2Fy", "x%2Fz")).status == 403


def test_copies(s3, bucket, put, unique):
    key = put("source", b"data", ContentType="text/csv", Metadata={"a": "1"})
    s3.copy_object(Bucket=bucket, Key=unique + "/copy", CopySource={"Bucket": bucket, "Key": key})
    copied = s3.get_object(Bucket=bucket, Key=unique + "/copy")
    assert (copied["Body"].read(), copied["ContentType"], copied["Metadata"]) == (b"data", "text/csv", {"a": "1"})
    large = put("large", b"z" * 11 * MIB)
    s3.copy({"Bucket": bucket, "Key": large}, bucket, unique + "/parts", Config=TransferConfig(multipart_threshold=MIB, multipart_chunksize=5 * MIB))
    answer = s3.get_object(Bucket=bucket, Key=unique + "/parts")
    assert answer["ETag"].endswith('-3"') and answer["Body"].read() == b"z" * 11 * MIB


@pytest.mark.parametrize("name", ["../../../etc/passwd", "//", "a//b", "./x", "with space+plus%percent", "é/ü/日本", "a\tb", "k" * 900, "<&>'\""])
def test_hostile_keys_are_plain_keys(s3, bucket, put, name):
    key = put(name, b"content")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"content"
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]
    assert [entry["Key"] for entry in listed] == [key]
    s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError) as failure:
        s3.head_object(Bucket=bucket, Key=key)
    assert code_of(failure) == "404"


@pytest.mark.parametrize("arguments, code", [
    ({"ChecksumCRC32": "AAAAAA=="}, "BadDigest"),
    ({"ContentMD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}, "BadDigest"),
    ({"ACL": "public-read"}, "AccessControlListNotSupported"),
    ({"Tagging": "a=1&a=2"}, "InvalidTag"),
    ({"Metadata": {"a": "x" * 2100}}, "MetadataTooLarge"),
    ({"ExpectedBucketOwner": "111111111111"}, "AccessDenied"),
])
def test_refused_puts_leave_nothing(s3, bucket, unique, arguments, code):
    with pytest.raises(ClientError) as failure:
        s3.put_object(Bucket=bucket, Key=unique, Body=b"data", **arguments)
    assert code_of(failure) == code
    assert s3.list_objects_v2(Bucket=bucket, Prefix=unique)["KeyCount"] == 0


def test_a_cut_body_leaves_nothing(s3, server, bucket, unique):
    url = urllib.parse.urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": unique}, ExpiresIn=60))
    with socket.create_connection((url.hostname, url.port), timeout=30) as peer:
        peer.sendall(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 1000000\r\n\r\n".encode())
        peer.sendall(b"x" * 500_000)
        peer.shutdown(socket.SHUT_WR)
        answer = peer.recv(65536)
    assert answer == b"" or b"IncompleteBody" in answer or answer.startswith(b"HTTP/1.1 4")
    assert s3.list_objects_v2(Bucket=bucket, Prefix=unique)["KeyCount"] == 0


def test_bad_multipart_uploads(s3, bucket, unique):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=unique)["UploadId"]
    def part(number, body):
        return {"PartNumber": number, "ETag": s3.upload_part(Bucket=bucket, Key=unique, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
    one, two = part(1, b"small"), part(2, b"last")
    for parts, code in [([one, two], "EntityTooSmall"), ([two, one], "InvalidPartOrder"), ([{**one, "ETag": '"x"'}], "InvalidPart")]:
        with pytest.raises(ClientError) as failure:
            s3.complete_multipart_upload(Bucket=bucket, Key=unique, UploadId=upload, MultipartUpload={"Parts": parts})
        assert code_of(failure) == code
    assert [p["Size"] for p in s3.list_parts(Bucket=bucket, Key=unique, UploadId=upload)["Parts"]] == [5, 4]
    assert upload in [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket, Prefix=unique)["Uploads"]]
    s3.abort_multipart_upload(Bucket=bucket, Key=unique, UploadId=upload)
    with pytest.raises(ClientError) as failure:
        s3.list_parts(Bucket=bucket, Key=unique, UploadId=upload)
    assert code_of(failure) == "NoSuchUpload"


def test_buckets(s3, unique):
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    with pytest.raises(ClientError) as failure:
        s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    assert code_of(failure) == "BucketAlreadyOwnedByYou"
    assert s3.get_bucket_location(Bucket=unique)["LocationConstraint"] == "us-west-2"
    assert "Status" not in s3.get_bucket_versioning(Bucket=unique)
    assert s3.get_bucket_acl(Bucket=unique)["Grants"][0]["Permission"] == "FULL_CONTROL"
    assert unique in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=unique, Key="k", Body=io.BytesIO(b"x"))
    with pytest.raises(ClientError) as failure:
        s3.delete_bucket(Bucket=unique)
    assert code_of(failure) == "BucketNotEmpty"
    s3.delete_object(Bucket=unique, Key="k")
    s3.delete_bucket(Bucket=unique)
    with pytest.raises(ClientError) as failure:
        s3.head_bucket(Bucket=unique)
    assert code_of(failure) == "404"
    with pytest.raises(ClientError) as failure:
        s3.get_object(Bucket=unique, Key="k")
    assert code_of(failure) == "NoSuchBucket"
