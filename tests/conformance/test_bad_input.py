"""Bad input: AWS's code and text, no effect, and the next request works."""
import datetime
import socket
from urllib.parse import urlparse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.exceptions import ClientError


def refused(call, *arguments, **keywords):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **keywords)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def assert_no_job(sm, name):
    assert refused(sm.describe_training_job, TrainingJobName=name) == ("ValidationException", "Requested resource not found.")


def test_missing_bucket(sm, training_request, unique):
    code, message = refused(sm.create_training_job, **training_request(uri="s3://no-such-bucket-here/x"))
    assert code == "ValidationException" and 'No S3 objects found under S3 URL "s3://no-such-bucket-here/x"' in message
    assert_no_job(sm, unique)


def test_empty_prefix(sm, bucket, training_request, unique):
    code, message = refused(sm.create_training_job, **training_request(uri=f"s3://{bucket}/nothing/here/"))
    assert code == "ValidationException" and f'No S3 objects found under S3 URL "s3://{bucket}/nothing/here/"' in message
    assert_no_job(sm, unique)


def test_unknown_instance_type(sm, training_request, unique):
    request = training_request()
    request["ResourceConfig"]["InstanceType"] = "local"
    code, message = refused(sm.create_training_job, **request)
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value 'local' at 'resourceConfig.instanceType' failed to satisfy "
                              "constraint: Member must satisfy enum value set: [")
    assert_no_job(sm, unique)


def test_several_errors_in_one_answer(sm, training_request):
    request = training_request(TrainingJobName="bad_name!")
    request["ResourceConfig"]["InstanceType"] = "local"
    code, message = refused(sm.create_training_job, **request)
    assert code == "ValidationException" and message.startswith("2 validation errors detected: ")
    assert "Value 'bad_name!' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression pattern: " in message


def test_duplicate_name(sm, training_request, finish, unique):
    arn = sm.create_training_job(**training_request())["TrainingJobArn"]
    code, message = refused(sm.create_training_job, **training_request())
    assert code == "ResourceInUse"
    assert message == ("Training job names must be unique within an AWS account and region, and a training job with this "
                       f"name already exists ({arn})")
    assert finish(unique)["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize("hyperparameters, reason", [
    ({"num_round": "5", "nonsense": "1"}, "Extraneous hyperparameter found: nonsense"),
    ({"objective": "binary:logistic"}, "Missing required hyperparameter: num_round"),
    ({"num_round": "5", "eta": "7"}, "Hyperparameter eta: 7.0 is not in [0, 1]"),
    ({"num_round": "many"}, "Hyperparameter num_round: could not parse value"),
])
def test_bad_hyperparameter(sm, training_request, finish, unique, hyperparameters, reason):
    sm.create_training_job(**training_request(hyperparameters))
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ") and reason in job["FailureReason"], job["FailureReason"]


def test_bad_pca_hyperparameter(sm, training_request, finish, unique):
    sm.create_training_job(**training_request({"feature_dim": "5", "mini_batch_size": "10", "num_components": "2", "x": "1"},
                                              image="174872318107.dkr.ecr.us-west-2.amazonaws.com/pca:1"))
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Failed"
    assert "Additional hyperparameters are not allowed ('x' was unexpected)" in job["FailureReason"]


def test_broken_csv(sm, s3, bucket, training_request, finish, unique):
    s3.put_object(Bucket=bucket, Key=f"bad/{unique}/x.csv", Body=b"1,2,3\n0,oops,4\n")
    sm.create_training_job(**training_request(uri=f"s3://{bucket}/bad/{unique}/"))
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Failed" and job["FailureReason"].startswith("ClientError: ")
    assert "x.csv" in job["FailureReason"] and "2" in job["FailureReason"]


def test_truncated_recordio(sm, s3, bucket, training_request, finish, unique):
    import struct
    s3.put_object(Bucket=bucket, Key=f"bad/{unique}/x.pbr", Body=struct.pack("<II", 0xCED7230A, 1000) + b"short")
    sm.create_training_job(**training_request({"feature_dim": "5", "mini_batch_size": "10", "num_components": "2"},
                                              image="174872318107.dkr.ecr.us-west-2.amazonaws.com/pca:1",
                                              uri=f"s3://{bucket}/bad/{unique}/", content_type="application/x-recordio-protobuf"))
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Failed" and job["FailureReason"].startswith("ClientError: "), job["FailureReason"]


def test_forged_signature(server, sm):
    forged = server.boto_session(aws_secret_access_key="x" * 40).client("sagemaker", endpoint_url=server.url)
    code, _ = refused(forged.list_training_jobs)
    assert code == "InvalidSignatureException"
    unknown = server.boto_session(aws_access_key_id="AKIAAAAAAAAAAAAAAAAA").client("sagemaker", endpoint_url=server.url)
    assert refused(unknown.list_training_jobs)[0] == "UnrecognizedClientException"
    s3 = server.boto_session(aws_secret_access_key="x" * 40).client("s3", endpoint_url=server.url)
    assert refused(s3.list_buckets)[0] == "SignatureDoesNotMatch"
    sm.list_training_jobs()


def signed_at(server, moment, body=b"{}"):
    """A ListTrainingJobs request signed as if the clock showed `moment`."""
    known = server.credentials
    request = botocore.awsrequest.AWSRequest("POST", server.url + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "SageMaker.ListTrainingJobs"})
    signer = botocore.auth.SigV4Auth(
        botocore.credentials.Credentials(known["AccessKeyId"], known["SecretAccessKey"]), "sagemaker", known["Region"])
    original = botocore.auth.get_current_datetime if hasattr(botocore.auth, "get_current_datetime") else None
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    if original:
        botocore.auth.get_current_datetime = lambda *a, **k: moment
        try:
            signer.add_auth(request)
        finally:
            botocore.auth.get_current_datetime = original
    else:
        class Frozen(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return moment
        real, botocore.auth.datetime.datetime = botocore.auth.datetime.datetime, Frozen
        try:
            signer.add_auth(request)
        finally:
            botocore.auth.datetime.datetime = real
    assert request.headers["X-Amz-Date"] == stamp
    return request.prepare()


def send(prepared):
    import urllib.error
    import urllib.request
    request = urllib.request.Request(prepared.url, data=prepared.body, headers=dict(prepared.headers), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_expired_signature(server):
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert send(signed_at(server, now))[0] == 200
    for minutes in (-16, 16):
        status, body = send(signed_at(server, now + datetime.timedelta(minutes=minutes)))
        assert status in (400, 403) and b"InvalidSignatureException" in body and b"Signature" in body, body


def test_a_body_cut_in_the_middle(server, s3, bucket):
    url = urlparse(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "cut"}))
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 1000\r\n\r\n".encode())
        connection.sendall(b"x" * 500)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(4096)
    assert b" 400 " in answer.split(b"\r\n")[0] or answer == b""
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="cut")
    s3.put_object(Bucket=bucket, Key="cut", Body=b"whole")


# Every refused member has its turn in test_request_members.py.
@pytest.mark.parametrize("change, gap", [
    ({"ExperimentConfig": {"ExperimentName": "e"}}, "ExperimentConfig"),
    ({"AlgorithmSpecification": {"TrainingImage": "123456789012.dkr.ecr.us-west-2.amazonaws.com/my-own:1",
                                 "TrainingInputMode": "File"}}, "my-own"),
    ({"RemoteDebugConfig": {"EnableRemoteDebug": True}}, "EnableRemoteDebug"),
])
def test_what_is_not_supported_is_refused_clearly(sm, training_request, unique, change, gap):
    code, message = refused(sm.create_training_job, **training_request(**change))
    assert code == "ValidationException" and gap.lower() in message.lower(), message
    assert_no_job(sm, unique)


def test_unimplemented_operations_say_so(sm):
    code, message = refused(sm.list_pipelines)
    assert "ListPipelines" in message and "does not support" in message, (code, message)
