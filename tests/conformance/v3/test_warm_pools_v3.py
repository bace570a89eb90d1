"""Warm pools through SDK v3: ModelTrainer keeps instances, TrainingJob updates and waits for the pool's end."""
import time
import uuid

from conftest import PYTHON_IMAGE
from sagemaker.core.resources import TrainingJob
from sagemaker.core.shapes import ResourceConfigForUpdate
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train import ModelTrainer


def train(role, bucket, folder, keep_alive):
    trainer = ModelTrainer(
        training_image=PYTHON_IMAGE, role=role, base_job_name=f"warm-{uuid.uuid4().hex[:8]}",
        source_code=SourceCode(source_dir=folder, entry_script="train.py"),
        output_data_config={"s3_output_path": f"s3://{bucket}/v3"},
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=5,
                        keep_alive_period_in_seconds=keep_alive))
    trainer.train(wait=True, logs=False)
    return TrainingJob.get(trainer._latest_training_job.training_job_name)


def test_instances_are_kept_reused_and_released(role, bucket, code):
    folder = code({"train.py": "print('trained')"})
    first = train(role, bucket, folder, 600)
    assert first.warm_pool_status.status == "Available"
    second = train(role, bucket, folder, 600)
    first.refresh()
    assert first.warm_pool_status.status == "Reused"
    assert first.warm_pool_status.reused_by_job == second.training_job_name
    assert [j.training_job_name for j in TrainingJob.get_all(warm_pool_status_equals="Available")] == [
        second.training_job_name]
    # A zero would not leave the SDK: its serializer takes it for a value that is not set.
    second.update(resource_config=ResourceConfigForUpdate(keep_alive_period_in_seconds=1))
    deadline = time.monotonic() + 60
    while second.refresh().warm_pool_status.status != "Terminated" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert second.warm_pool_status.status == "Terminated"
