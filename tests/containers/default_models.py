"""Per framework: a program that leaves a model and what it says to ROWS in expected.json, and the script that serving
needs beside it; empty where the image's own functions do."""

ROWS = [[1.0, 2.0], [3.0, 4.5]]

_END = """
import json
json.dump(numpy.asarray(said).reshape(-1).tolist(), open("/opt/ml/model/expected.json", "w"))
"""

_START = f"""
import numpy
rows = numpy.array({ROWS}, dtype="float32")
"""

_MAKE = {
    "pytorch": """
import torch
model = torch.jit.script(torch.nn.Linear(2, 1))
model.save("/opt/ml/model/model.pt")
said = model(torch.from_numpy(rows)).detach()
""",
    "tensorflow": """
import tensorflow as tf
class Model(tf.Module):
    def __init__(self):
        super().__init__()
        self.weights = tf.Variable([[2.0], [-1.0]])
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="rows")])
    def __call__(self, rows):
        return {"score": rows @ self.weights}
model = Model()
tf.saved_model.save(model, "/opt/ml/model/1", signatures=model.__call__)
said = model(tf.constant(rows))["score"]
""",
    "xgboost": """
import xgboost
model = xgboost.train({"max_depth": 2, "min_child_weight": 0}, xgboost.DMatrix(rows, label=[0.0, 1.0]), 5)
model.save_model("/opt/ml/model/xgboost-model")
said = model.predict(xgboost.DMatrix(rows))
""",
    "sklearn": """
import joblib
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit(rows, [0.0, 1.0])
joblib.dump(model, "/opt/ml/model/model.joblib")
said = model.predict(rows)
""",
    "mxnet": """
import mxnet as mx
model = mx.gluon.nn.Dense(1, in_units=2)
model.initialize()
model.save_parameters("/opt/ml/model/model.params")
said = model(mx.nd.array(rows)).asnumpy()
""",
    "chainer": """
import chainer
model = chainer.links.Linear(2, 1)
chainer.serializers.save_npz("/opt/ml/model/model.npz", model)
said = model(rows).array
""",
}

SCRIPTS = {
    "sklearn": """
import joblib, os
def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
""",
    "mxnet": """
import mxnet as mx, os
def model_fn(model_dir):
    model = mx.gluon.nn.Dense(1, in_units=2)
    model.load_parameters(os.path.join(model_dir, "model.params"))
    return model
""",
    "chainer": """
import chainer, os
def model_fn(model_dir):
    model = chainer.links.Linear(2, 1)
    chainer.serializers.load_npz(os.path.join(model_dir, "model.npz"), model)
    return model
""",
}


def maker(name):
    return _START + _MAKE[name] + _END
