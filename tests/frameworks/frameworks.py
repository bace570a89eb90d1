"""What each framework's test needs, for both generations of the SDK, and what they have in common."""
import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from server import ENVIRONMENTS

SCRIPTS = Path(__file__).resolve().parent / "scripts"
# The first run builds the environments, which takes minutes each; see docs/guides/frameworks.md.
PATIENCE = 3600
# The socket of a container engine: the same jobs, in the prebuilt images, which it builds first.
ENGINE = os.environ.get("MILLWRIGHT_FRAMEWORK_IMAGES", "")
XGBOOST = {"max_depth": 4, "eta": 0.3, "objective": "multi:softmax", "num_class": 10, "num_round": 40}


@dataclass
class Framework:
    estimator: str  # where the SDK has it
    v1: dict  # framework_version and py_version
    v2: dict
    recipes: dict  # generation of the SDK -> name of the environment that these lead to
    data: str = "npz"
    hyperparameters: dict = field(default_factory=dict)
    accuracy: float = 0.95

    def image(self, generation=2):
        """ "pytorch-2.13.0" -> "millwright/pytorch:2.13.0" """
        name, _, version = self.recipes[generation].rpartition("-")
        return f"millwright/{name}:{version}"


FRAMEWORKS = {
    "pytorch": Framework("sagemaker.pytorch.PyTorch", dict(framework_version="1.5.0", py_version="py3"),
                         dict(framework_version="2.0.0", py_version="py310"),
                         {1: "pytorch-2.13.0", 2: "pytorch-2.13.0"}, hyperparameters={"epochs": 12, "lr": 0.05}),
    "tensorflow": Framework("sagemaker.tensorflow.TensorFlow",
                            dict(framework_version="2.2.0", py_version="py37", script_mode=True),
                            dict(framework_version="2.12", py_version="py310"),
                            {1: "tensorflow-2.15.1", 2: "tensorflow-2.15.1"}, hyperparameters={"epochs": 30}),
    "mxnet": Framework("sagemaker.mxnet.MXNet", dict(framework_version="1.6.0", py_version="py3"),
                       dict(framework_version="1.9.0", py_version="py38"), {1: "mxnet-1.9.1", 2: "mxnet-1.9.1"},
                       hyperparameters={"batch-size": 50, "epochs": 20, "learning-rate": 0.1}),
    "chainer": Framework("sagemaker.chainer.Chainer", dict(framework_version="5.0.0", py_version="py3"),
                         dict(framework_version="5.0.0", py_version="py3"), {1: "chainer-7.8.1", 2: "chainer-7.8.1"},
                         hyperparameters={"epochs": 25, "batch-size": 64}),
    "sklearn": Framework("sagemaker.sklearn.SKLearn", dict(framework_version="0.23-1", py_version="py3"),
                         dict(framework_version="1.2-1", py_version="py3"),
                         {1: "scikit-learn-1.2.2", 2: "scikit-learn-1.2.2"}, data="csv",
                         hyperparameters={"n-estimators": 100}),
    "xgboost": Framework("sagemaker.xgboost.XGBoost", dict(framework_version="1.0-1", py_version="py3"),
                         dict(framework_version="1.7-1", py_version="py3"),
                         {1: "xgboost-1.7.6", 2: "xgboost-1.7.6"}, data="csv", hyperparameters=XGBOOST,
                         accuracy=0.94),
}

# Some of them: "pytorch,sklearn".
if os.environ.get("MILLWRIGHT_FRAMEWORKS"):
    FRAMEWORKS = {name: FRAMEWORKS[name] for name in os.environ["MILLWRIGHT_FRAMEWORKS"].split(",")}

if ENGINE:
    for _framework in FRAMEWORKS.values():
        _framework.v1["image_name"], _framework.v2["image_uri"] = _framework.image(1), _framework.image(2)


def class_of(path):
    module, name = path.rsplit(".", 1)
    return getattr(__import__(module, fromlist=[name]), name)


def wait_until_done(sm, name):
    """Describes the job until it has ended; returns the last description."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        about = sm.describe_training_job(TrainingJobName=name)
        if about["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            return about
        time.sleep(1)
    raise TimeoutError(f"{name} is still {about['SecondaryStatus']}: {about['SecondaryStatusTransitions'][-1]}")


def environment_of(name):
    """Folder of the environment of that name, the newest if there are several."""
    found = []
    for record in ENVIRONMENTS.glob("*/environment.json"):
        about = json.loads(record.read_text())
        if about["name"] == name and not about["requirements"]:
            found.append((about["built_ms"], record.parent / "tree"))
    assert found, f"no environment {name} was built"
    return max(found)[1]


def write_digits(root):
    """Below `root`, folders "training" and "testing", each with digits.npz and digits.csv (the label first)."""
    import numpy as np
    from sklearn.datasets import load_digits
    digits = load_digits()
    order = np.random.RandomState(3).permutation(len(digits.target))
    for name, part in {"training": order[:1440], "testing": order[1440:]}.items():
        x, y = (digits.data[part] / 16).astype("float32"), digits.target[part].astype("int64")
        (root / name).mkdir()
        np.savez(root / name / "digits.npz", x=x, y=y)
        np.savetxt(root / name / "digits.csv", np.column_stack([y, x]), delimiter=",", fmt="%.6g")
    return root


def accuracy_in_plain_python(script, recipe, model, data):
    """Runs `script`, which loads the model and predicts, with the interpreter of the environment, outside of any job."""
    if ENGINE:
        return accuracy_in_image(script, recipe, model, data)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SM_"))}
    out = subprocess.run([environment_of(recipe) / "bin/python", script, model, data], env=clean, cwd=script.parent,
                         capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stderr[-4000:]
    return float(out.stdout.rsplit("accuracy", 1)[1])


def accuracy_in_image(script, recipe, model, data):
    image = next(f.image(g) for f in FRAMEWORKS.values() for g in (1, 2) if f.recipes[g] == recipe)
    out = subprocess.run(["docker", "-H", f"unix://{ENGINE}", "run", "--rm", "--network", "none", "-v", f"{script.parent}:/scripts:ro",
                          "-v", f"{model}:/model:ro", "-v", f"{data}:/data:ro", image, "python", f"/scripts/{script.name}",
                          "/model", "/data"], capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stderr[-4000:]
    return float(out.stdout.rsplit("accuracy", 1)[1])
