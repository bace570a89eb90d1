"""Lifecycle rules, as boto3 writes them, and what they end. Days are two seconds here."""
import datetime
import time
import uuid

import pytest
from botocore.exceptions import ClientError

from server import Server


def code_of(failure):
    return failure.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """S3 of a server whose days are short."""
    running = Server(tmp_path_factory.mktemp("hasty") / "data", config="[s3]\nlifecycle_day_seconds = 2\n").start()
    yield running.client("s3")
    running.end_everything()


@pytest.fixture
def fresh(hasty):
    name = f"lifecycle-{uuid.uuid4().hex[:12]}"
    hasty.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return name


def set_rules(s3, bucket, *rules):
    named = [{"ID": f"rule-{i}", "Status": "Enabled", **rule} for i, rule in enumerate(rules)]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": named})
    return named


def keys(s3, bucket):
    return [about["Key"] for about in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def versions(s3, bucket):
    page = s3.list_object_versions(Bucket=bucket)
    return len(page.get("Versions", [])), len(page.get("DeleteMarkers", []))


def wait_for(state, wanted, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and state() != wanted:
        time.sleep(0.1)
    assert state() == wanted


def test_rules_come_back_as_they_were_written(s3, unique):
    name = unique + "-bucket"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    with pytest.raises(ClientError) as failure:
        s3.get_bucket_lifecycle_configuration(Bucket=name)
    assert code_of(failure) == "NoSuchLifecycleConfiguration"
    rules = set_rules(
        s3, name,
        {"Prefix": "old/", "Expiration": {"Days": 31}},
        {"Filter": {"Tag": {"Key": "k", "Value": "v"}},
         "Expiration": {"Date": datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)}},
        {"Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 10}},
         "NoncurrentVersionExpiration": {"NoncurrentDays": 2, "NewerNoncurrentVersions": 3}},
        {"Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
        {"Filter": {"Prefix": "u/"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}, "Status": "Disabled"})
    assert s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"] == rules
    s3.delete_bucket_lifecycle(Bucket=name)
    with pytest.raises(ClientError) as failure:
        s3.get_bucket_lifecycle_configuration(Bucket=name)
    assert code_of(failure) == "NoSuchLifecycleConfiguration"


@pytest.mark.parametrize("rule, code", [
    ({"Prefix": "", "Expiration": {"Days": 0}}, "InvalidArgument"),
    ({"Prefix": "", "Expiration": {"Days": 1}, "Status": "enabled"}, "MalformedXML"),
    ({"Prefix": "", "Expiration": {"Days": 1}, "ID": "i" * 256}, "InvalidArgument"),
    ({"Prefix": ""}, "InvalidRequest"),
    ({"Expiration": {"Days": 1}}, "MalformedXML"),
    ({"Prefix": "", "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "NotImplemented"),
])
def test_refused_rules(s3, bucket, rule, code):
    with pytest.raises(ClientError) as failure:
        set_rules(s3, bucket, rule)
    assert code_of(failure) == code


def test_the_end_of_an_object_is_told(s3, unique):
    name = unique + "-bucket"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    set_rules(s3, name, {"Prefix": "logs/", "Expiration": {"Days": 1}})
    written = s3.put_object(Bucket=name, Key="logs/a", Body=b"x")
    assert 'rule-id="rule-0"' in written["Expiration"]
    told = s3.head_object(Bucket=name, Key="logs/a")["Expiration"]
    assert told == written["Expiration"]
    date = datetime.datetime.strptime(told.split('"')[1], "%a, %d %b %Y %H:%M:%S GMT")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert datetime.timedelta(days=1) <= date - now + datetime.timedelta(minutes=1)
    assert (date.hour, date.minute, date.second) == (0, 0, 0)
    assert "Expiration" not in s3.put_object(Bucket=name, Key="other", Body=b"x")


def test_objects_end_by_prefix_tag_and_size(hasty, fresh):
    set_rules(hasty, fresh,
              {"Prefix": "logs/", "Expiration": {"Days": 1}},
              {"Filter": {"Tag": {"Key": "temporary", "Value": "yes"}}, "Expiration": {"Days": 1}},
              {"Filter": {"ObjectSizeGreaterThan": 1000}, "Expiration": {"Days": 1}},
              {"Prefix": "past/", "Expiration": {"Date": datetime.datetime(2015, 1, 1)}},
              {"Prefix": "future/", "Expiration": {"Date": datetime.datetime(2100, 1, 1)}},
              {"Prefix": "off/", "Expiration": {"Days": 1}, "Status": "Disabled"})
    for key in ("logs/a", "keep", "past/a", "future/a", "off/a"):
        hasty.put_object(Bucket=fresh, Key=key, Body=b"x")
    hasty.put_object(Bucket=fresh, Key="tagged", Body=b"x", Tagging="temporary=yes")
    hasty.put_object(Bucket=fresh, Key="tagged-no", Body=b"x", Tagging="temporary=no")
    hasty.put_object(Bucket=fresh, Key="large", Body=b"x" * 1001)
    wait_for(lambda: keys(hasty, fresh), ["future/a", "keep", "off/a", "tagged-no"])


def test_versions_and_markers_end(hasty, fresh):
    hasty.put_bucket_versioning(Bucket=fresh, VersioningConfiguration={"Status": "Enabled"})
    for i in range(6):
        hasty.put_object(Bucket=fresh, Key="kept", Body=str(i).encode())
    hasty.put_object(Bucket=fresh, Key="deleted", Body=b"x")
    hasty.delete_object(Bucket=fresh, Key="deleted")
    set_rules(hasty, fresh,
              {"Prefix": "", "Expiration": {"ExpiredObjectDeleteMarker": True},
               "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}},
              {"Prefix": "deleted", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    wait_for(lambda: versions(hasty, fresh), (3, 0))
    assert hasty.get_object(Bucket=fresh, Key="kept")["Body"].read() == b"5"


def test_the_current_version_ends_under_a_marker(hasty, fresh):
    hasty.put_bucket_versioning(Bucket=fresh, VersioningConfiguration={"Status": "Enabled"})
    version = hasty.put_object(Bucket=fresh, Key="k", Body=b"x")["VersionId"]
    set_rules(hasty, fresh, {"Prefix": "", "Expiration": {"Days": 1}})
    wait_for(lambda: versions(hasty, fresh), (1, 1))
    assert hasty.get_object(Bucket=fresh, Key="k", VersionId=version)["Body"].read() == b"x"


def test_unfinished_uploads_end(hasty, fresh):
    doomed = hasty.create_multipart_upload(Bucket=fresh, Key="a/1")["UploadId"]
    hasty.upload_part(Bucket=fresh, Key="a/1", UploadId=doomed, PartNumber=1, Body=b"x" * 100_000)
    kept = hasty.create_multipart_upload(Bucket=fresh, Key="b/1")["UploadId"]
    set_rules(hasty, fresh, {"Prefix": "a/", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}})
    wait_for(lambda: [about["UploadId"] for about in hasty.list_multipart_uploads(Bucket=fresh)["Uploads"]], [kept])
    with pytest.raises(ClientError) as failure:
        hasty.upload_part(Bucket=fresh, Key="a/1", UploadId=doomed, PartNumber=2, Body=b"x")
    assert code_of(failure) == "NoSuchUpload"
