"""The estimator of the SageMaker introduction with an image of one's own, SDK v1.72.1.

    python introduction_sdk_v1.py ECR_IMAGE FOLDER      # FOLDER: of resnet50/pictures.py
"""
import json
import os
import sys
from pathlib import Path

import boto3
import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.predictor import json_deserializer

ecr_image, folder = sys.argv[1], Path(sys.argv[2])
role, account, region = "SageMakerRole", os.environ["MILLWRIGHT_ACCOUNT"], os.environ["AWS_DEFAULT_REGION"]
bucket = f"sagemaker-{region}-{account}"
try:
    boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
except boto3.client("s3").exceptions.BucketAlreadyOwnedByYou:
    pass
session = sagemaker.Session()
training_path = session.upload_data(str(folder / "training"), bucket=bucket, key_prefix="docker-resnet50-v1/training")

estimator = Estimator(
    role=role,
    image_name=ecr_image,
    base_job_name="docker-resnet50-cat-dog",
    train_instance_count=1,
    train_instance_type="ml.m5.xlarge",
    output_path=f"s3://{bucket}/docker-resnet50-v1/output",
    hyperparameters={"epochs": os.environ.get("EPOCHS", "6")},
    metric_definitions=[{"Name": "train:accuracy", "Regex": "accuracy ([0-9.]+);"}],
    sagemaker_session=session,
)
estimator.fit({"training": training_path})

predictor = estimator.deploy(1, "ml.m5.xlarge", content_type="application/x-image", deserializer=json_deserializer)
right, total = 0, 0
try:
    for picture in sorted((folder / "held-out").glob("*/*.png")):
        answer = predictor.predict(picture.read_bytes())
        total += 1
        right += answer["class"] == picture.parent.name
finally:
    predictor.delete_model()
    predictor.delete_endpoint()
print(json.dumps({"right": right, "of": total, "job": estimator.latest_training_job.name}))
