"""Tags of objects and buckets, as boto3 sees them."""
import pytest
from botocore.exceptions import ClientError


def code_of(failure):
    return failure.value.response["Error"]["Code"]


def as_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags_of(s3, bucket, key, **version):
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key, **version)["TagSet"]}


def test_tags_are_put_read_replaced_and_removed(s3, bucket, unique):
    s3.put_object(Bucket=bucket, Key=unique, Body=b"x")
    assert tags_of(s3, bucket, unique) == {}
    before = s3.head_object(Bucket=bucket, Key=unique)
    assert "x-amz-tagging-count" not in before["ResponseMetadata"]["HTTPHeaders"]
    s3.put_object_tagging(Bucket=bucket, Key=unique, Tagging=as_set(team="a b", empty="", größe="5 µm"))
    assert tags_of(s3, bucket, unique) == {"team": "a b", "empty": "", "größe": "5 µm"}
    got = s3.get_object(Bucket=bucket, Key=unique)
    assert got["TagCount"] == 3
    assert got["LastModified"] == before["LastModified"]
    s3.put_object_tagging(Bucket=bucket, Key=unique, Tagging=as_set(other="1"))
    assert tags_of(s3, bucket, unique) == {"other": "1"}
    assert s3.delete_object_tagging(Bucket=bucket, Key=unique)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert tags_of(s3, bucket, unique) == {}


def test_tags_come_with_the_object(s3, bucket, unique):
    s3.put_object(Bucket=bucket, Key=unique, Body=b"x", Tagging="a=1&b=two%20words&c")
    assert tags_of(s3, bucket, unique) == {"a": "1", "b": "two words", "c": ""}
    upload = s3.create_multipart_upload(Bucket=bucket, Key=unique, Tagging="from=upload")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=unique, UploadId=upload, PartNumber=1, Body=b"y")
    s3.complete_multipart_upload(Bucket=bucket, Key=unique, UploadId=upload,
                                 MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert tags_of(s3, bucket, unique) == {"from": "upload"}
    s3.put_object(Bucket=bucket, Key=unique, Body=b"z")
    assert tags_of(s3, bucket, unique) == {}, "a new object has its own"


def test_copies_keep_tags_unless_told_otherwise(s3, bucket, unique):
    s3.put_object(Bucket=bucket, Key=unique, Body=b"x", Tagging="a=1")
    source = {"Bucket": bucket, "Key": unique}
    s3.copy_object(Bucket=bucket, Key=unique + "-1", CopySource=source)
    assert tags_of(s3, bucket, unique + "-1") == {"a": "1"}
    s3.copy_object(Bucket=bucket, Key=unique + "-2", CopySource=source, TaggingDirective="REPLACE", Tagging="b=2")
    assert tags_of(s3, bucket, unique + "-2") == {"b": "2"}
    s3.copy_object(Bucket=bucket, Key=unique + "-3", CopySource=source, Tagging="b=2")
    assert tags_of(s3, bucket, unique + "-3") == {"a": "1"}, "COPY is what is not said otherwise"


@pytest.mark.parametrize("tags", [
    {str(i): "v" for i in range(11)}, {"k" * 129: "v"}, {"k": "v" * 257}, {"aws:mine": "v"}, {"k?": "v"}, {"k": "a;b"}])
def test_limits(s3, bucket, unique, tags):
    s3.put_object(Bucket=bucket, Key=unique, Body=b"x")
    with pytest.raises(ClientError) as failure:
        s3.put_object_tagging(Bucket=bucket, Key=unique, Tagging=as_set(**tags))
    assert code_of(failure) == "InvalidTag"
    with pytest.raises(ClientError) as failure:
        s3.put_object(Bucket=bucket, Key=unique + "-2", Body=b"x", Tagging="a=1&a=2")
    assert code_of(failure) == "InvalidTag"
    with pytest.raises(ClientError) as failure:
        s3.get_object_tagging(Bucket=bucket, Key=unique + "-2")
    assert code_of(failure) == "NoSuchKey"


def test_every_version_has_its_own_tags(s3, unique):
    name = unique + "-bucket"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    one = s3.put_object(Bucket=name, Key="k", Body=b"1", Tagging="v=1")["VersionId"]
    two = s3.put_object(Bucket=name, Key="k", Body=b"2", Tagging="v=2")["VersionId"]
    changed = s3.put_object_tagging(Bucket=name, Key="k", VersionId=one, Tagging=as_set(v="changed"))
    assert changed["VersionId"] == one
    assert tags_of(s3, name, "k", VersionId=one) == {"v": "changed"}
    assert tags_of(s3, name, "k") == {"v": "2"}
    assert s3.delete_object_tagging(Bucket=name, Key="k", VersionId=two)["VersionId"] == two
    assert tags_of(s3, name, "k") == {}


def test_buckets_have_tags(s3, unique):
    name = unique + "-bucket"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    with pytest.raises(ClientError) as failure:
        s3.get_bucket_tagging(Bucket=name)
    assert code_of(failure) == "NoSuchTagSet"
    many = {f"key-{i}": "v" for i in range(50)}
    s3.put_bucket_tagging(Bucket=name, Tagging=as_set(**many))
    assert {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=name)["TagSet"]} == many
    with pytest.raises(ClientError) as failure:
        s3.put_bucket_tagging(Bucket=name, Tagging=as_set(**many, more="v"))
    assert code_of(failure) == "InvalidTag"
    s3.delete_bucket_tagging(Bucket=name)
    with pytest.raises(ClientError) as failure:
        s3.get_bucket_tagging(Bucket=name)
    assert code_of(failure) == "NoSuchTagSet"
