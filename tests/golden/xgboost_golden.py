"""Writes the golden files of the XGBoost tests: data sets, and what libxgboost's own Python package makes of them.

Needs xgboost 1.7.4 (the version of the library that Millwright links), scikit-learn and numpy:

    python xgboost_golden.py            # rewrites ./xgboost/*.csv, *.libsvm and cases.json

A case holds hyperparameters as a job gets them, the evaluation lines as xgboost prints them (tab written as #011), and
predictions on the validation set as Python floats, which are exact for float32.
"""
import json
import os

import numpy as np
import xgboost as xgb
from sklearn import datasets, metrics

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "xgboost")
assert xgb.__version__ == "1.7.4", xgb.__version__


def write_csv(name, x, y):
    with open(os.path.join(HERE, name), "w") as out:
        for row, label in zip(x, y):
            cells = ["" if np.isnan(v) else str(np.float32(v)) for v in row]
            out.write(",".join([repr(float(label))] + cells) + "\n")


def write_libsvm(name, x, y):
    with open(os.path.join(HERE, name), "w") as out:
        for row, label in zip(x, y):
            cells = [f"{i}:{np.float32(v)!s}" for i, v in enumerate(row) if v != 0]
            out.write(" ".join([repr(float(label))] + cells) + "\n")


def split(x, y, seed=7):
    order = np.random.RandomState(seed).permutation(len(y))
    cut = len(y) * 7 // 10
    return x[order[:cut]], y[order[:cut]], x[order[cut:]], y[order[cut:]]


def mushrooms(rows=1200, seed=3):
    """One-hot categories that decide a class with a little noise, in the manner of agaricus."""
    rng = np.random.RandomState(seed)
    sizes = [6, 4, 10, 2, 9, 4, 3, 2, 12, 2]
    columns = []
    hidden = np.zeros(rows)
    for size in sizes:
        value = rng.randint(size, size=rows)
        hidden += rng.normal(size=size)[value]
        columns.append(np.eye(size)[value])
    x = np.hstack(columns)
    y = ((hidden + rng.normal(scale=0.3, size=rows)) > 0).astype(float)
    return x, y


def make_sets():
    sets = {}
    bc = datasets.load_breast_cancer()
    sets["cancer"] = ("csv", *split(bc.data, bc.target.astype(float)))
    holes = bc.data.copy()
    holes[np.random.RandomState(1).uniform(size=holes.shape) < 0.1] = np.nan
    sets["cancer_holes"] = ("csv", *split(holes, bc.target.astype(float)))
    wine = datasets.load_wine()
    sets["wine"] = ("csv", *split(wine.data, wine.target.astype(float)))
    diabetes = datasets.load_diabetes()
    sets["diabetes"] = ("csv", *split(diabetes.data, diabetes.target.astype(float)))
    sets["mushrooms"] = ("libsvm", *split(*mushrooms()))
    for name, (form, xt, yt, xv, yv) in sets.items():
        write = write_csv if form == "csv" else write_libsvm
        write(f"{name}_train.{form}", xt, yt)
        write(f"{name}_validation.{form}", xv, yv)
    return sets


def matrix(form, x, y):
    x = x.astype(np.float32)
    if form == "libsvm":
        import scipy.sparse

        return xgb.DMatrix(scipy.sparse.csr_matrix(x), label=y)
    return xgb.DMatrix(x, label=y)


CASES = [
    ("defaults", "diabetes", {"num_round": 10}),
    ("binary", "cancer", {"objective": "binary:logistic", "num_round": 12, "eta": 0.2, "max_depth": 4, "eval_metric": "auc,logloss,error"}),
    ("binary_hist", "cancer", {"objective": "binary:logistic", "num_round": 12, "tree_method": "hist", "eval_metric": "aucpr,logloss"}),
    ("binary_approx", "cancer", {"objective": "binary:logistic", "num_round": 6, "tree_method": "approx"}),
    ("threshold", "cancer", {"objective": "binary:logistic", "num_round": 4, "eval_metric": "error@0.3"}),
    ("missing", "cancer_holes", {"objective": "binary:logistic", "num_round": 10, "max_depth": 5}),
    ("sampling", "cancer", {"objective": "binary:logistic", "num_round": 10, "subsample": 0.7, "colsample_bytree": 0.6, "colsample_bylevel": 0.8, "colsample_bynode": 0.9, "seed": 17}),
    ("regularised", "diabetes", {"num_round": 10, "gamma": 2, "lambda": 3, "alpha": 0.5, "min_child_weight": 4, "max_delta_step": 0.7, "base_score": 100, "eval_metric": "rmse,mae,mape"}),
    ("lossguide", "diabetes", {"num_round": 8, "tree_method": "hist", "grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0, "max_bin": 32}),
    ("forest", "diabetes", {"num_round": 3, "num_parallel_tree": 5, "subsample": 0.6, "seed": 4}),
    ("softprob", "wine", {"objective": "multi:softprob", "num_class": 3, "num_round": 6, "eval_metric": "merror,mlogloss"}),
    ("softmax", "wine", {"objective": "multi:softmax", "num_class": 3, "num_round": 6}),
    ("dart", "cancer", {"objective": "binary:logistic", "booster": "dart", "num_round": 8, "rate_drop": 0.3, "skip_drop": 0.2, "one_drop": 1, "sample_type": "weighted", "normalize_type": "forest", "seed": 5}),
    ("linear", "diabetes", {"booster": "gblinear", "updater": "coord_descent", "num_round": 10, "lambda": 0.5, "alpha": 0.1}),
    ("libsvm", "mushrooms", {"objective": "binary:logistic", "num_round": 2, "max_depth": 2, "eta": 1, "eval_metric": "logloss,auc"}),
    ("monotone", "diabetes", {"num_round": 6, "tree_method": "hist", "monotone_constraints": "(1,0,-1,0,0,0,0,0,0,0)"}),
    ("interaction", "diabetes", {"num_round": 6, "tree_method": "exact", "interaction_constraints": "[[0,1,2],[3,4,5,6],[7,8,9]]"}),
    ("poisson", "diabetes", {"objective": "count:poisson", "num_round": 6, "eval_metric": "poisson-nloglik"}),
    ("tweedie", "diabetes", {"objective": "reg:tweedie", "tweedie_variance_power": 1.3, "num_round": 6, "eval_metric": "rmse"}),
    ("gamma_objective", "diabetes", {"objective": "reg:gamma", "num_round": 6, "eval_metric": "gamma-deviance"}),
    ("early", "diabetes", {"num_round": 200, "eta": 0.5, "early_stopping_rounds": 4, "eval_metric": "mae,rmse"}),
    ("early_maximise", "cancer", {"objective": "binary:logistic", "num_round": 200, "early_stopping_rounds": 5, "eval_metric": "logloss,auc"}),
]
CUSTOM = {
    "custom_binary": ("cancer", {"objective": "binary:logistic", "num_round": 3, "max_depth": 2},
                      ["accuracy", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "precision", "precision_macro", "precision_micro", "recall", "recall_macro", "recall_micro"]),
    "custom_multi": ("wine", {"objective": "multi:softmax", "num_class": 3, "num_round": 2, "max_depth": 2, "min_child_weight": 20},
                     ["accuracy", "balanced_accuracy", "f1", "f1_macro", "precision_macro", "precision_micro", "recall_macro", "recall_micro"]),
    "custom_regression": ("diabetes", {"num_round": 3}, ["mse", "r2"]),
}


def scores_of(name, labels, margins, values):
    classes = margins.argmax(axis=1) if margins.ndim > 1 else (margins > 0).astype(int)
    macro, micro = {"average": "macro"}, {"average": "micro"}
    return {
        "accuracy": lambda: metrics.accuracy_score(labels, classes),
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(labels, classes),
        "f1": lambda: metrics.f1_score(labels, classes, **macro),
        "f1_binary": lambda: metrics.f1_score(labels, classes),
        "f1_macro": lambda: metrics.f1_score(labels, classes, **macro),
        "mse": lambda: metrics.mean_squared_error(labels, values),
        "precision": lambda: metrics.precision_score(labels, classes),
        "precision_macro": lambda: metrics.precision_score(labels, classes, **macro),
        "precision_micro": lambda: metrics.precision_score(labels, classes, **micro),
        "r2": lambda: metrics.r2_score(labels, values),
        "recall": lambda: metrics.recall_score(labels, classes),
        "recall_macro": lambda: metrics.recall_score(labels, classes, **macro),
        "recall_micro": lambda: metrics.recall_score(labels, classes, **micro),
    }[name]()


def format_lines(history):
    """As xgboost.callback.EvaluationMonitor prints them."""
    rounds = len(next(iter(next(iter(history.values())).values())))
    lines = []
    for i in range(rounds):
        line = f"[{i}]"
        for data, scores in history.items():
            for metric, values in scores.items():
                line += f"#011{data}-{metric}:{values[i]:.5f}"
        lines.append(line)
    return lines


def library_parameters(hyperparameters):
    params = dict(hyperparameters)
    rounds = params.pop("num_round")
    early = params.pop("early_stopping_rounds", None)
    if "eval_metric" in params:
        params["eval_metric"] = params["eval_metric"].split(",")
    return params, rounds, early


def run_case(name, data, hyperparameters, sets):
    form, xt, yt, xv, yv = sets[data]
    train, validation = matrix(form, xt, yt), matrix(form, xv, yv)
    params, rounds, early = library_parameters(hyperparameters)
    history = {}
    callbacks = []
    if early:
        metric = params["eval_metric"][-1]
        callbacks.append(xgb.callback.EarlyStopping(early, metric_name=metric, data_name="validation", maximize=metric == "auc", save_best=True))
    booster = xgb.train(params, train, rounds, evals=[(train, "train"), (validation, "validation")], evals_result=history,
                        callbacks=callbacks, verbose_eval=False)
    return {
        "name": name, "data": data, "form": form, "hyperparameters": {k: str(v) for k, v in hyperparameters.items()},
        "lines": format_lines(history), "rounds": booster.num_boosted_rounds(),
        "predictions": booster.predict(validation, strict_shape=True).ravel().astype(float).tolist(),
    }


def run_custom(name, data, hyperparameters, names, sets):
    form, xt, yt, xv, yv = sets[data]
    train, validation = matrix(form, xt, yt), matrix(form, xv, yv)
    params, rounds, _ = library_parameters(hyperparameters)
    booster = xgb.train(params, train, rounds)
    expected = {}
    for split_name, m in (("train", train), ("validation", validation)):
        margins, values = booster.predict(m, output_margin=True), booster.predict(m)
        labels = m.get_label().astype(float)
        expected[split_name] = {n: float(scores_of(n, labels, margins, values.astype(float))) for n in names}
    return {
        "name": name, "data": data, "form": form,
        "hyperparameters": {**{k: str(v) for k, v in hyperparameters.items()}, "eval_metric": ",".join(names)},
        "scores": expected,
    }


def main():
    os.makedirs(HERE, exist_ok=True)
    sets = make_sets()
    cases = [run_case(name, data, params, sets) for name, data, params in CASES]
    custom = [run_custom(name, data, params, names, sets) for name, (data, params, names) in CUSTOM.items()]
    with open(os.path.join(HERE, "cases.json"), "w") as out:
        json.dump({"xgboost": xgb.__version__, "cases": cases, "custom": custom}, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
