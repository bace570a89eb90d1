"""Script jobs against the training contract: what a script finds, how it ends, and what is told about its end."""
import io
import json
import re
import subprocess
import sys
import tarfile
import textwrap
import time

import pytest
from botocore.exceptions import ClientError

# Writes what a job sees to output.tar.gz: the tree below /opt/ml, the configuration files, variables, arguments.
DUMP = textwrap.dedent("""
    import json, os, socket, sys
    tree = []
    for folder, folders, names in os.walk("/opt/ml"):
        tree += [os.path.join(folder, name) + ("/" if name in folders else "") for name in folders + names]
    config = {name: json.load(open("/opt/ml/input/config/" + name)) for name in os.listdir("/opt/ml/input/config")}
    os.makedirs("/opt/ml/output/data", exist_ok=True)
    with open("/opt/ml/output/data/dump-" + socket.gethostname() + ".json", "w") as out:
        json.dump(dict(tree=sorted(tree), config=config, env=dict(os.environ), argv=sys.argv, cwd=os.getcwd(),
                       uid=os.getuid(), host=socket.gethostname(),
                       hosts={h: socket.gethostbyname(h) for h in config["resourceconfig.json"]["hosts"]}), out)
    open("/opt/ml/model/weights", "w").write("1")
    """)


def artifact(s3, bucket, job, name):
    body = s3.get_object(Bucket=bucket, Key=f"output/{job}/output/{name}")["Body"].read()
    return tarfile.open(fileobj=io.BytesIO(body))


def dump_of(s3, bucket, job, host="algo-1"):
    return json.load(artifact(s3, bucket, job, "output.tar.gz").extractfile(f"dump-{host}.json"))


def wait_for_line(log_lines, name, text, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if any(text in line for line in log_lines(name)):
                return
        except ClientError:  # no log group before the first job writes
            pass
        time.sleep(0.05)
    raise AssertionError(f"{text!r} did not come")


def ends_with_code(reason, code):
    """The exit code, and where the log tells more."""
    return re.search(rf", exit code: {code}( \(line \d+ of log stream \S+\))?$", reason) and len(reason) <= 1024


@pytest.fixture
def channel(training_data):
    return [{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
        "S3DataType": "S3Prefix", "S3Uri": training_data, "S3DataDistributionType": "FullyReplicated"}}}]


CONTRACT_FOLDERS = {"/opt/ml/input/", "/opt/ml/input/config/", "/opt/ml/input/data/", "/opt/ml/input/data/train/",
                    "/opt/ml/model/", "/opt/ml/output/", "/opt/ml/output/data/"}


def check_contract(dump, server, job, own_entry_point):
    assert CONTRACT_FOLDERS <= set(dump["tree"]), dump["tree"]
    assert "/opt/ml/input/data/train/part-0.csv" in dump["tree"]
    assert "/opt/ml/input/data/train-manifest" in dump["tree"]
    config = dump["config"]
    # Local mode's file knows the mode only (gap 7).
    assert config["inputdataconfig.json"] == {"train": {
        "ContentType": "text/csv", "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None"}}
    # Local mode has neither groups nor types, and other host names (gaps 8 and 9).
    assert config["resourceconfig.json"] == {
        "current_host": "algo-1", "current_instance_type": "ml.m5.large", "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"], "network_interface_name": "eth0", "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.large", "hosts": ["algo-1"]}]}
    assert all(isinstance(value, str) for value in config["hyperparameters.json"].values())
    assert config["hyperparameters.json"]["epochs"] == "2"
    env = dump["env"]
    assert env["TRAINING_JOB_NAME"] == job
    assert env["TRAINING_JOB_ARN"] == f"arn:aws:sagemaker:us-west-2:{server.account}:training-job/{job}"
    assert env["AWS_REGION"] == "us-west-2" and env["DMLC_INTERFACE"] == "eth0" and env["GREETING"] == "hello"
    assert env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"].startswith("/v2/credentials/")
    assert dump["host"] == "algo-1" and dump["uid"] == 0
    assert not any(name.startswith("AWS_SECRET") or name == "AWS_ACCESS_KEY_ID" for name in env)  # gap 15
    if own_entry_point:
        assert not any(name.startswith("SM_") for name in env)
        return
    assert env["SM_HPS"] == '{"epochs":2,"name":"two words"}'
    assert env["SM_CHANNEL_TRAIN"] == "/opt/ml/input/data/train" and env["SM_CHANNELS"] == '["train"]'
    assert env["SM_MODEL_DIR"] == "/opt/ml/model" and env["SM_OUTPUT_DATA_DIR"] == "/opt/ml/output/data"
    assert env["SM_NUM_CPUS"] == env["OMP_NUM_THREADS"]
    assert json.loads(env["SM_TRAINING_ENV"])["job_name"] == job
    assert env["PYTHONPATH"].split(":")[0] == "/opt/ml/code" and "/opt/millwright/python" in env["PYTHONPATH"].split(":")
    assert dump["cwd"] == "/opt/ml/code"


def test_a_script_finds_the_whole_contract(sm, s3, server, bucket, script_request, channel, finish, unique):
    sm.create_training_job(**script_request({"train.py": DUMP}, InputDataConfig=channel, Environment={"GREETING": "hello"},
                                            hyperparameters={"epochs": 2, "name": "two words"}))
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    dump = dump_of(s3, bucket, unique)
    check_contract(dump, server, unique, own_entry_point=False)
    assert dump["argv"] == ["train.py", "--epochs", "2", "--name", "two words"]
    assert artifact(s3, bucket, unique, "model.tar.gz").getnames() == ["weights"]
    # Local mode packs the whole output folder (gap 13).
    assert artifact(s3, bucket, unique, "output.tar.gz").getnames() == ["dump-algo-1.json"]


def test_a_command_of_the_request_finds_the_same_tree(sm, s3, server, bucket, script_request, channel, finish, unique):
    request = script_request({"dump.py": DUMP}, entry="dump.py", InputDataConfig=channel, Environment={"GREETING": "hello"},
                             hyperparameters={"epochs": 2})
    request["AlgorithmSpecification"].update(ContainerEntrypoint=["/bin/sh", "-c", 'exec python /opt/ml/code/dump.py "$@"'],
                                             ContainerArguments=["first", "a b"])
    sm.create_training_job(**request)
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    dump = dump_of(s3, bucket, unique)
    check_contract(dump, server, unique, own_entry_point=True)
    assert dump["argv"] == ["/opt/ml/code/dump.py", "a b"]  # "first" is $0 of the shell


def test_arguments_alone_replace_the_word_train(sm, script_request, log_lines, finish, unique):
    # Local mode ignores them (gap 26).
    request = script_request({"train.py": "print('not this')"})
    request["AlgorithmSpecification"]["ContainerArguments"] = ["python", "-c", "print('arguments only')"]
    sm.create_training_job(**request)
    assert finish(unique, 300)["TrainingJobStatus"] == "Completed"
    assert "arguments only" in log_lines(unique)


def test_two_hosts_have_their_names_and_reach_each_other(sm, s3, bucket, script_request, finish, unique):
    request = script_request({"train.py": DUMP})
    request["ResourceConfig"]["InstanceCount"] = 2
    sm.create_training_job(**request)
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    for rank, host in enumerate(("algo-1", "algo-2")):
        dump = dump_of(s3, bucket, unique, host)
        assert dump["host"] == dump["env"]["SM_CURRENT_HOST"] == host
        assert dump["env"]["SM_HOSTS"] == '["algo-1","algo-2"]'
        assert len(set(dump["hosts"].values())) == 2


def test_shell_scripts_and_their_arguments(sm, script_request, log_lines, finish, unique):
    sm.create_training_job(**script_request({"run.sh": 'echo "args: $@"; echo to-stderr >&2\n'}, entry="run.sh",
                                            hyperparameters={"b": 1, "name": "x y"}))
    assert finish(unique, 300)["TrainingJobStatus"] == "Completed"
    lines = log_lines(unique)
    assert "args: -b 1 --name x y" in lines and "to-stderr" in lines


def test_the_role_is_the_jobs_only_identity(sm, server, script_request, log_lines, finish, unique):
    sm.create_training_job(**script_request({"train.py": """
import json, os, urllib.request
answer = urllib.request.urlopen("http://169.254.170.2" + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"], timeout=10)
print("role", json.load(answer)["RoleArn"])
"""}))
    assert finish(unique, 300)["TrainingJobStatus"] == "Completed"
    assert f"role arn:aws:iam::{server.account}:role/SageMakerRole" in log_lines(unique)


def test_create_returns_at_once_and_the_job_is_listed(sm, script_request, log_lines, finish, unique):
    # Local mode blocks, cannot list and cannot stop (gap 3).
    begin = time.monotonic()
    sm.create_training_job(**script_request({"train.py": "import time; time.sleep(120)"}))
    assert time.monotonic() - begin < 20
    assert unique in [j["TrainingJobName"] for j in sm.list_training_jobs(NameContains=unique)["TrainingJobSummaries"]]
    sm.stop_training_job(TrainingJobName=unique)
    assert finish(unique)["TrainingJobStatus"] == "Stopped"


def test_code_in_a_channel_runs_without_any_network(sm, s3, bucket, script_request, log_lines, finish, unique):
    """As the SDK sends it for enable_network_isolation=True: the archive in channel "code"."""
    request = script_request({"train.py": textwrap.dedent("""
        import os, socket
        print("in", os.getcwd(), "credentials", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in os.environ)
        for address in (("169.254.170.2", 80), ("169.254.170.2", 3128), ("127.0.0.1", 80)):
            try: socket.create_connection(address, timeout=2); print("reached", address)
            except OSError: pass
        """)}, InputDataConfig=[{"ChannelName": "code", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{unique}/source/", "S3DataDistributionType": "FullyReplicated"}}}],
        EnableNetworkIsolation=True)
    request["HyperParameters"]["sagemaker_submit_directory"] = json.dumps("/opt/ml/input/data/code/sourcedir.tar.gz")
    sm.create_training_job(**request)
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    lines = log_lines(unique)
    assert "in /opt/ml/code credentials False" in lines and not any("reached" in line for line in lines), lines


# How scripts fail. Local mode only raises RuntimeError (gap 4) and describes little (gap 5).

def test_a_traceback_becomes_the_failure_reason(sm, script_request, finish, unique):
    sm.create_training_job(**script_request({"train.py": textwrap.dedent("""
        from library import load
        def main():
            load("prices.csv")
        main()
        """), "library.py": "def load(name):\n    raise ValueError(f'{name} has no column \"price\"')\n"}))
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    reason = job["FailureReason"]
    assert reason.startswith('AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "Traceback'), reason
    assert 'File "/opt/ml/code/train.py", line 4, in main' in reason
    assert 'File "/opt/ml/code/library.py", line 2, in load' in reason
    assert 'ValueError: prices.csv has no column "price"' in reason
    assert ends_with_code(reason, 1), reason
    assert job["TrainingTimeInSeconds"] >= 1 and job["BillableTimeInSeconds"] >= 1


def test_the_exception_of_a_deep_traceback_is_always_told(sm, script_request, finish, unique):
    name = unique + "-" + "n" * (62 - len(unique))  # the longest there is: the reason also names the log stream
    request = script_request({"train.py": textwrap.dedent("""
        import json
        def deeper(n):
            if n == 0: json.loads("{" + "x" * 3000)
            deeper(n - 1)
        try: deeper(300)
        except ValueError as problem: raise KeyError("the end of it " + "y" * 3000) from problem
        """)})
    sm.create_training_job(**{**request, "TrainingJobName": name})
    reason = finish(name, 300)["FailureReason"]
    assert ends_with_code(reason, 1) and "KeyError: 'the end of it yyy" in reason and 'train.py", line 7' in reason, reason
    assert 'Command "python train.py"' in reason


def test_a_failure_file_of_three_kilobytes_is_cut(sm, s3, bucket, script_request, finish, unique):
    sm.create_training_job(**script_request({"train.py": textwrap.dedent("""
        import sys
        open("/opt/ml/output/failure", "w").write("because " + "x" * 3000)
        open("/opt/ml/model/partial", "w").write("1")
        sys.exit(1)
        """)}))
    job = finish(unique, 300)
    assert len(job["FailureReason"]) == 1024
    assert job["FailureReason"].startswith("AlgorithmError: because xxx") and ends_with_code(job["FailureReason"], 1)
    assert artifact(s3, bucket, unique, "model.tar.gz").getnames() == ["partial"]


def test_out_of_memory_is_told_as_such(sm, script_request, finish, unique):
    request = script_request({"train.py": "held = []\nwhile True: held.append(b'x' * (64 << 20))\n"})
    request["ResourceConfig"]["InstanceType"] = "ml.t3.medium"
    sm.create_training_job(**request)
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Failed"
    assert "Please use an instance type with more memory" in job["FailureReason"], job["FailureReason"]
    assert ends_with_code(job["FailureReason"], 137), job["FailureReason"]


def test_signals_are_told_by_name(sm, script_request, finish, unique):
    sm.create_training_job(**script_request({"train.py": "import ctypes; ctypes.string_at(0)"}))
    reason = finish(unique, 300)["FailureReason"]
    assert "SIGSEGV" in reason and ends_with_code(reason, 139), reason


@pytest.mark.parametrize("files, entry, reason", [
    ({"other.py": ""}, "train.py", "ClientError: the code has no train.py (hyperparameter sagemaker_program); it has other.py"),
    ({"train.py": "y = = 2\n"}, "train.py", "SyntaxError: invalid syntax"),
    ({"train.py": "import sys; sys.exit('no data for March')"}, "train.py", 'ErrorMessage "no data for March"'),
    ({"run.sh": "#!/bin/bash\r\ntrue\r\n"}, "run.sh", "carriage return"),
])
def test_mistakes_in_the_code_are_named(sm, script_request, finish, unique, files, entry, reason):
    sm.create_training_job(**script_request(files, entry=entry))
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Failed" and reason in job["FailureReason"], job["FailureReason"]


# How scripts are ended by others.

LISTENING = textwrap.dedent("""
    import signal, sys, time
    def save(number, frame):
        print("heard", signal.Signals(number).name, flush=True)
        time.sleep(0.5)
        open("/opt/ml/model/saved", "w").write("1")
        sys.exit(0)
    signal.signal(signal.SIGTERM, save)
    print("training", flush=True)
    time.sleep(600)
    """)


def test_stop_lets_a_script_save_its_model(sm, s3, bucket, script_request, log_lines, finish, unique):
    sm.create_training_job(**script_request({"train.py": LISTENING}))
    wait_for_line(log_lines, unique, "training", 300)
    sm.stop_training_job(TrainingJobName=unique)
    job = finish(unique)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped" and "FailureReason" not in job
    assert "heard SIGTERM" in log_lines(unique)
    assert artifact(s3, bucket, unique, "model.tar.gz").getnames() == ["saved"]


def test_the_end_of_the_time_does_likewise(sm, s3, bucket, script_request, log_lines, finish, unique):
    sm.create_training_job(**script_request({"train.py": LISTENING}, StoppingCondition={"MaxRuntimeInSeconds": 10}))
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Stopped" and job["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert "heard SIGTERM" in log_lines(unique)
    assert artifact(s3, bucket, unique, "model.tar.gz").getnames() == ["saved"]
    assert 10 <= job["TrainingTimeInSeconds"] <= 40  # who does not listen is killed after two minutes


def test_processes_that_a_script_leaves_behind_end_with_it(sm, script_request, finish, unique):
    sm.create_training_job(**script_request({"train.py": textwrap.dedent("""
        import subprocess
        subprocess.Popen(["sh", "-c", "while true; do echo noise >&2; sleep 0.01; done"], start_new_session=True)
        """)}))
    begin = time.monotonic()
    job = finish(unique, 300)
    assert job["TrainingJobStatus"] == "Completed" and time.monotonic() - begin < 120
    assert job["TrainingTimeInSeconds"] <= 30


def test_an_estimator_of_the_sdk_with_requirements(server, environment, bucket, finish, log_lines, tmp_path):
    """The toolkit's case: sourcedir.tar.gz made by the SDK, requirements.txt, a helper module."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "requirements.txt").write_text("tabulate==0.9.0\n")
    (source / "helper.py").write_text("import tabulate\nversion = tabulate.__version__\n")
    (source / "train.py").write_text(textwrap.dedent("""
        import argparse, os
        import joblib, numpy as np
        from sklearn.linear_model import LogisticRegression
        from sagemaker_training import environment
        import helper
        parser = argparse.ArgumentParser()
        parser.add_argument("--inverse", type=float)
        parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
        arguments = parser.parse_args()
        print("tabulate", helper.version, environment.Environment().hyperparameters)
        x = np.random.RandomState(0).rand(100, 2)
        model = LogisticRegression(C=arguments.inverse).fit(x, x[:, 0] > 0.5)
        joblib.dump(model, os.path.join(arguments.model_dir, "model.joblib"))
        """))
    (tmp_path / "job.py").write_text(textwrap.dedent(f"""
        import sys
        from sagemaker.sklearn import SKLearn
        estimator = SKLearn("train.py", source_dir={str(source)!r}, role="SageMakerRole", framework_version="1.2-1",
                            instance_type="ml.m5.large", hyperparameters={{"inverse": 0.5}}, output_path="s3://{bucket}/output")
        estimator.fit(job_name=sys.argv[1], logs="None")
        """))
    for number in range(2):
        name = f"sdk-requirements-{number}-{int(time.time())}"
        result = subprocess.run([sys.executable, tmp_path / "job.py", name], env=environment, capture_output=True,
                                text=True, timeout=900)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        lines = log_lines(name)
        assert "tabulate 0.9.0 {'inverse': 0.5}" in lines, lines
        assert not any("Collecting" in line or "Installing collected" in line for line in lines)
