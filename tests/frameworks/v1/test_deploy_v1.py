"""estimator.deploy() of SDK v1.72.1."""
import time

import numpy as np
import pytest
from deployments import ROWS, check_answers, write_code
from frameworks import ENGINE, FRAMEWORKS, class_of, wait_until_done

pytestmark = pytest.mark.skipif(not ENGINE, reason="the images need an engine: MILLWRIGHT_FRAMEWORK_IMAGES")


@pytest.fixture(autouse=True)
def answered_hosts(server, aws, monkeypatch):
    """Its TensorFlow models ask AWS's own host for the account."""
    for name, value in server.environment("--proxy").items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_an_estimator_is_deployed(name, aws, bucket, sm, tmp_path, fetch_model):
    framework = FRAMEWORKS[name]
    code = write_code(name, tmp_path)
    versions = {key: value for key, value in framework.v1.items() if key != "image_name"}
    estimator = class_of(framework.estimator)(
        entry_point="train.py", source_dir=code, role="SageMakerRole", train_instance_count=1,
        train_instance_type="ml.m5.large", base_job_name=f"v1-deploy-{name}", output_path=f"s3://{bucket}/output",
        code_location=f"s3://{bucket}/code", **versions)
    estimator.fit(wait=False)
    about = wait_until_done(sm, estimator.latest_training_job.name)
    assert about["TrainingJobStatus"] == "Completed", about.get("FailureReason")
    begun = time.monotonic()
    predictor = estimator.deploy(1, "ml.m5.large", entry_point="inference.py", source_dir=code)
    try:
        print(f"{name}: in service after {time.monotonic() - begun:.1f} s")
        check_answers(name, predictor, fetch_model(estimator), np.array(ROWS, dtype="float32") if name == "xgboost" else None)
    finally:
        predictor.delete_endpoint()
