"""The table of CreateTrainingJob members: complete against the service model, every test it names exists, the page is current."""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import training_doc  # noqa: E402


def test_every_member_of_the_model_has_exactly_one_row():
    assert not list(training_doc.incomplete(training_doc.rows()))


def test_a_missing_a_repeated_and_an_unknown_row_are_found():
    table = training_doc.rows()
    first = table[0]["member"]
    assert list(training_doc.incomplete(table[1:])) == [f"{first} has 0 rows: []"]
    assert list(training_doc.incomplete(table + table[:1])) == [f"{first} has 2 rows: {[first, first]}"]
    unknown = {"member": "ResourceConfig.Colour", "treatment": "refused", "word": "no colours"}
    assert list(training_doc.incomplete(table + [unknown])) == ["ResourceConfig.Colour is no member of the model"]


def test_every_test_that_the_table_names_exists():
    assert not list(training_doc.missing_tests(training_doc.rows()))


def test_the_training_page_is_current():
    result = subprocess.run([sys.executable, ROOT / "tools/training_doc.py", "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_what_has_no_effect_is_accepted_and_shown_again(server, sm, s3, bucket, training_request, finish, unique):
    key = f"arn:aws:kms:us-west-2:{server.account}:key/1234abcd"
    request = training_request(
        VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}, EnableInterContainerTrafficEncryption=True,
        ProfilerConfig={"S3OutputPath": f"s3://{bucket}/profile", "DisableProfiler": True})
    request["OutputDataConfig"]["KmsKeyId"] = key
    request["ResourceConfig"].update(VolumeKmsKeyId=key, VolumeSizeInGB=7)
    sm.create_training_job(**request)
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["OutputDataConfig"]["KmsKeyId"] == key
    for member in ("VpcConfig", "EnableInterContainerTrafficEncryption", "ResourceConfig"):
        assert job[member] == request[member]
    assert "ServerSideEncryption" not in s3.head_object(Bucket=bucket, Key=f"output/{unique}/output/model.tar.gz")
