"""STS and IAM as SageMaker code uses them, job credentials, and Describes that are held for whoever waits."""
import json
import time

import boto3
import pytest
from botocore.exceptions import ClientError


def refused(call, *arguments, **keywords):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **keywords)
    return caught.value.response["Error"]["Code"]


def test_who_am_i_is_an_assumed_role(server):
    who = server.client("sts").get_caller_identity()
    assert who["Account"] == server.account and ":assumed-role/" in who["Arn"]


def test_roles_live_through_iam(server, unique):
    iam = server.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    created = iam.create_role(RoleName=unique, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    assert created["Arn"] == f"arn:aws:iam::{server.account}:role/{unique}"
    assert iam.get_role(RoleName=unique)["Role"]["AssumeRolePolicyDocument"] == trust
    assert refused(iam.create_role, RoleName=unique, AssumeRolePolicyDocument=json.dumps(trust)) == "EntityAlreadyExists"
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=unique, PolicyName="inline", PolicyDocument=json.dumps(policy))
    iam.attach_role_policy(RoleName=unique, PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    assert iam.list_role_policies(RoleName=unique)["PolicyNames"] == ["inline"]
    assert len(iam.list_attached_role_policies(RoleName=unique)["AttachedPolicies"]) == 1
    assert refused(iam.delete_role, RoleName=unique) == "DeleteConflict"
    iam.delete_role_policy(RoleName=unique, PolicyName="inline")
    iam.detach_role_policy(RoleName=unique, PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    assert unique in [r["RoleName"] for page in iam.get_paginator("list_roles").paginate() for r in page["Roles"]]
    iam.delete_role(RoleName=unique)
    assert unique not in [r["RoleName"] for page in iam.get_paginator("list_roles").paginate() for r in page["Roles"]]


def test_users_have_keys_that_work_until_they_are_deleted(server, unique):
    iam = server.client("iam")
    iam.create_user(UserName=unique)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-west-2")
    assert session.client("sts", endpoint_url=server.url).get_caller_identity()["Arn"].endswith(f":user/{unique}")
    iam.delete_access_key(UserName=unique, AccessKeyId=key["AccessKeyId"])
    assert refused(session.client("sts", endpoint_url=server.url).get_caller_identity) == "InvalidClientTokenId"
    iam.delete_user(UserName=unique)


def test_assumed_roles_get_keys_that_need_their_token(server):
    role = f"arn:aws:iam::{server.account}:role/SageMakerRole"
    keys = server.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]

    def client(token):
        return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], token, region_name="us-west-2").client(
            "sts", endpoint_url=server.url)

    assert client(keys["SessionToken"]).get_caller_identity()["Arn"].endswith(":assumed-role/SageMakerRole/me")
    refused(client("wrong").get_caller_identity)
    refused(client(None).get_caller_identity)


def test_a_waiter_returns_when_the_job_is_done_not_at_its_next_poll(sm, training_request, unique):
    sm.create_training_job(**training_request({"num_round": "1000000", "objective": "binary:logistic"}, StoppingCondition={
        "MaxRuntimeInSeconds": 3}))
    start = time.monotonic()
    sm.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=unique)  # botocore polls every 120 s
    assert time.monotonic() - start < 60


def test_a_plain_describe_is_not_held(sm, training_request, unique):
    sm.create_training_job(**training_request({"num_round": "1000000", "objective": "binary:logistic"}))
    start = time.monotonic()
    assert sm.describe_training_job(TrainingJobName=unique)["TrainingJobStatus"] == "InProgress"
    assert time.monotonic() - start < 10  # one that polls would be held for 20 s
    sm.stop_training_job(TrainingJobName=unique)


def test_jobs_that_do_not_fit_wait_and_say_why(sm, training_request, finish, unique):
    long = training_request({"num_round": "1000000", "objective": "binary:logistic"}, TrainingJobName=unique + "-long")
    long["ResourceConfig"]["InstanceType"] = "ml.m5.24xlarge"  # shrunk to the whole machine
    sm.create_training_job(**long)
    deadline = time.monotonic() + 90
    while sm.describe_training_job(TrainingJobName=unique + "-long")["SecondaryStatus"] != "Training":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    sm.create_training_job(**training_request())
    waiting = {}
    while "ait" not in str(waiting.get("SecondaryStatusTransitions", [{}])[-1].get("StatusMessage")):  # told a moment later
        assert time.monotonic() < deadline, waiting["SecondaryStatusTransitions"]
        time.sleep(0.05)
        waiting = sm.describe_training_job(TrainingJobName=unique)
        assert waiting["SecondaryStatus"] in ("Starting", "Pending")
    sm.stop_training_job(TrainingJobName=unique + "-long")
    assert finish(unique)["TrainingJobStatus"] == "Completed"
