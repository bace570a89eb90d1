"""InvokeEndpointWithResponseStream with boto3: its decoder reads what the server writes."""
import time

import pytest
from conftest import XGBOOST_IMAGE


@pytest.fixture(scope="module")
def endpoint(server, sm, s3, runtime, tmp_path_factory):
    import io
    import tarfile
    import uuid
    name, bucket = f"t-{uuid.uuid4().hex[:12]}", f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket=bucket, Key="train/a.csv", Body="".join(f"{i % 2},{i % 2},{i % 7}\n" for i in range(200)).encode())
    role = f"arn:aws:iam::{server.account}:role/SageMakerRole"
    sm.create_training_job(
        TrainingJobName=name, RoleArn=role, AlgorithmSpecification={"TrainingImage": XGBOOST_IMAGE, "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/train/", "S3DataDistributionType": "FullyReplicated"}}}],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"}, HyperParameters={"num_round": "3"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 300})
    sm.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    artifact = sm.describe_training_job(TrainingJobName=name)["ModelArtifacts"]["S3ModelArtifacts"]
    sm.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": XGBOOST_IMAGE, "ModelDataUrl": artifact})
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
        {"VariantName": "v", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    yield name
    sm.delete_endpoint(EndpointName=name)


def parts_of(answer):
    return b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"])


def test_a_streamed_answer_is_the_plain_one(runtime, endpoint):
    body = "".join(f"{i % 2},{i % 7}\n" for i in range(20_000))
    plain = runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="text/csv")
    streamed = runtime.invoke_endpoint_with_response_stream(EndpointName=endpoint, Body=body, ContentType="text/csv",
                                                            Accept="text/csv")
    assert streamed["ContentType"] == plain["ContentType"]
    assert streamed["InvokedProductionVariant"] == "v"
    assert parts_of(streamed) == plain["Body"].read()


def test_what_fails_before_the_stream_is_an_ordinary_error(runtime, endpoint):
    with pytest.raises(runtime.exceptions.ModelError) as failed:
        runtime.invoke_endpoint_with_response_stream(EndpointName=endpoint, Body="no,number", ContentType="text/csv")
    assert failed.value.response["OriginalStatusCode"] in range(400, 500)
    with pytest.raises(Exception, match="not found"):
        runtime.invoke_endpoint_with_response_stream(EndpointName="nobody", Body="1")


def test_connections_are_kept_between_streams(runtime, endpoint):
    begun = time.monotonic()
    for _ in range(50):
        parts_of(runtime.invoke_endpoint_with_response_stream(EndpointName=endpoint, Body="1,2\n", ContentType="text/csv"))
    assert time.monotonic() - begun < 30
