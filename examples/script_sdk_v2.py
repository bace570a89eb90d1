"""Your own script under a framework's image, with the SageMaker Python SDK v2.

The estimator names scikit-learn's image; Millwright runs the script in a Python environment that stands for it, which is built
when it is used for the first time. Then the model is fetched and checked against the digits the script has not seen.
"""
import io
import tarfile
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from sagemaker.sklearn import SKLearn
from sklearn.datasets import load_digits

FOLDER = Path(__file__).resolve().parent / "digits"

session = sagemaker.Session()
digits = load_digits()
order = np.random.RandomState(0).permutation(len(digits.target))
labels, pixels = digits.target[order], digits.data[order]
text = io.StringIO()
np.savetxt(text, np.column_stack([labels, pixels]), delimiter=",", fmt="%g")
data = session.upload_string_as_file_body(text.getvalue(), session.default_bucket(), "script-example/data/digits.csv")

estimator = SKLearn(
    entry_point="train.py",
    source_dir=str(FOLDER),
    framework_version="1.2-1",
    role="SageMakerRole",
    instance_count=1,
    instance_type="ml.m5.large",
    hyperparameters={"hidden": 32, "epochs": 40},
    metric_definitions=[{"Name": "validation:accuracy", "Regex": "validation accuracy: ([0-9.]+);"}],
    base_job_name="digits",
)
estimator.fit({"training": data.rsplit("/", 1)[0]})

bucket, key = estimator.model_data[len("s3://"):].split("/", 1)
packed = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
    weights = np.load(io.BytesIO(archive.extractfile("weights.npz").read()))
hidden = np.maximum(pixels[-360:] / 16 @ weights["hidden"] + weights["hidden_bias"], 0)
accuracy = float(np.mean((hidden @ weights["out"] + weights["out_bias"]).argmax(axis=1) == labels[-360:]))
metrics = {m["MetricName"]: m["Value"] for m in estimator.latest_training_job.describe()["FinalMetricDataList"]}
print(f"accuracy of the fetched model on 360 unseen digits: {accuracy:.4f}; of the job's own metric: {metrics['validation:accuracy']:.4f}")
assert accuracy > 0.94 and abs(accuracy - metrics["validation:accuracy"]) < 1e-4
