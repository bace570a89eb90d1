"""A small Keras network, in the style of SageMaker's TensorFlow 2 examples."""
import argparse
import json
import os

import numpy as np
import tensorflow as tf


def model(x_train, y_train, x_test, y_test, epochs):
    model = tf.keras.models.Sequential([
        tf.keras.layers.Flatten(input_shape=(8, 8)),
        tf.keras.layers.Dense(128, activation="relu"),
        tf.keras.layers.Dropout(0.1),
        tf.keras.layers.Dense(10, activation="softmax"),
    ])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=epochs, verbose=2)
    model.evaluate(x_test, y_test, verbose=2)
    return model


def load(folder):
    data = np.load(os.path.join(folder, "digits.npz"))
    return data["x"].reshape(-1, 8, 8), data["y"]


def parse_args():
    parser = argparse.ArgumentParser()
    # model_dir is always passed in from SageMaker; by default it is an S3 path.
    parser.add_argument("--model_dir", type=str)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--sm-model-dir", type=str, default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", type=str, default=os.environ.get("SM_CHANNEL_TRAINING"))
    parser.add_argument("--test", type=str, default=os.environ.get("SM_CHANNEL_TESTING"))
    parser.add_argument("--hosts", type=list, default=json.loads(os.environ.get("SM_HOSTS")))
    parser.add_argument("--current-host", type=str, default=os.environ.get("SM_CURRENT_HOST"))
    return parser.parse_known_args()


if __name__ == "__main__":
    args, unknown = parse_args()
    tf.random.set_seed(1)
    classifier = model(*load(args.train), *load(args.test), args.epochs)
    if args.current_host == "algo-1":
        # A version number as the name of the folder, as TensorFlow Serving wants it.
        classifier.save(os.path.join(args.sm_model_dir, "000000001"))
