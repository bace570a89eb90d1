"""Failures that explain themselves: the reason in the description, the card of `millwright jobs show`, the shell of
`millwright jobs enter` in what a failed job left behind."""
import io
import json
import subprocess
import tarfile
import time

import pytest
from server import BIN


def jobs_command(server, *words, timeout=90):
    return subprocess.run([BIN / "millwright", "jobs", *words[:1], "--data-dir", server.folder, *words[1:]],
                          capture_output=True, text=True, timeout=timeout)


def failed_reason(sm, finish, request):
    sm.create_training_job(**request)
    job = finish(request["TrainingJobName"], 120)
    assert job["TrainingJobStatus"] == "Failed", job
    assert len(job["FailureReason"]) <= 1024
    return job["FailureReason"]


def command_request(script_request, words, **changes):
    """A job that runs a command of its own in the plain Python environment."""
    request = script_request({"train.py": ""}, **changes)
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = words
    return request


def test_a_command_without_a_failure_file_is_quoted_from_its_log(sm, script_request, finish, log_lines, unique):
    script = "print('loading'); print('epoch 1'); raise KeyError('label')"
    reason = failed_reason(sm, finish, command_request(script_request, ["python", "-u", "-c", script]))
    assert reason.startswith("AlgorithmError: Traceback (most recent call last):\n")
    assert "KeyError: 'label', exit code: 1 (line " in reason
    # The line of the log is the one where the traceback begins.
    line = int(reason.rsplit("(line ", 1)[1].split(" ")[0])
    assert log_lines(unique)[line - 1] == "Traceback (most recent call last):"
    assert f"log stream {unique}/algo-1-" in reason


@pytest.mark.parametrize("words, reason", [
    (["bash", "-c", "echo no space for rows >&2; exit 3"], "AlgorithmError: no space for rows, exit code: 3"),
    (["bash", "-c", "kill -SEGV $$"], "AlgorithmError: the process was killed by signal SIGSEGV (Segmentation fault), "
                                      "exit code: 139"),
    (["python", "-c", "import os; os.abort()"], "signal SIGABRT (Aborted)"),
    (["bash", "-c", "mkfifo /tmp/x; (kill -KILL $BASHPID); exit $?"], "a process of it was killed by signal SIGKILL"),
])
def test_the_end_of_a_command_is_named(sm, script_request, finish, words, reason):
    assert reason in failed_reason(sm, finish, command_request(script_request, words))


def test_too_much_memory_is_the_kernels_word(sm, script_request, finish):
    request = script_request({"train.py": "import time\nhoard = []\nwhile True: hoard.append(bytearray(1 << 24))\n"})
    request["ResourceConfig"].update(InstanceType="ml.t3.medium")
    reason = failed_reason(sm, finish, request)
    assert reason.startswith("AlgorithmError: Please use an instance type with more memory: the process used more than the ")
    assert "MiB of memory it has" in reason


def test_the_host_that_failed_first_is_named(sm, server, script_request, finish, unique):
    request = script_request({"train.py": "import os, sys, time\nif os.environ['SM_CURRENT_HOST'] == 'algo-2':\n"
                                          "    sys.exit('bad shard')\ntime.sleep(60)\n"})
    request["ResourceConfig"]["InstanceCount"] = 2
    reason = failed_reason(sm, finish, request)
    assert "bad shard" in reason
    assert f"(algo-2 failed first, line 2 of log stream {unique}/algo-2-" in reason
    card = jobs_command(server, "show", unique).stdout
    assert "algo-2: exit code 1 (the first)" in card
    assert f"Last lines of log stream {unique}/algo-2-" in card


def test_the_card_of_a_failed_job(sm, server, script_request, finish, unique):
    failed_reason(sm, finish, script_request({"train.py": "print('\\x1b[2Jhello')\nimport no_such_package\n"}))
    shown = jobs_command(server, "show", unique)
    assert shown.returncode == 0, shown.stderr
    card = shown.stdout
    assert card.startswith(f"{unique}: Failed\n")
    assert "ModuleNotFoundError: No module named 'no_such_package'" in card
    assert "1 x ml.m5.large, each " in card and "5 GiB of disk" in card
    assert "name the package in a requirements.txt" in card
    assert f"millwright jobs enter {unique}" in card
    assert "\x1b" not in card  # a job does not steer the terminal
    for status in ("Starting", "Downloading", "Training", "Uploading", "Failed"):
        assert status in card
    document = json.loads(jobs_command(server, "show", "--json", unique).stdout)
    assert document["status"] == "Failed" and document["hosts"][0]["exit_code"] == 1
    assert unique in jobs_command(server, "list").stdout
    logs = jobs_command(server, "logs", unique).stdout
    assert "ModuleNotFoundError" in logs


def test_a_failed_job_can_be_entered(sm, server, script_request, finish, unique):
    script = ("import os, pathlib\npathlib.Path('/tmp/state').write_text('epoch 7')\n"
              "pathlib.Path('/opt/ml/code/note').write_text('mine')\nraise RuntimeError('as planned')\n")
    failed_reason(sm, finish, script_request({"train.py": script}, hyperparameters={"alpha": 1}))
    look = ("cat /tmp/state /opt/ml/code/note && python -c 'import os, sys; print(sys.prefix, os.environ[\"TRAINING_JOB_NAME\"])'"
            " && grep -o alpha /opt/ml/input/config/hyperparameters.json && exit 7")
    entered = jobs_command(server, "enter", unique, "--", "bash", "-c", look)
    assert entered.returncode == 7, (entered.stdout, entered.stderr)
    assert "epoch 7mine" in entered.stdout
    assert "/opt/millwright/environments/" in entered.stdout and unique in entered.stdout
    assert "alpha" in entered.stdout


def test_a_running_job_can_be_entered_and_followed(sm, server, script_request, finish, unique):
    sm.create_training_job(**script_request({"train.py": "import time\nprint('ready now', flush=True)\ntime.sleep(60)\n"}))
    deadline = time.monotonic() + 120
    while "ready now" not in jobs_command(server, "logs", unique).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    entered = jobs_command(server, "enter", unique, "--", "bash", "-c", "cat /proc/*/cmdline | tr '\\0' ' '")
    assert "train.py" in entered.stdout, (entered.stdout, entered.stderr)
    following = subprocess.Popen([BIN / "millwright", "jobs", "logs", "--follow", unique, "--data-dir", server.folder],
                                 stdout=subprocess.PIPE, text=True)
    try:
        assert jobs_command(server, "stop", unique).returncode == 0
        assert finish(unique)["TrainingJobStatus"] == "Stopped"
        output, _ = following.communicate(timeout=90)
    finally:
        following.kill()
    assert "ready now" in output and following.returncode == 0


def test_what_cannot_be_shown_says_so(server, sm, training_request, finish, unique, tmp_path):
    assert "not found" in jobs_command(server, "show", "no-such-job").stderr
    nowhere = subprocess.run([BIN / "millwright", "jobs", "list", "--data-dir", tmp_path], capture_output=True, text=True)
    assert nowhere.returncode == 1 and "no server is running with" in nowhere.stderr
    sm.create_training_job(**training_request())
    assert finish(unique)["TrainingJobStatus"] == "Completed"
    entered = jobs_command(server, "enter", unique)
    assert entered.returncode == 1 and "there is nothing to enter" in entered.stderr


def test_hosts_of_different_groups_have_their_own_size(sm, script_request, finish, log_lines, unique):
    script = ("import json, os\nconfig = json.load(open('/opt/ml/input/config/resourceconfig.json'))\n"
              "print('group', config['current_group_name'], config['current_instance_type'])\n")
    request = script_request({"train.py": script}, ResourceConfig={"VolumeSizeInGB": 5, "InstanceGroups": [
        {"InstanceGroupName": "small", "InstanceType": "ml.t3.medium", "InstanceCount": 1},
        {"InstanceGroupName": "large", "InstanceType": "ml.m5.large", "InstanceCount": 1}]})
    sm.create_training_job(**request)
    job = finish(unique, 120)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["ResourceConfig"]["InstanceGroups"] == request["ResourceConfig"]["InstanceGroups"]
    assert "group small ml.t3.medium" in log_lines(unique, "algo-1")
    assert "group large ml.m5.large" in log_lines(unique, "algo-2")


def test_a_long_failure_file_is_cut_to_what_the_description_holds(sm, script_request, finish):
    words = ["bash", "-c", "printf '%03000d' 7 > /opt/ml/output/failure; exit 1"]
    reason = failed_reason(sm, finish, command_request(script_request, words))
    assert len(reason) == 1024
    assert reason.startswith("AlgorithmError: 0000") and ", exit code: 1" in reason


def test_a_stopped_job_sees_sigterm_and_keeps_its_model(sm, s3, bucket, script_request, finish, log_lines, unique):
    script = """
import pathlib, signal, sys, time
def leave(number, frame):
    pathlib.Path("/opt/ml/model/weights").write_text("as far as I got")
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("trains", flush=True)
time.sleep(60)
"""
    sm.create_training_job(**script_request({"train.py": script}))
    deadline = time.monotonic() + 120
    while "trains" not in log_lines(unique):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    sm.stop_training_job(TrainingJobName=unique)
    job = finish(unique)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "leaving" in log_lines(unique)
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{bucket}/")
    packed = tarfile.open(fileobj=io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    assert packed.extractfile("weights").read() == b"as far as I got"
