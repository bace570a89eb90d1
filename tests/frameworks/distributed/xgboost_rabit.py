"""Digits with XGBoost on several hosts, each with a part of the data, as scripts for the XGBoost container do it."""
import json
import os

import numpy
import xgboost
from sagemaker_xgboost_container import distributed

data = numpy.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAINING"], "digits.csv"), delimiter=",", dtype="float32")
data = data[numpy.random.RandomState(1).permutation(len(data))]
hosts, host = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
mine = data[:1440][hosts.index(host)::len(hosts)]
test = xgboost.DMatrix(data[1440:, 1:], label=data[1440:, 0])


def train(params, rounds, is_master):
    booster = xgboost.train(params, xgboost.DMatrix(mine[:, 1:], label=mine[:, 0]), num_boost_round=rounds)
    accuracy = float((booster.predict(test) == test.get_label()).mean())
    print(f"host={host} master={is_master} rows={len(mine)} accuracy={accuracy:.4f}", flush=True)
    if is_master:
        booster.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"))


arguments = {"params": {"objective": "multi:softmax", "num_class": 10, "max_depth": 4, "nthread": 1, "tree_method": "hist"},
             "rounds": 20}
if len(hosts) > 1:
    distributed.rabit_run(exec_fun=train, args=arguments, include_in_training=True, hosts=hosts, current_host=host,
                          update_rabit_args=True)
else:
    train(is_master=True, **arguments)
