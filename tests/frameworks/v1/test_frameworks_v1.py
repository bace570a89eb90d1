"""The framework estimators of SDK v1.72.1, unmodified, with the scripts of the folder above."""
import pytest
from frameworks import FRAMEWORKS, SCRIPTS, accuracy_in_plain_python, class_of, wait_until_done


@pytest.fixture(scope="module")
def started(aws, digits, bucket):
    jobs = {}
    for name, framework in FRAMEWORKS.items():
        estimator = class_of(framework.estimator)(
            entry_point="train.py", source_dir=str(SCRIPTS / name), role="SageMakerRole", train_instance_count=1,
            train_instance_type="ml.m5.large", hyperparameters=framework.hyperparameters, base_job_name=f"v1-{name}",
            output_path=f"s3://{bucket}/output", code_location=f"s3://{bucket}/code", **framework.v1)
        estimator.fit(digits[framework.data], wait=False)
        jobs[name] = estimator
    return jobs


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_estimator_trains_a_script(name, started, sm, digits_folders, fetch_model):
    estimator, framework = started[name], FRAMEWORKS[name]
    about = wait_until_done(sm, estimator.latest_training_job.name)
    assert about["TrainingJobStatus"] == "Completed", about.get("FailureReason")
    model = fetch_model(estimator)
    accuracy = accuracy_in_plain_python(SCRIPTS / name / "predict.py", framework.recipes[1], model,
                                        digits_folders / "testing")
    print(f"{name}: accuracy {accuracy:.4f}, {about['BillableTimeInSeconds']} billable s")
    assert accuracy >= framework.accuracy
