"""estimator.deploy() of SDK v2: a model that an environment trained is served by the prebuilt image of its framework,
which nobody names; so is one whose estimator names the image."""
import time

import pytest
from deployments import check_answers, write_code
from frameworks import ENGINE, FRAMEWORKS, class_of, wait_until_done

pytestmark = pytest.mark.skipif(not ENGINE, reason="the images need an engine: MILLWRIGHT_FRAMEWORK_IMAGES")


CASES = [(name, False) for name in FRAMEWORKS] + [(name, True) for name in FRAMEWORKS if name == "sklearn"]


@pytest.mark.parametrize("name,named", CASES, ids=[f"{name}-{'own-image' if named else 'aws-uri'}" for name, named in CASES])
def test_an_estimator_is_deployed(name, named, aws, sm, tmp_path, fetch_model):
    framework = FRAMEWORKS[name]
    code = write_code(name, tmp_path)
    versions = {key: value for key, value in framework.v2.items() if named or key != "image_uri"}
    estimator = class_of(framework.estimator)(
        entry_point="train.py", source_dir=code, role="SageMakerRole", instance_count=1, instance_type="ml.m5.large",
        base_job_name=f"v2-deploy-{name}", **versions)
    estimator.fit(wait=False)
    about = wait_until_done(sm, estimator.latest_training_job.name)
    assert about["TrainingJobStatus"] == "Completed", about.get("FailureReason")
    begun = time.monotonic()
    predictor = estimator.deploy(1, "ml.m5.large", entry_point="inference.py", source_dir=code)
    try:
        print(f"{name}: in service after {time.monotonic() - begun:.1f} s")
        check_answers(name, predictor, fetch_model(estimator))
    finally:
        predictor.delete_endpoint()
