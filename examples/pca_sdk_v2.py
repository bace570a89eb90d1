"""Trains PCA on scikit-learn's digits, deploys it and projects: SageMaker Python SDK v2, the `sagemaker.PCA` estimator."""
import io
import tarfile
from urllib.parse import urlparse

import boto3
import numpy as np
import sagemaker
from sklearn.datasets import load_digits

import ndarray_file
from reference import principal_directions, subspace_sine

data = load_digits().data.astype(np.float32)
session = sagemaker.Session()
bucket = session.default_bucket()

estimator = sagemaker.PCA(role="SageMakerRole", instance_count=1, instance_type="ml.m5.large", num_components=10,
                          output_path=f"s3://{bucket}/digits/output", base_job_name="digits-pca", sagemaker_session=session)
estimator.fit(estimator.record_set(data))

location = urlparse(estimator.model_data)
archive = boto3.client("s3").get_object(Bucket=location.netloc, Key=location.path.lstrip("/"))["Body"].read()
model = ndarray_file.load(tarfile.open(fileobj=io.BytesIO(archive)).extractfile("model_algo-1").read())

predictor = estimator.deploy(initial_instance_count=1, instance_type="ml.m5.large")
try:
    records = predictor.predict(data[:100])
finally:
    predictor.delete_model()
    predictor.delete_endpoint()
projected = np.array([record.label["projection"].float32_tensor.values for record in records])

expected, singular = principal_directions(data, 10)
angle = subspace_sine(expected, model["v"])
local = (data[:100] - model["mean"]) @ model["v"]
print(f"sin(angle) to LAPACK's subspace: {angle:.2e}")
print(f"largest difference between served and local projection: {np.abs(projected - local).max():.2e}")
if angle > 1e-6 or np.abs(projected - local).max() > 1e-3:
    raise SystemExit("the subspace or the projections are off")
