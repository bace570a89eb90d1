import os
import sys

import chainer
import chainer.functions as functions
import chainer.links as links
import numpy

net = chainer.Sequential(links.Linear(64, 48), functions.relu, links.Linear(48, 10))
chainer.serializers.load_npz(os.path.join(sys.argv[1], "model.npz"), net)
test = numpy.loadtxt(os.path.join(sys.argv[2], "digits.csv"), delimiter=",", dtype="float32")
with chainer.using_config("train", False), chainer.no_backprop_mode():
    found = net(test[:, 1:]).array.argmax(1)
print("accuracy", float((found == test[:, 0]).mean()))
