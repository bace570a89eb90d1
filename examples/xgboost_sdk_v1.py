"""The Estimator of the SageMaker introduction, SDK v1.72.1: same argument names, `fit({'training': …})`, deploy, predict."""
import io
import os

import boto3
import numpy as np
import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.predictor import RealTimePredictor, csv_deserializer, csv_serializer
from sklearn.datasets import load_breast_cancer

data = load_breast_cancer()
order = np.random.RandomState(0).permutation(len(data.target))
features, labels = data.data[order].astype(np.float32), data.target[order]

account, region = os.environ["MILLWRIGHT_ACCOUNT"], os.environ["AWS_DEFAULT_REGION"]
bucket = f"sagemaker-{region}-{account}"
s3 = boto3.client("s3")
try:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
except s3.exceptions.BucketAlreadyOwnedByYou:
    pass
text = io.StringIO()
np.savetxt(text, np.column_stack([labels[:455], features[:455]]), delimiter=",", fmt="%.9g")
s3.put_object(Bucket=bucket, Key="introduction/training/data.csv", Body=text.getvalue().encode())

session = sagemaker.Session()
image = f"246618743249.dkr.ecr.{region}.amazonaws.com/sagemaker-xgboost:1.2-1"
training_path = sagemaker.s3_input(f"s3://{bucket}/introduction/training/", content_type="text/csv")
estimator = Estimator(
    role="SageMakerRole",
    image_name=image,
    base_job_name="introduction-xgboost",
    output_path=f"s3://{bucket}/introduction/output",
    train_instance_count=1,
    train_instance_type="ml.m5.large",
    train_max_run=3600,
    train_volume_size=10,
    hyperparameters={"objective": "binary:logistic", "num_round": 25, "max_depth": 4},
    sagemaker_session=session,
)
estimator.fit({"training": training_path})

predictor = estimator.deploy(1, "ml.m5.large", serializer=csv_serializer, deserializer=csv_deserializer,
                             content_type="text/csv")
assert isinstance(predictor, RealTimePredictor)
try:
    scores = np.array(predictor.predict(features[455:])[0], dtype=np.float32)
finally:
    predictor.delete_model()
    predictor.delete_endpoint()
accuracy = float(np.mean((scores > 0.5) == labels[455:]))
print(f"{len(scores)} held-out patients, accuracy {accuracy:.4f}")
if accuracy < 0.93:
    raise SystemExit("the model is worse than it should be")
