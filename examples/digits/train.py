"""A training script as SageMaker users write them: arguments for hyperparameters, SM_* for the places."""
import argparse
import os

import numpy as np
from sklearn.neural_network import MLPClassifier

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--training", default=os.environ["SM_CHANNEL_TRAINING"])
    arguments = parser.parse_args()

    table = np.loadtxt(os.path.join(arguments.training, "digits.csv"), delimiter=",")
    labels, pixels = table[:, 0].astype(int), table[:, 1:] / 16
    network = MLPClassifier([arguments.hidden], max_iter=arguments.epochs, random_state=1, learning_rate_init=0.01)
    network.fit(pixels[:-360], labels[:-360])
    print(f"validation accuracy: {network.score(pixels[-360:], labels[-360:]):.4f};", flush=True)
    # Plain arrays, so that whoever reads them needs neither this version of scikit-learn nor a pickle.
    np.savez(os.path.join(arguments.model_dir, "weights.npz"), hidden=network.coefs_[0], hidden_bias=network.intercepts_[0],
             out=network.coefs_[1], out_bias=network.intercepts_[1])
