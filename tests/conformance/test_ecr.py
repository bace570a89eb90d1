"""Amazon ECR through boto3: repositories, images, layers, policies, tags, lifecycle and the token of docker login."""
import base64
import datetime
import json
import time
import urllib.error
import urllib.request
import uuid

import pytest
from botocore.exceptions import ClientError
from registry_images import INDEX, MANIFEST, digest_of, manifest_of, push_image, push_layer
from server import Server


@pytest.fixture(scope="module")
def ecr(server):
    return server.client("ecr")


@pytest.fixture
def repository(ecr):
    name = f"team/image-{uuid.uuid4().hex[:8]}"
    ecr.create_repository(repositoryName=name)
    return name


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def test_a_repository_is_made_described_and_deleted(server, ecr, unique):
    name = f"{unique}/a.b_c"
    made = ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE", tags=[{"Key": "team", "Value": "vision"}])
    repository = made["repository"]
    assert repository["repositoryArn"] == f"arn:aws:ecr:us-west-2:{server.account}:repository/{name}"
    assert repository["repositoryUri"] == f"{server.account}.dkr.ecr.us-west-2.amazonaws.com/{name}"
    assert repository["registryId"] == server.account and repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert abs(repository["createdAt"].timestamp() - time.time()) < 60
    assert ecr.describe_repositories(repositoryNames=[name])["repositories"] == [repository]
    assert refusal(ecr.create_repository, repositoryName=name) == "RepositoryAlreadyExistsException"
    assert ecr.delete_repository(repositoryName=name)["repository"] == repository
    assert refusal(ecr.describe_repositories, repositoryNames=[name]) == "RepositoryNotFoundException"
    assert refusal(ecr.delete_repository, repositoryName=name) == "RepositoryNotFoundException"


def test_repositories_come_in_pages_and_by_region(server, ecr, unique):
    names = [f"{unique}-{i}" for i in range(5)]
    for name in names:
        ecr.create_repository(repositoryName=name)
    pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2}))
    assert all(len(page["repositories"]) <= 2 for page in pages)
    assert set(names) <= {repository["repositoryName"] for page in pages for repository in page["repositories"]}
    elsewhere = server.boto_session(region_name="eu-central-1").client("ecr", endpoint_url=server.url)
    there = {repository["repositoryName"] for repository in elsewhere.describe_repositories(maxResults=1000)["repositories"]}
    assert there.isdisjoint(names)
    assert refusal(ecr.describe_repositories, nextToken="made-up") == "InvalidParameterException"


@pytest.mark.parametrize("name", ["AB", "aB", "-a", "a-", "a//b", "a..b", "a/", "/a", "ä/b", "a b", "a:b"])
def test_names_that_are_no_repositories(ecr, name):
    assert refusal(ecr.create_repository, repositoryName=name) == "InvalidParameterException"


def test_the_longest_name_is_taken(ecr):
    name = "a" * 256
    ecr.create_repository(repositoryName=name)
    ecr.delete_repository(repositoryName=name)


@pytest.mark.parametrize("more", [
    {"imageScanningConfiguration": {"scanOnPush": True}},
    {"encryptionConfiguration": {"encryptionType": "KMS"}},
    {"imageTagMutability": "MUTABLE_WITH_EXCLUSION"},
    {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
     "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev*"}]},
])
def test_what_is_not_done_is_refused(ecr, unique, more):
    with pytest.raises(ClientError, match="Millwright does not support"):
        ecr.create_repository(repositoryName=unique, **more)


def test_an_image_is_pushed_and_fetched_by_the_api_alone(ecr, repository):
    manifest = push_image(ecr, repository, "one", "v1")
    digest = digest_of(manifest.encode())
    found = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}, {"imageDigest": digest}])
    assert found["failures"] == []
    assert [image["imageManifest"] for image in found["images"]] == [manifest, manifest]
    assert found["images"][0]["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    assert found["images"][1]["imageId"] == {"imageDigest": digest}
    assert found["images"][0]["imageManifestMediaType"] == MANIFEST
    for layer in json.loads(manifest)["layers"]:
        url = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=layer["digest"])["downloadUrl"]
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert digest_of(answer.read()) == layer["digest"]


def test_addresses_of_layers_are_sealed(ecr, repository):
    manifest = json.loads(push_image(ecr, repository, "sealed"))
    url = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=manifest["layers"][0]["digest"])["downloadUrl"]
    for changed in (url[:-1] + ("A" if url[-1] != "A" else "B"), url.rsplit("/", 1)[0] + "/", url + "x"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(changed, timeout=20)
        assert refused.value.code in (403, 401)
    ecr.delete_repository(repositoryName=repository, force=True)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=20)
    assert refused.value.code == 404


def test_images_that_are_not_there_are_failures_one_by_one(ecr, repository):
    digest = digest_of(push_image(ecr, repository, "there", "v1").encode())
    other = digest_of(push_image(ecr, repository, "other").encode())
    ids = [{"imageTag": "v1"}, {"imageTag": "v2"}, {"imageDigest": "sha256:" + "0" * 64}, {}, {"imageDigest": "nonsense"},
           {"imageTag": "v1", "imageDigest": other}, {"imageTag": "no tag"}]
    got = ecr.batch_get_image(repositoryName=repository, imageIds=ids)
    assert [image["imageId"]["imageDigest"] for image in got["images"]] == [digest]
    codes = ["ImageNotFound", "ImageNotFound", "MissingDigestAndTag", "InvalidImageDigest", "ImageTagDoesNotMatchDigest",
             "InvalidImageTag"]
    assert [failure["failureCode"] for failure in got["failures"]] == codes
    unwanted = ecr.batch_get_image(repositoryName=repository, imageIds=ids[:1], acceptedMediaTypes=["text/plain"])
    assert unwanted["images"] == [] and unwanted["failures"][0]["failureCode"] == "ImageNotFound"
    assert refusal(ecr.batch_get_image, repositoryName="nothing/here", imageIds=ids[:1]) == "RepositoryNotFoundException"
    gone = ecr.batch_delete_image(repositoryName=repository, imageIds=ids[1:] + ids[:1])
    assert [failure["failureCode"] for failure in gone["failures"]] == codes
    assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]


def test_images_are_described_with_tags_sizes_and_pulls(ecr, repository):
    manifest = push_image(ecr, repository, "tagged", "b")
    ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag="a")
    loose = digest_of(push_image(ecr, repository, "loose").encode())
    tagged = digest_of(manifest.encode())
    size = json.loads(manifest)["layers"][0]["size"]
    details = {image["imageDigest"]: image for image in ecr.describe_images(repositoryName=repository)["imageDetails"]}
    assert set(details) == {tagged, loose}
    assert details[tagged]["imageTags"] == ["a", "b"] and "imageTags" not in details[loose]
    assert details[tagged]["imageSizeInBytes"] == size and details[tagged]["imageManifestMediaType"] == MANIFEST
    assert "lastRecordedPullTime" not in details[tagged]
    ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "a"}])
    one = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "a"}])["imageDetails"][0]
    assert abs(one["lastRecordedPullTime"].timestamp() - time.time()) < 60
    only = ecr.describe_images(repositoryName=repository, filter={"tagStatus": "UNTAGGED"})["imageDetails"]
    assert [image["imageDigest"] for image in only] == [loose]
    assert refusal(ecr.describe_images, repositoryName=repository, imageIds=[{"imageTag": "c"}]) == "ImageNotFoundException"


def test_lists_of_images_come_in_pages_of_any_size(ecr, repository):
    wanted = set()
    for number in range(4):
        manifest = push_image(ecr, repository, str(number))
        digest = digest_of(manifest.encode())
        tags = [f"t{number}-{i}" for i in range(number)]
        for tag in tags:
            ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag=tag)
        wanted |= {(digest, tag) for tag in tags} or {(digest, None)}
    for size in (1, 2, 3, 4, 100):
        ids = [image for page in ecr.get_paginator("list_images").paginate(repositoryName=repository, PaginationConfig={
            "PageSize": size}) for image in page["imageIds"]]
        assert len(ids) == len(wanted) and {(i["imageDigest"], i.get("imageTag")) for i in ids} == wanted
        details = [image for page in ecr.get_paginator("describe_images").paginate(repositoryName=repository, PaginationConfig={
            "PageSize": size}) for image in page["imageDetails"]]
        assert len(details) == 4
    assert {i.get("imageTag") for i in ecr.list_images(repositoryName=repository, filter={"tagStatus": "UNTAGGED"})["imageIds"]} == {None}


def test_the_last_tag_takes_its_image_along(ecr, repository):
    manifest = push_image(ecr, repository, "x", "v1")
    ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag="v2")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    assert ecr.describe_images(repositoryName=repository)["imageDetails"][0]["imageTags"] == ["v2"]
    assert refusal(ecr.delete_repository, repositoryName=repository) == "RepositoryNotEmptyException"
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v2"}])
    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    manifest = push_image(ecr, repository, "y", "v1")
    ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag="v2")
    gone = ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": digest_of(manifest.encode())}])
    assert [image["imageTag"] for image in gone["imageIds"]] == ["v1", "v2"]


def test_an_index_keeps_its_images(ecr, repository):
    manifest = push_image(ecr, repository, "child")
    child = {"mediaType": MANIFEST, "digest": digest_of(manifest.encode()), "size": len(manifest),
             "platform": {"architecture": "amd64", "os": "linux"}}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]})
    ecr.put_image(repositoryName=repository, imageManifest=index, imageManifestMediaType=INDEX, imageTag="all")
    detail = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "all"}])["imageDetails"][0]
    assert detail["imageSizeInBytes"] == json.loads(manifest)["layers"][0]["size"]
    failed = ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": child["digest"]}])["failures"]
    assert [failure["failureCode"] for failure in failed] == ["ImageReferencedByManifestList"]
    missing = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**child, "digest": "sha256:" + "1" * 64}]})
    assert refusal(ecr.put_image, repositoryName=repository, imageManifest=missing) == "ReferencedImagesNotFoundException"


def test_images_that_cannot_be_put(ecr, repository):
    manifest = push_image(ecr, repository, "same", "v1")
    put = {"repositoryName": repository, "imageManifest": manifest}
    assert refusal(ecr.put_image, **put) == "ImageAlreadyExistsException"
    assert refusal(ecr.put_image, **put, imageTag="v1") == "ImageAlreadyExistsException"
    assert refusal(ecr.put_image, **put, imageTag="v2", imageDigest="sha256:" + "2" * 64) == "ImageDigestDoesNotMatchException"
    assert refusal(ecr.put_image, **put, imageTag="-v2") == "InvalidParameterException"
    assert refusal(ecr.put_image, repositoryName=repository, imageManifest="{") == "InvalidParameterException"
    absent = manifest_of([b"never pushed"], b"{}")
    assert refusal(ecr.put_image, repositoryName=repository, imageManifest=absent) == "LayersNotFoundException"
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    other = push_image(ecr, repository, "another")
    assert refusal(ecr.put_image, repositoryName=repository, imageManifest=other, imageTag="v1") == "ImageTagAlreadyExistsException"
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="MUTABLE")
    ecr.put_image(repositoryName=repository, imageManifest=other, imageTag="v1")


def test_layers_travel_in_parts(ecr, repository):
    body = bytes(range(256)) * 90_000  # 22 MiB: three parts of the size that the server asks for
    assert push_layer(ecr, repository, body) == digest_of(body)
    checked = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[
        digest_of(body), "sha256:" + "3" * 64, "nonsense", ""])
    assert [(layer["layerAvailability"], layer.get("layerSize")) for layer in checked["layers"]] == [
        ("AVAILABLE", len(body)), ("UNAVAILABLE", None)]
    assert [failure["failureCode"] for failure in checked["failures"]] == ["InvalidLayerDigest", "MissingLayerDigest"]
    assert refusal(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest="sha256:" + "3" * 64) == "LayersNotFoundException"


def test_uploads_that_go_wrong(ecr, repository):
    upload = {"repositoryName": repository, "uploadId": ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]}
    assert str(uuid.UUID(upload["uploadId"])) == upload["uploadId"]
    whole = {**upload, "layerDigests": [digest_of(b"0123456789")]}
    assert refusal(ecr.complete_layer_upload, **whole) == "EmptyUploadException"
    ecr.upload_layer_part(**upload, partFirstByte=0, partLastByte=4, layerPartBlob=b"01234")
    with pytest.raises(ClientError) as caught:
        ecr.upload_layer_part(**upload, partFirstByte=6, partLastByte=9, layerPartBlob=b"6789")
    assert caught.value.response["Error"]["Code"] == "InvalidLayerPartException"
    assert caught.value.response["lastValidByteReceived"] == 4
    assert refusal(ecr.upload_layer_part, **upload, partFirstByte=5, partLastByte=5, layerPartBlob=b"56789") == "InvalidLayerPartException"
    ecr.upload_layer_part(**upload, partFirstByte=5, partLastByte=9, layerPartBlob=b"56789")
    ecr.complete_layer_upload(**whole)
    assert refusal(ecr.complete_layer_upload, **whole) == "UploadNotFoundException"
    for digest, code in ((digest_of(b"others"), "InvalidLayerException"), (digest_of(b"0123456789"), "LayerAlreadyExistsException")):
        again = {"repositoryName": repository, "uploadId": ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]}
        ecr.upload_layer_part(**again, partFirstByte=0, partLastByte=9, layerPartBlob=b"0123456789")
        assert refusal(ecr.complete_layer_upload, **again, layerDigests=[digest]) == code
        assert refusal(ecr.complete_layer_upload, **again, layerDigests=[digest]) == "UploadNotFoundException", "nothing is left of it"
    none = {"repositoryName": repository, "uploadId": str(uuid.uuid4())}
    assert refusal(ecr.upload_layer_part, **none, partFirstByte=0, partLastByte=0, layerPartBlob=b"0") == "UploadNotFoundException"


def test_what_refers_to_an_image_is_listed(ecr, repository):
    manifest = push_image(ecr, repository, "subject")
    empty = b"{}"
    push_layer(ecr, repository, empty)
    digests = {}
    for kind in ("application/vnd.test.sbom", "application/vnd.test.signature"):
        about = json.loads(manifest_of([], empty))
        about |= {"artifactType": kind, "annotations": {"kind": kind},
                  "subject": {"mediaType": MANIFEST, "digest": digest_of(manifest.encode()), "size": len(manifest)}}
        text = json.dumps(about)
        ecr.put_image(repositoryName=repository, imageManifest=text)
        digests[kind] = digest_of(text.encode())
    ask = {"repositoryName": repository, "subjectId": {"imageDigest": digest_of(manifest.encode())}}
    found = ecr.list_image_referrers(**ask)["referrers"]
    assert {referrer["artifactType"]: referrer["digest"] for referrer in found} == digests
    assert all(referrer["annotations"]["kind"] == referrer["artifactType"] for referrer in found)
    some = ecr.list_image_referrers(**ask, filter={"artifactTypes": ["application/vnd.test.sbom"]})["referrers"]
    assert [referrer["digest"] for referrer in some] == [digests["application/vnd.test.sbom"]]
    first = ecr.list_image_referrers(**ask, maxResults=1)
    second = ecr.list_image_referrers(**ask, maxResults=1, nextToken=first["nextToken"])
    assert {r["digest"] for page in (first, second) for r in page["referrers"]} == set(digests.values())
    assert "nextToken" not in second


def test_tags_of_repositories(server, ecr, unique):
    arn = ecr.create_repository(repositoryName=unique, tags=[{"Key": "a", "Value": "1"}])["repository"]["repositoryArn"]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}])
    tags = ecr.list_tags_for_resource(resourceArn=arn)["tags"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("a", "2"), ("b", "")]
    ecr.untag_resource(resourceArn=arn, tagKeys=["a", "unknown"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "b", "Value": ""}]
    assert refusal(ecr.tag_resource, resourceArn=arn, tags=[{"Key": "aws:x", "Value": ""}]) == "InvalidTagParameterException"
    assert refusal(ecr.tag_resource, resourceArn=arn, tags=[{"Key": "k" * 129, "Value": ""}]) == "InvalidTagParameterException"
    many = [{"Key": f"k{i}", "Value": ""} for i in range(50)]
    assert refusal(ecr.tag_resource, resourceArn=arn, tags=many) == "TooManyTagsException"
    assert refusal(ecr.list_tags_for_resource, resourceArn=arn + "x") == "RepositoryNotFoundException"
    assert refusal(ecr.list_tags_for_resource, resourceArn="arn:aws:s3:::bucket") == "InvalidParameterException"


def lifecycle(*rules):
    return json.dumps({"rules": [{"rulePriority": i + 1, "description": "d" * 50, "selection": rule, "action": {"type": "expire"}}
                                 for i, rule in enumerate(rules)]})


NEWEST_TWO = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2}


def test_a_lifecycle_policy_is_kept_previewed_and_removed(ecr, repository):
    ask = {"repositoryName": repository}
    assert refusal(ecr.get_lifecycle_policy, **ask) == "LifecyclePolicyNotFoundException"
    text = lifecycle(NEWEST_TWO)
    assert ecr.put_lifecycle_policy(**ask, lifecyclePolicyText=text)["lifecyclePolicyText"] == text
    assert ecr.get_lifecycle_policy(**ask)["lifecyclePolicyText"] == text
    assert refusal(ecr.get_lifecycle_policy_preview, **ask) == "LifecyclePolicyPreviewNotFoundException"
    digests = [digest_of(push_image(ecr, repository, str(number), f"v{number}").encode()) for number in range(4)]
    ecr.start_lifecycle_policy_preview(**ask)
    ecr.get_waiter("lifecycle_policy_preview_complete").wait(**ask, WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    preview = ecr.get_lifecycle_policy_preview(**ask)
    assert {found["imageDigest"] for found in preview["previewResults"]} == set(digests[:2])
    assert preview["summary"] == {"expiringImageTotalCount": 2}
    assert preview["previewResults"][0]["action"] == {"type": "EXPIRE"}
    pages = ecr.get_paginator("get_lifecycle_policy_preview").paginate(**ask, PaginationConfig={"PageSize": 1})
    assert {found["imageDigest"] for page in pages for found in page["previewResults"]} == set(digests[:2])
    some = ecr.get_lifecycle_policy_preview(**ask, imageIds=[{"imageTag": "v1"}])["previewResults"]
    assert [found["imageTags"] for found in some] == [["v1"]]
    assert ecr.delete_lifecycle_policy(**ask)["lifecyclePolicyText"] == text
    assert refusal(ecr.delete_lifecycle_policy, **ask) == "LifecyclePolicyNotFoundException"
    with pytest.raises(ClientError, match="Lifecycle policy validation failure: rulePriority must be unique"):
        same = json.loads(lifecycle(NEWEST_TWO, NEWEST_TWO))
        same["rules"][1]["rulePriority"] = 1
        ecr.put_lifecycle_policy(**ask, lifecyclePolicyText=json.dumps(same))


def test_the_worker_removes_what_a_policy_ends(tmp_path):
    server = Server(tmp_path / "data", config="[s3]\nlifecycle_day_seconds = 1\n").start()
    try:
        ecr = server.client("ecr")
        ecr.create_repository(repositoryName="short/lived")
        push_image(ecr, "short/lived", "old", "v1")
        kept = push_image(ecr, "short/lived", "kept", "keep-me")
        untouched = push_image(ecr, "short/lived", "last", "last")
        ecr.put_lifecycle_policy(repositoryName="short/lived", lifecyclePolicyText=lifecycle(
            {"tagStatus": "tagged", "tagPrefixList": ["keep"], "countType": "imageCountMoreThan", "countNumber": 5},
            {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 2}))
        deadline = time.monotonic() + 90
        while len(left := ecr.list_images(repositoryName="short/lived")["imageIds"]) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == [{"imageDigest": digest_of(kept.encode()), "imageTag": "keep-me"}]
        assert digest_of(untouched.encode()) != left[0]["imageDigest"]
        while "lastEvaluatedAt" not in (policy := ecr.get_lifecycle_policy(repositoryName="short/lived")):
            assert time.monotonic() < deadline  # it is noted after the round
            time.sleep(0.1)
        evaluated = policy["lastEvaluatedAt"]
        assert abs((datetime.datetime.now(datetime.timezone.utc) - evaluated).total_seconds()) < 30
    finally:
        server.end_everything()


def test_a_policy_of_the_repository_lets_another_account_in(tmp_path):
    import subprocess

    from server import BIN
    server = Server(tmp_path / "data").start()
    try:
        ecr = server.client("ecr")
        ecr.create_repository(repositoryName="shared")
        push_image(ecr, "shared", "x", "v1")
        made = json.loads(subprocess.run([BIN / "millwright", "accounts", "--json", "create", "other", "--data-dir", server.folder],
                                         check=True, capture_output=True, text=True).stdout)
        other = server.boto_session(aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"]).client(
            "ecr", endpoint_url=server.url)
        ask = {"registryId": server.account, "repositoryName": "shared"}
        assert refusal(other.batch_get_image, **ask, imageIds=[{"imageTag": "v1"}]) == "AccessDeniedException"
        assert refusal(ecr.get_repository_policy, repositoryName="shared") == "RepositoryPolicyNotFoundException"
        text = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Sid": "pull", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{made['AccountId']}:root"},
             "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}]})
        ecr.set_repository_policy(repositoryName="shared", policyText=text)
        assert ecr.get_repository_policy(repositoryName="shared")["policyText"] == text
        assert len(other.batch_get_image(**ask, imageIds=[{"imageTag": "v1"}])["images"]) == 1
        assert refusal(other.batch_delete_image, **ask, imageIds=[{"imageTag": "v1"}]) == "AccessDeniedException"
        # Nobody locks himself out by mistake.
        locked = json.dumps({"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "ecr:SetRepositoryPolicy"}]})
        assert refusal(ecr.set_repository_policy, repositoryName="shared", policyText=locked) == "InvalidParameterException"
        with_resource = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:*", "Resource": "*"}]})
        assert refusal(ecr.set_repository_policy, repositoryName="shared", policyText=with_resource) == "InvalidParameterException"
        ecr.delete_repository_policy(repositoryName="shared")
        assert refusal(other.batch_get_image, **ask, imageIds=[{"imageTag": "v1"}]) == "AccessDeniedException"
        ecr.set_repository_policy(repositoryName="shared", policyText=locked, force=True)
        assert refusal(ecr.set_repository_policy, repositoryName="shared", policyText=text) == "AccessDeniedException"
    finally:
        server.end_everything()


def test_tags_decide_where_a_policy_asks_for_them(server, ecr, unique):
    iam = server.client("iam")
    iam.create_user(UserName=unique)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    iam.put_user_policy(UserName=unique, PolicyName="vision", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ecr:DescribeImages", "Resource": "*",
         "Condition": {"StringEquals": {"aws:ResourceTag/team": "vision"}}},
        {"Effect": "Allow", "Action": "ecr:CreateRepository", "Resource": "*",
         "Condition": {"StringEquals": {"aws:RequestTag/team": "vision"}}}]}))
    user = server.boto_session(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]).client(
        "ecr", endpoint_url=server.url)
    assert refusal(user.create_repository, repositoryName=unique) == "AccessDeniedException"
    user.create_repository(repositoryName=unique, tags=[{"Key": "team", "Value": "vision"}])
    assert user.describe_images(repositoryName=unique)["imageDetails"] == []
    ecr.create_repository(repositoryName=unique + "-b", tags=[{"Key": "team", "Value": "speech"}])
    assert refusal(user.describe_images, repositoryName=unique + "-b") == "AccessDeniedException"


def token_of(ecr):
    data = ecr.get_authorization_token()["authorizationData"][0]
    return data, base64.b64decode(data["authorizationToken"]).decode()


def status_with(server, login):
    header = "Basic " + base64.b64encode(login.encode()).decode()
    request = urllib.request.Request(server.url + "/v2/", headers={"Authorization": header})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def test_a_token_lives_for_twelve_hours_over_a_restart_and_dies_with_its_key(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        iam = server.client("iam")
        iam.create_user(UserName="ada")
        key = iam.create_access_key(UserName="ada")["AccessKey"]
        ecr = server.boto_session(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]).client(
            "ecr", endpoint_url=server.url)
        assert refusal(ecr.get_authorization_token) == "AccessDeniedException"
        iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser")
        data, login = token_of(ecr)
        assert login.startswith("AWS:") and key["SecretAccessKey"] not in login
        assert data["proxyEndpoint"] == f"https://{server.account}.dkr.ecr.us-west-2.amazonaws.com"
        assert abs((data["expiresAt"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds() - 12 * 3600) < 60
        assert status_with(server, login) == 200
        assert status_with(server, f"{key['AccessKeyId']}:{key['SecretAccessKey']}") == 200
        for wrong in (login + "x", login[:-1], "AWS:", "AWS:AAAA", f"{key['AccessKeyId']}:wrong", ":", "ada:ada"):
            assert status_with(server, wrong) == 401, wrong
        server.stop()
        server.port = 0
        server.start()
        assert status_with(server, login) == 200
        server.client("iam").delete_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"])
        assert status_with(server, login) == 401
    finally:
        server.end_everything()


def test_what_was_done_stands_in_the_audit_log(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        ecr = server.client("ecr")
        ecr.create_repository(repositoryName="audited")
        push_image(ecr, "audited", "x", "v1")
        refusal(ecr.describe_images, repositoryName="missing")
        arn = f"arn:aws:ecr:us-west-2:{server.account}:repository/audited"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            lines = server.audit_lines()
            if any("DescribeImages" in json.dumps(line) for line in lines):
                break
            time.sleep(0.05)
        texts = [json.dumps(line) for line in lines]
        for operation in ("CreateRepository", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage"):
            assert any(f"ecr:{operation}" in text and arn in text and "allow" in text for text in texts), operation
        assert any("RepositoryNotFoundException" in text for text in texts)
    finally:
        server.end_everything()
