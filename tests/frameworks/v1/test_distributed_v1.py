"""Training on two hosts with SDK v1.72.1, with the scripts of the folder above."""
import pytest
from distributions import SCRIPTS, V1, check_log, check_model
from frameworks import FRAMEWORKS, class_of, wait_until_done


@pytest.mark.parametrize("name", V1)
def test_two_hosts_train_together(name, aws, digits, bucket, sm, log_lines, fetch_model, digits_folders):
    distribution = V1[name]
    framework = FRAMEWORKS[distribution.framework]
    more = {"distributions": distribution.wish} if distribution.wish else {}
    estimator = class_of(framework.estimator)(
        entry_point=distribution.script, source_dir=str(SCRIPTS), role="SageMakerRole", train_instance_count=2,
        train_instance_type="ml.m5.large", base_job_name=f"v1-{name}", output_path=f"s3://{bucket}/output",
        code_location=f"s3://{bucket}/code", **framework.v1, **more)
    estimator.fit(digits["csv"], wait=False)
    job = estimator.latest_training_job.name
    about = wait_until_done(sm, job)
    assert about["TrainingJobStatus"] == "Completed", about.get("FailureReason")
    found = check_log(distribution, log_lines, job)
    saved = check_model(distribution, framework.recipes[1], fetch_model(estimator), digits_folders / "testing", found)
    print(f"{name}: accuracy {saved:.4f}, {about['BillableTimeInSeconds']} billable s")
