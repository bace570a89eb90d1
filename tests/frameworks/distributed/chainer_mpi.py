"""Digits with ChainerMN: several hosts mean MPI."""
import os

import chainer
import chainer.functions as functions
import chainer.links as links
import chainermn
import numpy

communicator = chainermn.create_communicator("naive")
train, test = (numpy.loadtxt(os.path.join(os.environ[name], "digits.csv"), delimiter=",", dtype="float32")
               for name in ("SM_CHANNEL_TRAINING", "SM_CHANNEL_TESTING"))
whole = chainer.datasets.TupleDataset(train[:, 1:], train[:, 0].astype("int32"))
mine = chainermn.scatter_dataset(whole if communicator.rank == 0 else None, communicator)

numpy.random.seed(1)
model = links.Classifier(chainer.Sequential(links.Linear(64, 48), functions.relu, links.Linear(48, 10)))
optimizer = chainermn.create_multi_node_optimizer(chainer.optimizers.Adam(0.01), communicator)
optimizer.setup(model)
for batch in chainer.iterators.SerialIterator(mine, 32):
    x, y = chainer.dataset.concat_examples(batch)
    optimizer.update(model, x, y)
    if optimizer.t > 300:
        break

with chainer.using_config("train", False), chainer.no_backprop_mode():
    accuracy = float(functions.accuracy(model.predictor(test[:, 1:]), test[:, 0].astype("int32")).array)
print(f"rank={communicator.rank} world={communicator.size} accuracy={accuracy:.4f}", flush=True)
if communicator.rank == 0:
    chainer.serializers.save_npz(os.path.join(os.environ["SM_MODEL_DIR"], "model.npz"), model.predictor)
