"""The whole way with boto3 alone: put data, train, wait, read the log, deploy, invoke, delete."""
import io
import os
import time

import boto3
import numpy as np
from sklearn.datasets import load_breast_cancer

data = load_breast_cancer()
account, region = os.environ["MILLWRIGHT_ACCOUNT"], os.environ["AWS_DEFAULT_REGION"]
bucket, name = f"sagemaker-{region}-{account}", f"boto3-{int(time.time() * 1000)}"
role = f"arn:aws:iam::{account}:role/SageMakerRole"
image = f"246618743249.dkr.ecr.{region}.amazonaws.com/sagemaker-xgboost:1.7-1"
s3, sagemaker, runtime, logs = (boto3.client(n) for n in ("s3", "sagemaker", "sagemaker-runtime", "logs"))

try:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
except s3.exceptions.BucketAlreadyOwnedByYou:
    pass
text = io.StringIO()
np.savetxt(text, np.column_stack([data.target, data.data]), delimiter=",", fmt="%.9g")
s3.put_object(Bucket=bucket, Key=f"{name}/train/data.csv", Body=text.getvalue().encode())

sagemaker.create_training_job(
    TrainingJobName=name,
    RoleArn=role,
    AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
    InputDataConfig=[{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
        "S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/train/", "S3DataDistributionType": "FullyReplicated"}}}],
    OutputDataConfig={"S3OutputPath": f"s3://{bucket}/{name}/output"},
    ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10},
    StoppingCondition={"MaxRuntimeInSeconds": 600},
    HyperParameters={"objective": "binary:logistic", "num_round": "20", "eval_metric": "auc"},
)
sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name)
job = sagemaker.describe_training_job(TrainingJobName=name)
print(job["TrainingJobStatus"], job.get("FailureReason", ""), "billed", job.get("BillableTimeInSeconds"), "s")
assert job["TrainingJobStatus"] == "Completed", job
for metric in job["FinalMetricDataList"]:
    print("metric", metric["MetricName"], round(metric["Value"], 5))

group = "/aws/sagemaker/TrainingJobs"
for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name + "/")["logStreams"]:
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)["events"]
    print(*[event["message"] for event in events[-2:]], sep="\n")

sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={
    "Image": image, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]})
sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{
    "VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}])
sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name)
row = ",".join("%.9g" % value for value in data.data[0])
answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=row)
score = float(answer["Body"].read())
print("score of the first patient:", score)
sagemaker.delete_endpoint(EndpointName=name)
sagemaker.delete_endpoint_config(EndpointConfigName=name)
sagemaker.delete_model(ModelName=name)
assert (score > 0.5) == bool(data.target[0])
