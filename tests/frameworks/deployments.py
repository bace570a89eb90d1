"""Models of each framework as the SDKs' estimators deploy them: a script that leaves a tiny model and what it says to
some rows, and the script that serving needs beside it."""
import json
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "containers"))
from default_models import ROWS, SCRIPTS, maker  # noqa: E402


def write_code(name, folder):
    """train.py and inference.py, which the estimators want even where the image's own functions do."""
    (folder / "train.py").write_text(maker(name))
    (folder / "inference.py").write_text(SCRIPTS.get(name, "# the image knows this form of a model\n"))
    return str(folder)


LIBSVM = "\n".join("0 " + " ".join(f"{place}:{value}" for place, value in enumerate(row)) for row in ROWS)
# What the predictors of SDK v2 take; other frameworks take arrays, and so does XGBoost in v1.
BODIES = {"tensorflow": {"instances": ROWS}, "mxnet": ROWS, "xgboost": LIBSVM}


def check_answers(name, predictor, model, body=None):
    """`model`: the folder that the training left. `body`: in the place of the usual one."""
    expected = json.loads((model / "expected.json").read_text())
    answer = predictor.predict(BODIES.get(name, np.array(ROWS, dtype="float32")) if body is None else body)
    answer = answer["predictions"] if name == "tensorflow" else answer
    if isinstance(answer, bytes):
        answer = [float(number) for number in answer.decode().replace("\n", ",").split(",") if number]
    assert np.allclose(np.ravel(np.array(answer, dtype="float64")), expected, atol=1e-4), (answer, expected)
