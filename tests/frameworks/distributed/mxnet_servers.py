"""Digits with a distributed key-value store; scheduler and servers are started by the toolkit."""
import json
import os

import numpy
import mxnet as mx
from mxnet import autograd, gluon

hosts = json.loads(os.environ["SM_HOSTS"])
train, test = (numpy.loadtxt(os.path.join(os.environ[name], "digits.csv"), delimiter=",", dtype="float32")
               for name in ("SM_CHANNEL_TRAINING", "SM_CHANNEL_TESTING"))

store = mx.kv.create("dist_sync")
rank, size = store.rank, store.num_workers
mx.random.seed(1)
net = gluon.nn.Sequential()
net.add(gluon.nn.Dense(48, activation="relu", in_units=64), gluon.nn.Dense(10, in_units=48))
net.initialize(mx.init.Xavier())
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.3}, kvstore=store)
loss_of = gluon.loss.SoftmaxCrossEntropyLoss()

mine = train[rank::size]
x, y = mx.nd.array(mine[:, 1:]), mx.nd.array(mine[:, 0])
for epoch in range(12):
    for at in range(0, len(mine) - 31, 32):
        with autograd.record():
            loss = loss_of(net(x[at:at + 32]), y[at:at + 32])
        loss.backward()
        trainer.step(32 * size)

accuracy = float((net(mx.nd.array(test[:, 1:])).argmax(axis=1) == mx.nd.array(test[:, 0])).mean().asscalar())
print(f"rank={rank} world={size} host={os.environ['SM_CURRENT_HOST']} accuracy={accuracy:.4f}", flush=True)
if os.environ["SM_CURRENT_HOST"] == hosts[0]:
    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "model.params"))
