"""What local mode of the SageMaker SDK lacks for training, gap by gap, and the tests that show it here.

The numbers are those of the list of 26 gaps that was made from the SDK's source (sagemaker/local). These concern training; the
others are about serving (17 to 20), batch transform (21), processing (22), pipelines (23) and APIs beyond training (24).
Most are shown by the tests of their area, named in SHOWN; what none of them shows is shown below.
"""
import contextlib
import io
import os
import re
import subprocess
import sys
import tarfile
import textwrap
import time
from pathlib import Path

from server import Server, paths_below

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/conformance/"

SHOWN = {
    "1 needs Docker, no other choice": [
        HERE + "test_local_mode_gaps.py::test_no_container_engine_is_asked_for"],
    "2 state lives in one Python process and is gone with it": [
        HERE + "test_local_mode_gaps.py::test_another_client_finds_the_jobs_of_a_server_that_was_restarted",
        "TrainingJobsTest.ARunningJobIsAdoptedAfterACrashAndNeverRunTwice"],
    "3 create blocks; no stop, no list, no tags": [
        HERE + "test_scripts.py::test_create_returns_at_once_and_the_job_is_listed",
        HERE + "test_training.py::test_stop_ends_a_running_job",
        HERE + "test_training.py::test_list_filters_sorts_and_pages",
        HERE + "test_training.py::test_tags"],
    "4 a failure is a RuntimeError, the failure file is never read, exit code 130 is fine": [
        HERE + "test_scripts.py::test_a_traceback_becomes_the_failure_reason",
        HERE + "test_scripts.py::test_a_failure_file_of_three_kilobytes_is_cut",
        HERE + "test_local_mode_gaps.py::test_exit_code_130_is_a_failure"],
    "5 Describe lacks transitions, reasons, final metrics, billable time, input": [
        HERE + "test_local_mode_gaps.py::test_describe_tells_all_of_a_job"],
    "6 manifests are prefixes, everything is FullyReplicated and File": [
        HERE + "test_training.py::test_a_manifest_names_the_objects",
        HERE + "test_input_modes.py::test_an_augmented_manifest_delivers_its_attributes",
        HERE + "test_input_modes.py::test_shards_are_dealt_out_by_key",
        HERE + "test_input_modes.py::test_every_channel_has_its_own_mode"],
    "7 inputdataconfig.json knows mode and content type only": [
        HERE + "test_scripts.py::test_a_script_finds_the_whole_contract"],
    "8 hosts are not named algo-N, and all jobs share one network": [
        HERE + "test_scripts.py::test_two_hosts_have_their_names_and_reach_each_other",
        "HostileTest.NobodyCanBeReachedButTheServer",
        "HostileTest.NothingOfOthersCanBeRead"],
    "9 no instance groups in resourceconfig.json, no TRAINING_JOB_ARN, no internal files": [
        HERE + "test_scripts.py::test_a_script_finds_the_whole_contract",
        HERE + "test_input_modes.py::test_channels_of_instance_groups_are_on_their_hosts"],
    "10 one instance only in Studio and of GPU types": [
        HERE + "test_local_mode_gaps.py::test_two_instances_of_a_gpu_type"],
    "11 no checkpoints, spot, retries, warm pools, time limit, isolation": [
        HERE + "test_checkpoints.py::test_a_stopped_job_is_resumed_by_the_next",
        HERE + "test_spot.py::test_an_interrupted_job_goes_on_from_its_checkpoints",
        "TrainingLifeTest.FaultsOfThePlatformAreTriedAgain",
        HERE + "test_warm_pools.py::test_a_second_job_reuses_the_instances",
        HERE + "test_training.py::test_max_runtime_stops_a_job",
        HERE + "test_local_mode_gaps.py::test_an_isolated_job_reaches_nothing_and_has_no_credentials"],
    "12 no metrics from logs, no debugger or TensorBoard upload, no logs": [
        HERE + "test_training.py::test_metrics_reach_cloudwatch_and_the_description",
        HERE + "test_training.py::test_logs_follow_the_paging_rules",
        HERE + "test_input_modes.py::test_live_outputs_are_uploaded_while_the_job_runs"],
    "13 output.tar.gz has the whole output folder, hosts share the model folder": [
        HERE + "test_scripts.py::test_a_script_finds_the_whole_contract",
        HERE + "test_local_mode_gaps.py::test_hosts_have_a_model_folder_each"],
    "14 no limits of CPU and memory, no queue": [
        HERE + "test_scripts.py::test_out_of_memory_is_told_as_such",
        "ProcessExecutorTest.HostsHaveLimitsOfTheirOwn",
        HERE + "test_identity_and_waiting.py::test_jobs_that_do_not_fit_wait_and_say_why"],
    "15 the caller's own keys are in the environment": [
        HERE + "test_scripts.py::test_the_role_is_the_jobs_only_identity"],
    "16 files owned by root are left behind": [
        HERE + "test_local_mode_gaps.py::test_nothing_is_left_behind"],
    "25 ModelTrainer: another network interface, File and FullyReplicated only, output stays on disk": [
        HERE + "v3/test_model_trainer.py::test_trains_on_two_hosts"],
    "26 ContainerArguments without an entry point are ignored": [
        HERE + "test_scripts.py::test_arguments_alone_replace_the_word_train"],
}


def exists(test):
    if "::" in test:
        path, name = test.split("::")
        file = ROOT / path
        return file.exists() and re.search(rf"^def {name}\(", file.read_text(), flags=re.M) is not None
    suite, name = test.split(".")
    declared = re.compile(rf"TEST(_F|_P)?\(\s*{suite},\s*{name}\)")
    return any(declared.search(path.read_text(errors="replace")) for path in ROOT.glob("src/**/*_test.cc"))


def test_each_gap_names_tests_that_exist():
    assert [int(gap.split()[0]) for gap in SHOWN] == [*range(1, 17), 25, 26]
    assert not [test for tests in SHOWN.values() for test in tests if not exists(test)]


def test_no_container_engine_is_asked_for(tmp_path, training_request, unique):
    """Gap 1: a PATH on which docker, podman and the rest are traps that tell when they are called."""
    traps = tmp_path / "bin"
    traps.mkdir()
    for name in ("docker", "docker-compose", "podman", "nerdctl", "ctr", "runc", "kubectl"):
        trap = traps / name
        trap.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/called\nexit 1\n")
        trap.chmod(0o755)
    own = Server(tmp_path / "data")
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{traps}:{before}"
    try:
        own.start()
    finally:
        os.environ["PATH"] = before
    try:
        own_s3, own_sm = own.client("s3"), own.client("sagemaker")
        own_s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        own_s3.put_object(Bucket="bucket", Key="train/a.csv", Body=b"1,2\n0,3\n" * 50)
        own_sm.create_training_job(**training_request(
            uri="s3://bucket/train", OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
            RoleArn=f"arn:aws:iam::{own.account}:role/SageMakerRole"))
        job = ended(own_sm, unique)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    finally:
        own.end_everything()
    assert not (tmp_path / "called").exists(), (tmp_path / "called").read_text()


def ended(sm, name, seconds=180):
    deadline = time.monotonic() + seconds
    while (job := sm.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] in ("InProgress", "Stopping"):
        assert time.monotonic() < deadline, job["SecondaryStatusTransitions"]
        time.sleep(0.05)
    return job


def test_another_client_finds_the_jobs_of_a_server_that_was_restarted(tmp_path, training_request, unique):
    """Gap 2."""
    server = Server(tmp_path / "data").start()
    try:
        s3, sm = server.client("s3"), server.client("sagemaker")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_object(Bucket="bucket", Key="train/a.csv", Body=b"1,2\n0,3\n" * 50)
        sm.create_training_job(**training_request(
            uri="s3://bucket/train", OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
            RoleArn=f"arn:aws:iam::{server.account}:role/SageMakerRole"))
        before = ended(sm, unique)
        server.stop()
        server.start()
        code = ("import boto3; print(boto3.client('sagemaker').describe_training_job(TrainingJobName='" + unique +
                "')['TrainingJobStatus'])")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        told = subprocess.run([sys.executable, "-c", code], env={**clean, **server.environment()}, capture_output=True,
                              text=True, check=True).stdout.strip()
        assert told == before["TrainingJobStatus"] == "Completed"
    finally:
        server.end_everything()


def test_exit_code_130_is_a_failure(sm, script_request, finish, unique):
    """Gap 4."""
    sm.create_training_job(**script_request({"train.py": "import sys\nsys.exit(130)\n"}))
    job = finish(unique, 120)
    assert job["TrainingJobStatus"] == "Failed" and job["FailureReason"].startswith("AlgorithmError"), job["FailureReason"]


def test_describe_tells_all_of_a_job(sm, training_request, finish, unique):
    """Gap 5."""
    request = training_request({"num_round": "3", "objective": "binary:logistic", "eval_metric": "logloss"})
    sm.create_training_job(**request)
    job = finish(unique)
    for member in ("HyperParameters", "InputDataConfig", "ResourceConfig", "StoppingCondition", "RoleArn"):
        assert job[member] == request[member], member
    assert job["SecondaryStatus"] == "Completed"
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]][-1] == "Completed"
    assert {m["MetricName"] for m in job["FinalMetricDataList"]} == {"train:logloss"}
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"] <= job["LastModifiedTime"]
    bad = f"{unique}-bad"
    sm.create_training_job(**training_request({"num_round": "none"}, TrainingJobName=bad))
    assert finish(bad)["FailureReason"]


def test_two_instances_of_a_gpu_type(sm, training_request, finish, unique):
    """Gap 10: of any type, whether or not the machine has its GPUs (the built-in algorithms use none)."""
    request = training_request()
    request["ResourceConfig"].update(InstanceType="ml.p3.2xlarge", InstanceCount=2)
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "FullyReplicated"
    sm.create_training_job(**request)
    assert finish(unique, 120)["TrainingJobStatus"] == "Completed"


ISOLATED = textwrap.dedent("""
    import os, socket
    def reach(address, port):
        try:
            socket.create_connection((address, port), 2).close()
            return "reached"
        except OSError:
            return "not reached"
    print("api", reach("169.254.170.2", 80), "proxy", reach("169.254.170.2", 3128), "world", reach("192.0.2.1", 80), flush=True)
    print("keys", sorted(n for n in os.environ if n.startswith("AWS_") and ("KEY" in n or "CREDENTIALS" in n)), flush=True)
    """)


def test_an_isolated_job_reaches_nothing_and_has_no_credentials(sm, script_request, log_lines, finish, unique):
    """Gap 11."""
    sm.create_training_job(**script_request({"train.py": ISOLATED}, EnableNetworkIsolation=True))
    job = finish(unique, 120)
    assert job["TrainingJobStatus"] == "Completed" and job["EnableNetworkIsolation"] is True, job.get("FailureReason")
    lines = log_lines(unique)
    assert "api not reached proxy not reached world not reached" in lines and "keys []" in lines, lines


SHARED_OR_NOT = textwrap.dedent("""
    import os, socket, time
    host = socket.gethostname()
    open("/opt/ml/model/" + host, "w").write(host)
    time.sleep(2)
    print("sees", sorted(os.listdir("/opt/ml/model")), flush=True)
    """)


def test_hosts_have_a_model_folder_each(sm, s3, bucket, script_request, log_lines, finish, unique):
    """Gap 13."""
    request = script_request({"train.py": SHARED_OR_NOT})
    request["ResourceConfig"]["InstanceCount"] = 2
    sm.create_training_job(**request)
    job = finish(unique, 120)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    for host in ("algo-1", "algo-2"):
        assert f"sees ['{host}']" in log_lines(unique, host)
    body = s3.get_object(Bucket=bucket, Key=f"output/{unique}/output/model.tar.gz")["Body"].read()
    assert sorted(tarfile.open(fileobj=io.BytesIO(body)).getnames()) == ["algo-1", "algo-2"]


def test_nothing_is_left_behind(sm, server, script_request, finish, unique):
    """Gap 16: also files that the job made unreadable are gone with it, and what stays belongs to the server's user."""
    code = textwrap.dedent("""
        import os
        for folder in ("/opt/ml/model", "/opt/ml/output/data", "/tmp"):
            os.makedirs(folder + "/deep/er", exist_ok=True)
            open(folder + "/deep/er/file", "w").write("x")
            os.chmod(folder + "/deep/er/file", 0)
            os.chmod(folder + "/deep", 0o111 if folder == "/tmp" else 0o755)
        """)
    jobs = server.folder / "jobs"
    before = set(os.listdir(jobs))
    sm.create_training_job(**script_request({"train.py": code}))
    job = finish(unique, 120)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    deadline = time.monotonic() + 60
    while left := {name for name in os.listdir(jobs) if name not in before and len(name) == 32}:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    foreign = []
    for path in paths_below(server.folder):
        with contextlib.suppress(FileNotFoundError):  # what the server has removed meanwhile
            foreign += [path] if path.lstat().st_uid != os.getuid() else []
    assert not foreign, foreign[:5]
