"""The framework estimators of SDK v2, unmodified: each trains the user's own script on the digits, and what it saved
predicts in plain Python."""
import time

import pytest
from frameworks import ENGINE, FRAMEWORKS, SCRIPTS, accuracy_in_plain_python, class_of, wait_until_done


@pytest.fixture(scope="module")
def started(aws, digits):
    """All jobs are submitted at once; they wait for each other where the machine is too small."""
    jobs = {}
    for name, framework in FRAMEWORKS.items():
        estimator = class_of(framework.estimator)(
            entry_point="train.py", source_dir=str(SCRIPTS / name), role="SageMakerRole", instance_count=1,
            instance_type="ml.m5.large", hyperparameters=framework.hyperparameters, base_job_name=f"v2-{name}",
            **framework.v2)
        estimator.fit(digits[framework.data], wait=False)
        jobs[name] = estimator
    return jobs


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_estimator_trains_a_script(name, started, sm, digits_folders, fetch_model, log_lines):
    estimator, framework = started[name], FRAMEWORKS[name]
    job = estimator.latest_training_job.name
    about = wait_until_done(sm, job)
    assert about["TrainingJobStatus"] == "Completed", about.get("FailureReason")
    lines = log_lines(job)
    # The versions differ from those that were asked for, and the job says so.
    if name in ("pytorch", "tensorflow", "chainer") and not ENGINE:
        assert any("was asked for; this is" in line for line in lines), lines[:20]
    model = fetch_model(estimator)
    accuracy = accuracy_in_plain_python(SCRIPTS / name / "predict.py", framework.recipes[2], model,
                                        digits_folders / "testing")
    print(f"{name}: accuracy {accuracy:.4f}, {about['BillableTimeInSeconds']} billable s")
    assert accuracy >= framework.accuracy


def test_fit_waits_and_shows_the_log(aws, digits, capsys):
    """As in a notebook: fit() blocks, prints the log of the job, and returns when it is done."""
    from sagemaker.sklearn import SKLearn
    estimator = SKLearn(entry_point="train.py", source_dir=str(SCRIPTS / "sklearn"), **FRAMEWORKS["sklearn"].v2,
                        role="SageMakerRole", instance_count=1, instance_type="ml.m5.large",
                        hyperparameters={"n-estimators": 20},
                        metric_definitions=[{"Name": "validation:accuracy", "Regex": "validation accuracy: ([0-9.]+);"}])
    estimator.fit(digits["csv"])
    out = capsys.readouterr().out
    assert "validation accuracy: 0.9" in out
    assert "Training seconds: " in out
    metrics = estimator.latest_training_job.describe()["FinalMetricDataList"]
    assert [m["MetricName"] for m in metrics] == ["validation:accuracy"] and metrics[0]["Value"] > 0.9


@pytest.mark.skipif(bool(ENGINE), reason="in an image every job installs its own")
def test_requirements_are_installed_once(aws, digits, sm, tmp_path, log_lines):
    """The second job with the same requirements.txt installs nothing, and starts as one without."""
    from sagemaker.sklearn import SKLearn
    (tmp_path / "train.py").write_text("import os, emoji\nprint('emoji', emoji.__version__, os.path.dirname(emoji.__file__))\n")
    (tmp_path / "requirements.txt").write_text("# for the log\nemoji==2.14.0\n")
    seconds = []
    for _ in range(2):
        estimator = SKLearn(entry_point="train.py", source_dir=str(tmp_path), framework_version="1.2-1",
                            role="SageMakerRole", instance_count=1, instance_type="ml.m5.large", base_job_name="needs")
        begun = time.monotonic()
        estimator.fit(wait=False)
        about = wait_until_done(sm, estimator.latest_training_job.name)
        seconds.append(time.monotonic() - begun)
        assert about["TrainingJobStatus"] == "Completed", about.get("FailureReason")
        lines = log_lines(estimator.latest_training_job.name)
        assert any(line.startswith("emoji 2.14.0 /opt/millwright/environments/") for line in lines), lines
        assert not any("Collecting" in line or "Installing collected" in line for line in lines)
    print(f"first job {seconds[0]:.1f} s, second {seconds[1]:.1f} s")
    starting = [t for t in about["SecondaryStatusTransitions"] if t["Status"] == "Starting"]
    assert not any("Installing" in t["StatusMessage"] for t in starting), starting
    assert seconds[1] < 20


def test_pips_words_say_why_a_job_failed(aws, sm, tmp_path):
    from sagemaker.sklearn import SKLearn
    (tmp_path / "train.py").write_text("print('never')\n")
    (tmp_path / "requirements.txt").write_text("emoji==999.0\n")
    estimator = SKLearn(entry_point="train.py", source_dir=str(tmp_path), role="SageMakerRole", instance_count=1,
                        instance_type="ml.m5.large", base_job_name="cannot", **FRAMEWORKS["sklearn"].v2)
    estimator.fit(wait=False)
    about = wait_until_done(sm, estimator.latest_training_job.name)
    assert about["TrainingJobStatus"] == "Failed"
    assert "No matching distribution found for emoji==999.0" in about["FailureReason"]
