"""PCA on scikit-learn's digits with the `PCA` estimator of SDK v1.72.1."""
import os

import boto3
import numpy as np
import sagemaker
from sagemaker import PCA
from sklearn.datasets import load_digits

from reference import principal_directions, subspace_sine

data = load_digits().data.astype(np.float32)
account, region = os.environ["MILLWRIGHT_ACCOUNT"], os.environ["AWS_DEFAULT_REGION"]
bucket = f"sagemaker-{region}-{account}"
s3 = boto3.client("s3")
try:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
except s3.exceptions.BucketAlreadyOwnedByYou:
    pass

# data_location and output_path are given, so this generation of the SDK never asks a fixed AWS host for the account.
estimator = PCA(role="SageMakerRole", train_instance_count=1, train_instance_type="ml.m5.large", num_components=10,
                data_location=f"s3://{bucket}/digits/records", output_path=f"s3://{bucket}/digits/output",
                base_job_name="digits-pca", sagemaker_session=sagemaker.Session())
estimator.fit(estimator.record_set(data))
predictor = estimator.deploy(1, "ml.m5.large")
try:
    records = predictor.predict(data)
finally:
    predictor.delete_model()
    predictor.delete_endpoint()
projected = np.array([record.label["projection"].float32_tensor.values for record in records], dtype=np.float64)
# The rows of `projected` are centred data times v: its column space equals that of the reference's projection.
expected, _ = principal_directions(data, 10)
centred = data.astype(np.float64) - data.mean(axis=0, dtype=np.float64)
angle = subspace_sine(centred @ expected, projected)
print(f"{projected.shape[0]} digits projected on {projected.shape[1]} components, sin(angle) to LAPACK's: {angle:.2e}")
if projected.shape != (len(data), 10) or angle > 1e-5:
    raise SystemExit("the projections differ from LAPACK's")
