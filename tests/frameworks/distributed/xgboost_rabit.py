"""Digits with XGBoost on several hosts, each with a part of the data, as scripts for the XGBoost container do it."""
import json
import os

import numpy
import xgboost
from sagemaker_xgboost_container import distributed

train, test = (numpy.loadtxt(os.path.join(os.environ[name], "digits.csv"), delimiter=",", dtype="float32")
               for name in ("SM_CHANNEL_TRAINING", "SM_CHANNEL_TESTING"))
hosts, host = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
mine = train[hosts.index(host)::len(hosts)]
test = xgboost.DMatrix(test[:, 1:], label=test[:, 0])


def train_part(params, rounds, is_master):
    booster = xgboost.train(params, xgboost.DMatrix(mine[:, 1:], label=mine[:, 0]), num_boost_round=rounds)
    accuracy = float((booster.predict(test) == test.get_label()).mean())
    print(f"host={host} master={is_master} rows={len(mine)} accuracy={accuracy:.4f}", flush=True)
    if is_master:
        booster.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"))


arguments = {"params": {"objective": "multi:softmax", "num_class": 10, "max_depth": 4, "nthread": 1, "tree_method": "hist"},
             "rounds": 20}
if len(hosts) > 1:
    distributed.rabit_run(exec_fun=train_part, args=arguments, include_in_training=True, hosts=hosts, current_host=host,
                          update_rabit_args=True)
else:
    train_part(is_master=True, **arguments)
