"""Versions of objects, as boto3 sees them."""
import concurrent.futures
import uuid

import pytest
from botocore.exceptions import ClientError


def code_of(failure):
    return failure.value.response["Error"]["Code"]


@pytest.fixture
def plain(s3):
    name = f"versions-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return name


@pytest.fixture
def versioned(s3, plain):
    s3.put_bucket_versioning(Bucket=plain, VersioningConfiguration={"Status": "Enabled"})
    return plain


def versions(s3, bucket, **options):
    """Pairs of key and version, in the order of the listing, delete markers among them."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **options):
        found += page.get("Versions", []) + page.get("DeleteMarkers", [])
    return {(about["Key"], about["VersionId"]): about for about in found}


def empty(s3, bucket):
    for key, version in versions(s3, bucket):
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    s3.delete_bucket(Bucket=bucket)


def test_a_bucket_has_no_versions_until_it_is_told_to(s3, plain):
    assert "Status" not in s3.get_bucket_versioning(Bucket=plain)
    assert "VersionId" not in s3.put_object(Bucket=plain, Key="k", Body=b"zero")
    assert "VersionId" not in s3.get_object(Bucket=plain, Key="k")
    assert list(versions(s3, plain)) == [("k", "null")]
    for status in ("Enabled", "Suspended", "Enabled"):
        s3.put_bucket_versioning(Bucket=plain, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=plain)["Status"] == status
    new = s3.put_object(Bucket=plain, Key="k", Body=b"one")["VersionId"]
    assert s3.get_object(Bucket=plain, Key="k", VersionId="null")["Body"].read() == b"zero"
    assert s3.get_object(Bucket=plain, Key="k")["VersionId"] == new
    with pytest.raises(ClientError) as failure:
        s3.delete_bucket(Bucket=plain)
    assert code_of(failure) == "BucketNotEmpty"
    empty(s3, plain)


def test_a_deleted_object_is_behind_a_marker(s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"one")["VersionId"]
    gone = s3.delete_object(Bucket=versioned, Key="k")
    assert gone["DeleteMarker"] is True
    with pytest.raises(ClientError) as failure:
        s3.get_object(Bucket=versioned, Key="k")
    headers = failure.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert code_of(failure) == "NoSuchKey"
    assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", gone["VersionId"])
    with pytest.raises(ClientError) as failure:
        s3.head_object(Bucket=versioned, Key="k", VersionId=gone["VersionId"])
    response = failure.value.response["ResponseMetadata"]
    assert response["HTTPStatusCode"] == 405
    assert response["HTTPHeaders"]["allow"] == "DELETE"
    assert "last-modified" in response["HTTPHeaders"]
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=first)["Body"].read() == b"one"
    listed = s3.list_object_versions(Bucket=versioned)
    assert [about["IsLatest"] for about in listed["DeleteMarkers"]] == [True]
    assert [about["IsLatest"] for about in listed["Versions"]] == [False]
    undone = s3.delete_object(Bucket=versioned, Key="k", VersionId=gone["VersionId"])
    assert undone["DeleteMarker"] is True
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"one"


def test_one_request_deletes_versions_and_adds_markers(s3, versioned):
    one = s3.put_object(Bucket=versioned, Key="a", Body=b"1")["VersionId"]
    s3.put_object(Bucket=versioned, Key="b", Body=b"1")
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [
        {"Key": "a", "VersionId": one}, {"Key": "b"}, {"Key": "c", "VersionId": "nonsense"}]})
    deleted = {about["Key"]: about for about in answer["Deleted"]}
    assert deleted["a"] == {"Key": "a", "VersionId": one}
    assert deleted["b"]["DeleteMarker"] is True
    assert [(about["Key"], about["Code"]) for about in answer["Errors"]] == [("c", "NoSuchVersion")]
    again = s3.delete_objects(Bucket=versioned, Delete={"Objects": [
        {"Key": "a", "VersionId": one}, {"Key": "b", "VersionId": deleted["b"]["DeleteMarkerVersionId"]}]})
    assert "Errors" not in again
    assert s3.get_object(Bucket=versioned, Key="b")["Body"].read() == b"1"


def test_pages_of_any_size_hold_every_version_once(s3, versioned):
    expected = []
    for key in ("a", "b/1", "b/2", "c"):
        of_key = [s3.put_object(Bucket=versioned, Key=key, Body=b"x")["VersionId"] for _ in range(4)]
        of_key.append(s3.delete_object(Bucket=versioned, Key=key)["VersionId"])
        expected += [(key, version) for version in reversed(of_key)]
    for size in (1, 2, 3, 7, 1000):
        found = versions(s3, versioned, PaginationConfig={"PageSize": size})
        assert set(found) == set(expected)
        assert [about["IsLatest"] for about in found.values()].count(True) == 4
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/", MaxKeys=6)
    assert [about["Prefix"] for about in page["CommonPrefixes"]] == ["b/"]
    assert (page["IsTruncated"], page["NextKeyMarker"]) == (True, "b/")
    assert list(versions(s3, versioned, Prefix="b/2")) == [pair for pair in expected if pair[0] == "b/2"] or \
        set(versions(s3, versioned, Prefix="b/2")) == {pair for pair in expected if pair[0] == "b/2"}


def test_parts_and_copies_make_versions(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="k", Body=b"old")["VersionId"]
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=versioned, Key="k", UploadId=upload, PartNumber=1, Body=b"new")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = s3.complete_multipart_upload(Bucket=versioned, Key="k", UploadId=upload, MultipartUpload=parts)
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == done["VersionId"]
    again = s3.complete_multipart_upload(Bucket=versioned, Key="k", UploadId=upload, MultipartUpload=parts)
    assert (again["VersionId"], again["ETag"]) == (done["VersionId"], done["ETag"]), "who did not hear may ask again"
    restored = s3.copy_object(Bucket=versioned, Key="k",
                              CopySource={"Bucket": versioned, "Key": "k", "VersionId": old})
    assert restored["CopySourceVersionId"] == old
    assert restored["VersionId"] not in (old, done["VersionId"])
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"old"
    assert len(versions(s3, versioned)) == 3


def test_a_suspended_bucket_keeps_versions_and_overwrites_the_null_one(s3, versioned):
    one = s3.put_object(Bucket=versioned, Key="k", Body=b"one")["VersionId"]
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"null 1", b"null 2"):
        assert "VersionId" not in s3.put_object(Bucket=versioned, Key="k", Body=body)
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == "null"
    assert set(versions(s3, versioned)) == {("k", "null"), ("k", one)}
    assert s3.delete_object(Bucket=versioned, Key="k")["VersionId"] == "null"
    assert set(versions(s3, versioned)) == {("k", "null"), ("k", one)}
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=one)["Body"].read() == b"one"


@pytest.mark.parametrize("version, status, code", [
    ("nonsense", 400, "InvalidArgument"), ("0" * 32, 404, "NoSuchVersion"), ("null", 404, "NoSuchVersion")])
def test_unknown_versions(s3, versioned, version, status, code):
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    with pytest.raises(ClientError) as failure:
        s3.get_object(Bucket=versioned, Key="k", VersionId=version)
    assert (failure.value.response["ResponseMetadata"]["HTTPStatusCode"], code_of(failure)) == (status, code)


def test_writers_and_removers_at_once_lose_nothing(s3, versioned):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        written = list(pool.map(
            lambda i: s3.put_object(Bucket=versioned, Key=f"k{i % 3}", Body=str(i).encode())["VersionId"], range(60)))
        assert len(set(written)) == 60
        assert len(versions(s3, versioned)) == 60
        doomed = [pair for i, pair in enumerate(versions(s3, versioned)) if i % 2]
        list(pool.map(lambda pair: s3.delete_object(Bucket=versioned, Key=pair[0], VersionId=pair[1]), doomed))
    left = versions(s3, versioned)
    assert len(left) == 30 and not set(doomed) & set(left)
    for key in ("k0", "k1", "k2"):
        newest = s3.head_object(Bucket=versioned, Key=key)["VersionId"]
        assert left[key, newest]["IsLatest"]


def test_versions_outlive_the_server(tmp_path):
    from server import Server
    server = Server(tmp_path / "data").start()
    try:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        written = {s3.put_object(Bucket="bucket", Key="k", Body=str(i).encode())["VersionId"]: i for i in range(5)}
        marker = s3.delete_object(Bucket="bucket", Key="k")["VersionId"]
        server.kill()
        server.start()
        s3 = server.client("s3")
        assert {version for _, version in versions(s3, "bucket")} == {*written, marker}
        for version, i in written.items():
            body = s3.get_object(Bucket="bucket", Key="k", VersionId=version)["Body"].read()
            assert body == str(i).encode()
    finally:
        server.end_everything()
