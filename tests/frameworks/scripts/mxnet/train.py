"""A Gluon network, in the style of SageMaker's MXNet examples."""
import argparse
import json
import logging
import os

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import nn

logging.basicConfig(level=logging.DEBUG)


def define_network():
    net = nn.HybridSequential()
    with net.name_scope():
        net.add(nn.Dense(128, activation="relu"))
        net.add(nn.Dense(64, activation="relu"))
        net.add(nn.Dense(10))
    return net


def load(folder, batch_size, shuffle):
    data = np.load(os.path.join(folder, "digits.npz"))
    dataset = gluon.data.ArrayDataset(data["x"].astype("float32"), data["y"].astype("float32"))
    return gluon.data.DataLoader(dataset, batch_size, shuffle=shuffle)


def test(ctx, net, val_data):
    metric = mx.metric.Accuracy()
    for data, label in val_data:
        metric.update([label], [net(data.as_in_context(ctx))])
    return metric.get()


def train(args):
    ctx = mx.gpu() if args.num_gpus > 0 else mx.cpu()
    mx.random.seed(1)
    np.random.seed(1)
    net = define_network()
    net.initialize(mx.init.Xavier(magnitude=2.24), ctx=ctx)
    net.hybridize()
    kvstore = "dist_sync" if len(args.hosts) > 1 else "device"
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": args.learning_rate, "momentum": 0.9},
                            kvstore=kvstore)
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
    train_data, val_data = load(args.train, args.batch_size, True), load(args.test, args.batch_size, False)
    for epoch in range(args.epochs):
        for data, label in train_data:
            with autograd.record():
                loss = loss_of(net(data.as_in_context(ctx)), label.as_in_context(ctx))
            loss.backward()
            trainer.step(data.shape[0])
        name, accuracy = test(ctx, net, val_data)
        print(f"[Epoch {epoch}] Validation: {name}={accuracy:f}")
    if args.current_host == args.hosts[0]:
        net.export(os.path.join(args.model_dir, "model"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--test", type=str, default=os.environ["SM_CHANNEL_TESTING"])
    parser.add_argument("--current-host", type=str, default=os.environ["SM_CURRENT_HOST"])
    parser.add_argument("--hosts", type=list, default=json.loads(os.environ["SM_HOSTS"]))
    parser.add_argument("--num-gpus", type=int, default=int(os.environ["SM_NUM_GPUS"]))
    train(parser.parse_args())
