"""Checkpoints of XGBoost scripts: <folder>/xgboost-checkpoint.<iteration>, of which the last five are kept.

A job that is started again with the same checkpoint configuration goes on after the last of them.
"""
import os
import re
import tempfile

import xgboost as xgb

CHECKPOINT_FILENAME = "xgboost-checkpoint"
# Files of this name are not uploaded, so a half-written checkpoint never gets to S3.
TEMP_FILE_SUFFIX = ".sagemaker-ignore"
FILE_LOCK_SUFFIX = ".sagemaker-uploading"
FILE_SAFE_SUFFIX = ".sagemaker-uploaded"


def train(train_args, checkpoint_dir):
    """xgboost.train(**train_args), resumed from the last checkpoint and with one after each iteration."""
    train_args = dict(train_args)
    model, done = load_checkpoint(checkpoint_dir)
    left = train_args.get("num_boost_round", 10) - done
    if model is not None and left <= 0:
        booster = xgb.Booster()
        booster.load_model(model)
        return booster
    train_args.update(num_boost_round=left, xgb_model=model)
    train_args["callbacks"] = list(train_args.get("callbacks") or []) + [
        save_checkpoint(checkpoint_dir, start_iteration=done, num_round=left)]
    return xgb.train(**train_args)


def _numbers(checkpoint_dir):
    pattern = re.compile(re.escape(CHECKPOINT_FILENAME) + r"\.(\d+)")
    found = [pattern.fullmatch(name) for name in os.listdir(checkpoint_dir)]
    return sorted(int(match.group(1)) for match in found if match)


def load_checkpoint(checkpoint_dir, max_try=5):
    """(path of the last checkpoint that can be read, iterations it has), or (None, 0)."""
    if not checkpoint_dir or not os.path.isdir(checkpoint_dir):
        return None, 0
    for number in _numbers(checkpoint_dir)[:-max_try - 1:-1]:
        path = os.path.join(checkpoint_dir, f"{CHECKPOINT_FILENAME}.{number}")
        try:
            xgb.Booster().load_model(path)
        except xgb.core.XGBoostError:
            continue
        return path, number + 1
    return None, 0


def save_checkpoint(checkpoint_dir, start_iteration=0, max_to_keep=5, num_round=None, rank=0, iteration=0,
                    end_iteration=None):
    """A callback for xgboost.train. Only rank 0 saves."""
    return SaveCheckpointCallBack(checkpoint_dir, start_iteration, max_to_keep, num_round, rank, iteration, end_iteration)


class SaveCheckpointCallBack(xgb.callback.TrainingCallback):
    def __init__(self, checkpoint_dir, start_iteration=0, max_to_keep=5, num_round=None, rank=0, iteration=0,
                 end_iteration=None):
        super().__init__()
        self.checkpoint_dir, self.max_to_keep, self.rank = checkpoint_dir, max_to_keep, rank
        self.start_iteration, self.num_round = start_iteration, num_round
        os.makedirs(checkpoint_dir, exist_ok=True)
        self._saved = []

    def format_path(self, iteration):
        return os.path.join(self.checkpoint_dir, f"{CHECKPOINT_FILENAME}.{iteration}")

    def after_iteration(self, model, epoch, evals_log):
        # `epoch` counts from the rounds that the loaded model has.
        if self.rank == 0:
            self._save(model, model.num_boosted_rounds() - 1)
        return False

    def _save(self, model, iteration):
        with tempfile.NamedTemporaryFile(dir=self.checkpoint_dir, suffix=TEMP_FILE_SUFFIX, delete=False) as file:
            file.write(model.save_raw())
        os.rename(file.name, self.format_path(iteration))
        self._saved.append(iteration)
        self._remove_old()

    def _remove_old(self):
        """Not while a file is being uploaded; it is tried again after the next iteration."""
        for iteration in self._saved[:-self.max_to_keep]:
            path = self.format_path(iteration)
            if os.path.exists(path + FILE_LOCK_SUFFIX) and not os.path.exists(path + FILE_SAFE_SUFFIX):
                continue
            if os.path.exists(path):
                os.remove(path)
            self._saved.remove(iteration)


SaveCheckpoint = SaveCheckpointCallBack


class SaveIntermediateModel(xgb.callback.TrainingCallback):
    """Writes the model after each iteration, for jobs that are stopped from outside."""

    def __init__(self, intermediate_model_dir, model_name):
        super().__init__()
        self.intermediate_model_dir, self.model_name = intermediate_model_dir, model_name
        os.makedirs(intermediate_model_dir, exist_ok=True)

    def format_path(self):
        return os.path.join(self.intermediate_model_dir, self.model_name)

    def after_iteration(self, model, epoch, evals_log):
        with tempfile.NamedTemporaryFile(dir=self.intermediate_model_dir, delete=False) as file:
            file.write(model.save_raw())
        os.rename(file.name, self.format_path())
        return False


def save_intermediate_model(intermediate_model_dir, model_name):
    return SaveIntermediateModel(intermediate_model_dir, model_name)
