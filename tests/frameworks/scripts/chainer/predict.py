import os
import sys
import warnings

warnings.simplefilter("ignore")
os.environ.update(SM_NUM_GPUS="0")
import chainer  # noqa: E402
import chainer.links as L  # noqa: E402
import numpy as np  # noqa: E402
from train import MLP  # noqa: E402

model = L.Classifier(MLP(100, 10))
data = np.load(os.path.join(sys.argv[2], "digits.npz"))
x = data["x"].astype(np.float32)
with chainer.using_config("train", False), chainer.no_backprop_mode():
    model.predictor(x[:1])  # sizes of the first layer
    chainer.serializers.load_npz(os.path.join(sys.argv[1], "model.npz"), model)
    found = model.predictor(x).array.argmax(axis=1)
print("accuracy", float((found == data["y"]).mean()))
