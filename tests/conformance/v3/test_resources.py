"""Resource classes of SDK v3. They are built by pydantic: a required member that lacks is an error."""
import textwrap
import time
import typing

import pytest
from conftest import PYTHON_IMAGE
from pydantic import BaseModel
from sagemaker.core.resources import TrainingJob
from sagemaker.core.shapes import (AlgorithmSpecification, Channel, DataSource, OutputDataConfig, ResourceConfig,
                                   S3DataSource, StoppingCondition)


@pytest.fixture
def create(role, bucket, training_data, unique):
    def make(script, **more):
        return TrainingJob.create(
            training_job_name=unique, role_arn=role,
            algorithm_specification=AlgorithmSpecification(
                training_image=PYTHON_IMAGE, training_input_mode="File", container_entrypoint=["python", "-c"],
                container_arguments=[textwrap.dedent(script)]),
            input_data_config=[Channel(channel_name="train", data_source=DataSource(s3_data_source=S3DataSource(
                s3_data_type="S3Prefix", s3_uri=training_data, s3_data_distribution_type="FullyReplicated")))],
            output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/v3"),
            resource_config=ResourceConfig(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=5),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=300), **more)

    return make


def lacking(model, document, path=""):
    """Required members of a pydantic model (and of the models in it) that are not in an answer of boto3."""
    found = []
    for name, field in model.model_fields.items():
        key = "".join(part.capitalize() for part in name.split("_"))
        actual = next((k for k in document if k.lower() == key.lower()), None)
        if actual is None:
            found += [f"{path}{key}"] if field.is_required() else []
            continue
        for inner in [field.annotation, *typing.get_args(field.annotation)]:
            for shape in [inner, *typing.get_args(inner)]:
                if isinstance(shape, type) and issubclass(shape, BaseModel):
                    values = document[actual] if isinstance(document[actual], list) else [document[actual]]
                    for value in values:
                        found += lacking(shape, value, f"{path}{key}.")
    return found


def test_create_get_wait_and_refresh(create, sm, unique):
    job = create("print('loss=0.5;'); open('/opt/ml/model/x', 'w').write('1')")
    assert job.get_name() == unique
    job.wait(poll=1)
    again = TrainingJob.get(unique)
    assert again.training_job_status == "Completed" and again.secondary_status == "Completed"
    assert again.billable_time_in_seconds >= 1
    assert again.training_job_arn == job.training_job_arn
    description = sm.describe_training_job(TrainingJobName=unique)
    assert lacking(TrainingJob, description) == []


def test_get_all_finds_it(create, unique):
    job = create("pass")
    job.wait(poll=1)
    found = list(TrainingJob.get_all(name_contains=unique))
    assert [j.training_job_name for j in found] == [unique]
    assert found[0].refresh().training_job_status == "Completed"
    assert list(TrainingJob.get_all(name_contains=unique, status_equals="Failed")) == []


def test_stop_ends_a_running_job(create):
    job = create("import time; print('up', flush=True); time.sleep(600)")
    job.stop()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and job.refresh().training_job_status in ("InProgress", "Stopping"):
        time.sleep(0.1)
    assert job.training_job_status == "Stopped"


def test_delete_removes_an_ended_job(create, unique):
    job = create("pass")
    job.wait(poll=1)
    job.delete()
    with pytest.raises(Exception, match="Requested resource not found|Could not find"):
        TrainingJob.get(unique)


def test_a_missing_job_is_an_error():
    with pytest.raises(Exception, match="Requested resource not found"):
        TrainingJob.get("there-is-no-such-job")
