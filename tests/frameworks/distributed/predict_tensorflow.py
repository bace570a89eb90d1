import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy
import tensorflow as tf

saved = numpy.load(os.path.join(sys.argv[1], "weights.npz"))
w1, b1, w2, b2 = (tf.constant(saved[f"arr_{at}"]) for at in range(4))
test = numpy.loadtxt(os.path.join(sys.argv[2], "digits.csv"), delimiter=",", dtype="float32")
found = (tf.nn.relu(test[:, 1:] @ w1 + b1) @ w2 + b2).numpy().argmax(1)
print("accuracy", float((found == test[:, 0]).mean()))
