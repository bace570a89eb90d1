"""Training on two hosts with SDK v2: torchrun, MPI, mirrored workers, parameter servers, rabit."""
import pytest
from distributions import SCRIPTS, V2, check_log, check_model
from frameworks import FRAMEWORKS, class_of, wait_until_done


@pytest.mark.parametrize("name", V2)
def test_two_hosts_train_together(name, aws, digits, sm, log_lines, fetch_model, digits_folders):
    distribution = V2[name]
    framework = FRAMEWORKS[distribution.framework]
    more = {"distribution": distribution.wish} if distribution.wish else {}
    estimator = class_of(framework.estimator)(
        entry_point=distribution.script, source_dir=str(SCRIPTS), role="SageMakerRole", instance_count=2,
        instance_type="ml.m5.large", base_job_name=f"v2-{name}",
        hyperparameters=distribution.hyperparameters, **framework.v2, **more)
    estimator.fit(digits["csv"], wait=False)
    job = estimator.latest_training_job.name
    about = wait_until_done(sm, job)
    assert about["TrainingJobStatus"] == "Completed", about.get("FailureReason")
    found = check_log(distribution, log_lines, job)
    saved = check_model(distribution, framework.recipes[2], fetch_model(estimator), digits_folders / "testing", found)
    print(f"{name}: accuracy {saved:.4f}, {about['BillableTimeInSeconds']} billable s")


def test_what_cannot_work_here_is_refused_with_a_way_out(aws, digits, sm):
    from sagemaker.pytorch import PyTorch
    framework = FRAMEWORKS["pytorch"]
    estimator = PyTorch(entry_point="torch_digits.py", source_dir=str(SCRIPTS), role="SageMakerRole", instance_count=2,
                        instance_type="ml.m5.large", base_job_name="v2-smddp", **framework.v2,
                        hyperparameters={"sagemaker_distributed_dataparallel_enabled": True})
    estimator.fit(digits["csv"], wait=False)
    about = wait_until_done(sm, estimator.latest_training_job.name)
    assert about["TrainingJobStatus"] == "Failed"
    assert about["FailureReason"].startswith("ClientError: ")
    assert "smdistributed" in about["FailureReason"] and "torch_distributed" in about["FailureReason"]
