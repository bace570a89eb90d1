"""Trains XGBoost on scikit-learn's breast cancer data, deploys it and predicts: SageMaker Python SDK v2.

Nothing in it knows Millwright: `eval "$(millwright env)"` is what points it there.
"""
import io
import os

import numpy as np
import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer
from sklearn.datasets import load_breast_cancer

from reference import LibXgboost

data = load_breast_cancer()
order = np.random.RandomState(0).permutation(len(data.target))
features, labels = data.data[order].astype(np.float32), data.target[order]
train, held_out = slice(0, 455), slice(455, None)

session = sagemaker.Session()
bucket = session.default_bucket()


def upload(part, name):
    text = io.StringIO()
    np.savetxt(text, np.column_stack([labels[part], features[part]]), delimiter=",", fmt="%.9g")
    return session.upload_string_as_file_body(text.getvalue(), bucket, f"breast-cancer/{name}/data.csv")


upload(train, "train")
upload(held_out, "validation")
hyperparameters = {"objective": "binary:logistic", "num_round": 25, "max_depth": 4, "eta": 0.3, "eval_metric": "logloss"}
estimator = Estimator(
    image_uri=sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
    role="SageMakerRole",
    instance_count=1,
    instance_type="ml.m5.large",
    output_path=f"s3://{bucket}/breast-cancer/output",
    base_job_name="breast-cancer",
    hyperparameters=hyperparameters,
    sagemaker_session=session,
)
estimator.fit({name: TrainingInput(f"s3://{bucket}/breast-cancer/{name}/", content_type="text/csv")
               for name in ("train", "validation")})

predictor = estimator.deploy(initial_instance_count=1, instance_type="ml.m5.large", serializer=CSVSerializer(),
                             deserializer=CSVDeserializer())
try:
    answer = np.array(predictor.predict(features[held_out]), dtype=np.float32).ravel()
finally:
    predictor.delete_model()
    predictor.delete_endpoint()

reference = LibXgboost()
parameters = {k: v for k, v in hyperparameters.items() if k != "num_round"}
expected = reference.predict(reference.train(parameters, features[train], labels[train], 25), features[held_out])
accuracy = float(np.mean((answer > 0.5) == labels[held_out]))
print(f"{len(answer)} held-out patients, accuracy {accuracy:.4f}")
print(f"bit-equal to libxgboost: {np.array_equal(answer, expected)}")
if not np.array_equal(answer, expected) or accuracy < 0.93:
    raise SystemExit("the predictions differ from libxgboost's" + (os.linesep + str(np.abs(answer - expected).max())))
