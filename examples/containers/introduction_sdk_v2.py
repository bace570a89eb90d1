"""The estimator of the SageMaker introduction with an image of one's own, SDK v2.

    python introduction_sdk_v2.py ECR_IMAGE FOLDER      # FOLDER: of resnet50/pictures.py
"""
import json
import os
import sys
from pathlib import Path

import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.serializers import DataSerializer

ecr_image, folder = sys.argv[1], Path(sys.argv[2])
role = "SageMakerRole"
session = sagemaker.Session()
training_path = session.upload_data(str(folder / "training"), key_prefix="docker-resnet50-v2/training")

estimator = Estimator(
    ecr_image,
    role,
    base_job_name="docker-resnet50-cat-dog",
    instance_count=1,
    instance_type="ml.m5.xlarge",
    hyperparameters={"epochs": os.environ.get("EPOCHS", "6")},
    metric_definitions=[{"Name": "train:accuracy", "Regex": "accuracy ([0-9.]+);"}],
    sagemaker_session=session,
)
estimator.fit({"training": training_path})

predictor = estimator.deploy(1, "ml.m5.xlarge", serializer=DataSerializer("application/x-image"), deserializer=JSONDeserializer())
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
