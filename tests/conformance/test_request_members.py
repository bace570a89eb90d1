"""The table of CreateTrainingJob members: complete against the service model, every test it names exists, the page is current."""
import subprocess
import sys
import time
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


def test_own_metric_definitions_find_their_values(sm, server, script_request, finish, unique):
    script = "import os, sys\nfor i in range(3):\n    print('[x] loss =', float(os.environ['START']) - i, flush=True)\n"
    request = script_request({"train.py": script}, Environment={"START": "2.5"})
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "my:loss", "Regex": r"\[x\] loss = ([-0-9.]+)"}]
    sm.create_training_job(**request)
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [("my:loss", 0.5)]
    now = time.time()
    points = server.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs", MetricName="my:loss", Period=60, Statistics=["Sum", "SampleCount"],
        Dimensions=[{"Name": "TrainingJobName", "Value": unique}], StartTime=now - 600, EndTime=now + 60)["Datapoints"]
    assert (sum(p["SampleCount"] for p in points), sum(p["Sum"] for p in points)) == (3, 4.5)


def test_without_compression_the_model_is_one_object_per_file(sm, s3, bucket, training_request, finish, unique):
    sm.create_training_job(**training_request(OutputDataConfig={"S3OutputPath": f"s3://{bucket}/output", "CompressionType": "NONE"}))
    job = finish(unique)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"output/{unique}/output/")["Contents"]
    assert [item["Key"] for item in listed] == [f"output/{unique}/output/model/xgboost-model"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/output/{unique}/output/model/"
