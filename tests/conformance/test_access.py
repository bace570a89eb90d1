"""IAM as users of SageMaker meet it: permissions of users and roles, PassRole, sessions, bucket policies, accounts, and
the audit log."""
import json
import subprocess
import time
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.exceptions import ClientError
from server import BIN

TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources="*", **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def error_of(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


class Person:
    def __init__(self, server, key, secret, token=None):
        self.server, self.session = server, boto3.Session(key, secret, token, region_name="us-west-2")

    def client(self, service):
        return self.session.client(service, endpoint_url=self.server.url)


@pytest.fixture
def iam(server):
    return server.client("iam")


@pytest.fixture
def user(server, iam, unique):
    """A function that makes a user with these statements."""
    made = []

    def make(*statements, suffix=""):
        name = unique + suffix
        iam.create_user(UserName=name)
        made.append(name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        person = Person(server, key["AccessKeyId"], key["SecretAccessKey"])
        person.name, person.arn = name, f"arn:aws:iam::{server.account}:user/{name}"
        return person

    return make


def test_refusals_are_in_the_words_of_aws(server, user, bucket, unique):
    nobody = user()
    code, text = error_of(nobody.client("sagemaker").create_model, ModelName=unique)
    assert code == "AccessDeniedException"
    arn = f"arn:aws:sagemaker:us-west-2:{server.account}:model/{unique}"
    assert text == (f"User: {nobody.arn} is not authorized to perform: sagemaker:CreateModel on resource: {arn} because "
                    "no identity-based policy allows the sagemaker:CreateModel action")
    code, text = error_of(nobody.client("iam").get_role, RoleName="SageMakerRole")
    assert code == "AccessDenied" and f"iam:GetRole on resource: arn:aws:iam::{server.account}:role/SageMakerRole" in text
    code, text = error_of(nobody.client("s3").get_object, Bucket=bucket, Key="k")
    assert code == "AccessDenied" and f'"arn:aws:s3:::{bucket}/k"' in text
    denied = user(allow("*"), {"Effect": "Deny", "Action": "sagemaker:List*", "Resource": "*"}, suffix="-d")
    code, text = error_of(denied.client("sagemaker").list_models)
    assert text.endswith("with an explicit deny in an identity-based policy")
    assert denied.client("sagemaker").list_tags is not None and denied.client("logs").describe_log_groups()


def test_missing_keys_are_hidden_from_who_may_not_list(user, bucket):
    blind = user(allow("s3:GetObject"))
    assert error_of(blind.client("s3").get_object, Bucket=bucket, Key="no-such-key")[0] == "AccessDenied"
    sees = user(allow(["s3:GetObject", "s3:ListBucket"]), suffix="-2")
    assert error_of(sees.client("s3").get_object, Bucket=bucket, Key="no-such-key")[0] == "NoSuchKey"


def test_prefixes_and_variables_limit_what_is_listed(user, s3, bucket, unique):
    person = user(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}",
                        Condition={"StringLike": {"s3:prefix": "home/${aws:username}/*"}}),
                  allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{bucket}/home/${{aws:username}}/*"))
    client = person.client("s3")
    client.put_object(Bucket=bucket, Key=f"home/{person.name}/a", Body=b"x")
    assert client.list_objects_v2(Bucket=bucket, Prefix=f"home/{person.name}/")["KeyCount"] == 1
    assert error_of(client.list_objects_v2, Bucket=bucket)[0] == "AccessDenied"
    assert error_of(client.put_object, Bucket=bucket, Key="home/other/a", Body=b"x")[0] == "AccessDenied"
    s3.put_object(Bucket=bucket, Key="home/other/b", Body=b"x")
    source = {"Bucket": bucket, "Key": "home/other/b"}
    assert error_of(client.copy_object, Bucket=bucket, Key=f"home/{person.name}/b", CopySource=source)[0] == "AccessDenied"


def test_jobs_need_pass_role_and_a_role_that_trusts_sagemaker(server, iam, user, training_request, unique):
    role = f"arn:aws:iam::{server.account}:role/SageMakerRole"
    person = user(allow("sagemaker:*"))
    code, text = error_of(person.client("sagemaker").create_training_job, **training_request())
    assert code == "AccessDeniedException" and f"iam:PassRole on resource: {role}" in text
    iam.put_user_policy(UserName=person.name, PolicyName="pass", PolicyDocument=policy(
        allow("iam:PassRole", role, Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}})))
    assert error_of(person.client("sagemaker").create_training_job, **training_request())[0] == "AccessDeniedException"
    iam.put_user_policy(UserName=person.name, PolicyName="pass", PolicyDocument=policy(
        allow("iam:PassRole", role, Condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}})))
    person.client("sagemaker").create_training_job(**training_request())
    person.client("sagemaker").stop_training_job(TrainingJobName=unique)
    trust = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=trust)
    wrong = f"arn:aws:iam::{server.account}:role/{unique}"
    sm = server.client("sagemaker")
    code, text = error_of(sm.create_training_job, **training_request(TrainingJobName=unique + "-2", RoleArn=wrong))
    assert code == "ValidationException" and text.startswith(f"Could not assume role {wrong}")
    iam.delete_role(RoleName=unique)


def test_instance_types_and_tags_are_conditions(user, server, training_request, unique):
    person = user(allow(["sagemaker:*", "iam:PassRole"]),
                  {"Effect": "Deny", "Action": "sagemaker:CreateTrainingJob", "Resource": "*",
                   "Condition": {"ForAnyValue:StringNotLike": {"sagemaker:InstanceTypes": "ml.m5.*"}}},
                  {"Effect": "Deny", "Action": "sagemaker:CreateTrainingJob", "Resource": "*",
                   "Condition": {"Null": {"aws:RequestTag/team": "true"}}},
                  {"Effect": "Deny", "Action": "sagemaker:StopTrainingJob", "Resource": "*",
                   "Condition": {"StringNotEquals": {"aws:ResourceTag/team": "red"}}})
    client = person.client("sagemaker")
    tags = [{"Key": "team", "Value": "blue"}]
    resources = {"InstanceCount": 1, "InstanceType": "ml.c5.xlarge", "VolumeSizeInGB": 5}
    assert error_of(client.create_training_job, **training_request(Tags=tags, ResourceConfig=resources))[1].endswith(
        "with an explicit deny in an identity-based policy")
    assert error_of(client.create_training_job, **training_request())[0] == "AccessDeniedException"
    endless = {"num_round": "5000000", "objective": "binary:logistic"}
    arn = client.create_training_job(**training_request(endless, Tags=tags))["TrainingJobArn"]
    assert error_of(client.stop_training_job, TrainingJobName=unique)[0] == "AccessDeniedException"
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "red"}])
    client.stop_training_job(TrainingJobName=unique)


@pytest.fixture
def role(server, iam, unique):
    """A function that makes a role for jobs with these statements."""
    def make(*statements):
        iam.create_role(RoleName=unique, AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=policy(*statements))
        return f"arn:aws:iam::{server.account}:role/{unique}"

    yield make
    try:
        iam.delete_role_policy(RoleName=unique, PolicyName="p")
        iam.delete_role(RoleName=unique)
    except ClientError:
        pass


def test_roles_limit_what_jobs_read_and_write(sm, role, iam, bucket, training_request, finish, unique):
    arn = role(allow("s3:ListBucket"))
    code, text = error_of(sm.create_training_job, **training_request(RoleArn=arn))
    assert code == "ValidationException" and '"s3:PutObject" permission' in text
    iam.put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=policy(allow("s3:PutObject")))
    code, text = error_of(sm.create_training_job, **training_request(RoleArn=arn))
    assert code == "ValidationException" and '"s3:ListBucket" permissions on bucket' in text
    iam.put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=policy(
        allow(["s3:PutObject", "s3:ListBucket"]), allow("s3:GetObject", f"arn:aws:s3:::{bucket}/other/*")))
    sm.create_training_job(**training_request(RoleArn=arn))
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Failed" and "AccessDenied (403)" in job["FailureReason"], job["FailureReason"]
    iam.put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=policy(
        allow(["s3:PutObject", "s3:ListBucket"]), allow("s3:GetObject", f"arn:aws:s3:::{bucket}/data/*")))
    sm.create_training_job(**training_request(TrainingJobName=unique + "-2", RoleArn=arn))
    job = finish(unique + "-2")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_roles_limit_which_code_a_job_runs(sm, role, iam, bucket, script_request, finish, unique):
    arn = role(allow(["s3:PutObject", "s3:ListBucket"]), allow("s3:GetObject", f"arn:aws:s3:::{bucket}/other/*"))
    request = script_request({"train.py": "print('ran')"}, RoleArn=arn)
    code, text = error_of(sm.create_training_job, **request)
    place = json.loads(request["HyperParameters"]["sagemaker_submit_directory"])
    assert code == "ValidationException" and f'"s3:GetObject" permission on the code {place}' in text
    iam.put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=policy(
        allow(["s3:PutObject", "s3:ListBucket"]), allow("s3:GetObject", place.replace("s3://", "arn:aws:s3:::"))))
    sm.create_training_job(**request)
    assert finish(unique)["TrainingJobStatus"] == "Completed"


def test_models_read_what_their_role_may_read(sm, s3, role, bucket, unique):
    s3.put_object(Bucket=bucket, Key=f"models/{unique}.tar.gz", Body=b"x")
    image = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"
    container = {"Image": image, "ModelDataUrl": f"s3://{bucket}/models/{unique}.tar.gz"}
    arn = role(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/other/*"))
    code, text = error_of(sm.create_model, ModelName=unique, ExecutionRoleArn=arn, PrimaryContainer=container)
    assert code == "ValidationException" and text.startswith(f"Could not access model data at s3://{bucket}/models/")


def test_sessions_are_narrowed_and_federated(server, bucket):
    sts = server.client("sts")
    arn = f"arn:aws:iam::{server.account}:role/SageMakerRole"
    keys = sts.assume_role(RoleArn=arn, RoleSessionName="me", Policy=policy(allow("s3:List*")))["Credentials"]
    session = Person(server, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    session.client("s3").list_objects_v2(Bucket=bucket)
    code, text = error_of(session.client("s3").put_object, Bucket=bucket, Key="k", Body=b"x")
    assert text.endswith("because no session policy allows the s3:PutObject action")
    keys = sts.get_federation_token(Name="eve", Policy=policy(allow("sagemaker:List*")))["Credentials"]
    eve = Person(server, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    assert eve.client("sagemaker").list_models()["Models"] is not None
    assert error_of(eve.client("iam").list_users)[0] == "AccessDenied"


def test_simulations_tell_what_would_happen(server, iam, user, unique):
    person = user(allow("s3:Get*", "arn:aws:s3:::red/*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    asked = dict(PolicySourceArn=person.arn, ActionNames=["s3:GetObject", "s3:PutObject"], ResourceArns=["arn:aws:s3:::red/a"])
    results = iam.simulate_principal_policy(**asked)["EvaluationResults"]
    assert [r["EvalDecision"] for r in results] == ["implicitDeny", "implicitDeny"]
    assert results[0]["MissingContextValues"] == ["aws:securetransport"]
    entries = [{"ContextKeyName": "aws:SecureTransport", "ContextKeyValues": ["true"], "ContextKeyType": "boolean"}]
    results = iam.simulate_principal_policy(**asked, ContextEntries=entries)["EvaluationResults"]
    assert [r["EvalDecision"] for r in results] == ["allowed", "implicitDeny"]
    assert results[0]["MatchedStatements"][0]["SourcePolicyId"] == "p"
    custom = iam.simulate_custom_policy(PolicyInputList=[policy({"Effect": "Deny", "Action": "*", "Resource": "*"})],
                                        ActionNames=["iam:CreateUser"])["EvaluationResults"]
    assert custom[0]["EvalDecision"] == "explicitDeny"
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=person.arn, ActionNames=["s3:GetObject"] * 7, PaginationConfig={"PageSize": 3})
    assert sum(len(page["EvaluationResults"]) for page in pages) == 7


def test_groups_managed_policies_and_boundaries(server, iam, user, unique):
    person = user()
    iam.create_group(GroupName=unique)
    arn = iam.create_policy(PolicyName=unique, PolicyDocument=policy(allow("logs:*")))["Policy"]["Arn"]
    iam.attach_group_policy(GroupName=unique, PolicyArn=arn)
    assert error_of(person.client("logs").describe_log_groups)[0] == "AccessDeniedException"
    iam.add_user_to_group(GroupName=unique, UserName=person.name)
    person.client("logs").describe_log_groups()
    assert [g["GroupName"] for g in iam.list_groups_for_user(UserName=person.name)["Groups"]] == [unique]
    assert [u["UserName"] for u in iam.get_group(GroupName=unique)["Users"]] == [person.name]
    iam.put_user_permissions_boundary(UserName=person.name,
                                      PermissionsBoundary="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    text = error_of(person.client("logs").describe_log_groups)[1]
    assert text.endswith("because no permissions boundary allows the logs:DescribeLogGroups action")
    iam.delete_user_permissions_boundary(UserName=person.name)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(allow("s3:*")), SetAsDefault=True)
    assert error_of(person.client("logs").describe_log_groups)[0] == "AccessDeniedException"
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]["Statement"][0]["Action"] == "logs:*"


def test_malformed_documents_are_refused(iam, user):
    person = user()
    for document in ("nonsense", "{}", policy(allow("s3:*", Condition={"StringEqual": {"aws:userid": "x"}}))):
        assert error_of(iam.put_user_policy, UserName=person.name, PolicyName="q", PolicyDocument=document)[0] == \
            "MalformedPolicyDocument"
    assert error_of(iam.attach_user_policy, UserName=person.name, PolicyArn="arn:aws:iam::aws:policy/Unknown")[0] == \
        "NoSuchEntity"


@pytest.fixture(scope="module")
def other(server):
    made = json.loads(subprocess.run([BIN / "millwright", "accounts", "create", "second", "--json", "--data-dir",
                                      server.folder], check=True, capture_output=True, text=True).stdout)
    person = Person(server, made["AccessKeyId"], made["SecretAccessKey"])
    person.account = made["AccountId"]
    return person


def test_accounts_are_apart_until_a_bucket_policy_joins_them(server, s3, other, unique):
    name = f"shared-{unique}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    theirs = other.client("s3")
    assert error_of(theirs.get_object, Bucket=name, Key="k") == ("AccessDenied", "Access Denied")
    s3.put_bucket_policy(Bucket=name, Policy=policy(
        {"Effect": "Allow", "Principal": {"AWS": other.account}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}))
    assert theirs.get_object(Bucket=name, Key="k")["Body"].read() == b"x"
    assert error_of(theirs.put_object, Bucket=name, Key="k", Body=b"y")[0] == "AccessDenied"
    assert other.client("sts").get_caller_identity()["Account"] == other.account
    assert other.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    arn = f"arn:aws:sagemaker:us-west-2:{server.account}:model/x"
    assert error_of(other.client("sagemaker").list_tags, ResourceArn=arn)[0] == "AccessDeniedException"
    listed = subprocess.run([BIN / "millwright", "accounts", "list", "--data-dir", server.folder], check=True,
                            capture_output=True, text=True).stdout
    assert other.account in listed and server.account in listed


def test_a_deny_in_a_bucket_policy_binds_the_owner_who_can_mend_it(server, s3, unique):
    name = f"locked-{unique}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_bucket_policy(Bucket=name, Policy=policy({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [
        f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]}))
    assert error_of(s3.put_object, Bucket=name, Key="k", Body=b"x")[1].endswith(
        "with an explicit deny in a resource-based policy")
    s3.delete_bucket_policy(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"x")


def test_nobody_reads_what_a_policy_opens_and_nothing_else(server, s3, unique):
    name = f"open-{unique}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.delete_public_access_block(Bucket=name)
    for key in ("public/a", "private/a"):
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    s3.put_bucket_policy(Bucket=name, Policy=policy(
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/public/*"}))
    assert urllib.request.urlopen(f"{server.url}/{name}/public/a", timeout=60).read() == b"x"
    for path in ("private/a", "", "public/missing"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}/{name}/{path}", timeout=60)
        assert refused.value.code == 403


def test_the_audit_log_says_who_did_what(server, user, unique):
    person = user()
    error_of(person.client("sagemaker").create_model, ModelName=unique)
    deadline, lines = time.monotonic() + 60, []
    while time.monotonic() < deadline and not lines:
        time.sleep(0.05)
        lines = [line for line in server.audit_lines() if line.get("arn") == person.arn]
    line = lines[0]
    assert (line["service"], line["operation"], line["decision"], line["status"]) == ("sagemaker", "CreateModel", "deny", 400)
    assert line["error_code"] == "AccessDeniedException" and line["resource"].endswith(f":model/{unique}")
    assert line["source_address"] == "127.0.0.1" and "Boto3" in line["user_agent"] and line["latency_us"] >= 0
    assert server.credentials["SecretAccessKey"] not in (server.folder / "logs/audit/audit.jsonl").read_text()
