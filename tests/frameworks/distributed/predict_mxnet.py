import os
import sys

import mxnet as mx
import numpy
from mxnet import gluon

net = gluon.nn.Sequential()
net.add(gluon.nn.Dense(48, activation="relu", in_units=64), gluon.nn.Dense(10, in_units=48))
net.load_parameters(os.path.join(sys.argv[1], "model.params"))
test = numpy.loadtxt(os.path.join(sys.argv[2], "digits.csv"), delimiter=",", dtype="float32")
found = net(mx.nd.array(test[:, 1:])).argmax(axis=1).asnumpy()
print("accuracy", float((found == test[:, 0]).mean()))
