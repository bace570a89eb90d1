"""A multi-layer perceptron with Chainer's Trainer, in the style of SageMaker's Chainer MNIST example."""
import argparse
import os

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import serializers, training
from chainer.datasets import tuple_dataset
from chainer.training import extensions


class MLP(chainer.Chain):
    def __init__(self, n_units, n_out):
        super(MLP, self).__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, n_units)
            self.l2 = L.Linear(None, n_units)
            self.l3 = L.Linear(None, n_out)

    def __call__(self, x):
        return self.l3(F.relu(self.l2(F.relu(self.l1(x)))))


def load(folder):
    data = np.load(os.path.join(folder, "digits.npz"))
    return tuple_dataset.TupleDataset(data["x"].astype(np.float32), data["y"].astype(np.int32))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.002)
    parser.add_argument("--output-data-dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--test", type=str, default=os.environ["SM_CHANNEL_TESTING"])
    args, _ = parser.parse_known_args()

    np.random.seed(1)
    num_gpus = int(os.environ["SM_NUM_GPUS"])
    device = 0 if num_gpus > 0 else -1
    model = L.Classifier(MLP(100, 10))
    optimizer = chainer.optimizers.Adam(args.learning_rate)
    optimizer.setup(model)
    train_iter = chainer.iterators.SerialIterator(load(args.train), args.batch_size)
    test_iter = chainer.iterators.SerialIterator(load(args.test), args.batch_size, repeat=False, shuffle=False)
    updater = training.StandardUpdater(train_iter, optimizer, device=device)
    trainer = training.Trainer(updater, (args.epochs, "epoch"), out=args.output_data_dir)
    trainer.extend(extensions.Evaluator(test_iter, model, device=device))
    trainer.extend(extensions.snapshot(), trigger=(args.epochs, "epoch"))
    trainer.extend(extensions.LogReport())
    trainer.extend(extensions.PrintReport(["epoch", "main/loss", "validation/main/accuracy", "elapsed_time"]))
    trainer.run()
    serializers.save_npz(os.path.join(args.model_dir, "model.npz"), model)
