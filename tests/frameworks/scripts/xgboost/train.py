"""Boosted trees in script mode, in the style of SageMaker's XGBoost abalone example."""
import argparse
import logging
import os
import pickle as pkl

import numpy as np
import xgboost as xgb


def get_dmatrix(folder):
    table = np.loadtxt(os.path.join(folder, "digits.csv"), delimiter=",")
    return xgb.DMatrix(table[:, 1:], label=table[:, 0])


def model_fn(model_dir):
    with open(os.path.join(model_dir, "xgboost-model"), "rb") as file:
        return pkl.load(file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_depth", type=int)
    parser.add_argument("--eta", type=float)
    parser.add_argument("--objective", type=str)
    parser.add_argument("--num_class", type=int)
    parser.add_argument("--num_round", type=int)
    parser.add_argument("--output_data_dir", type=str, default=os.environ.get("SM_OUTPUT_DATA_DIR"))
    parser.add_argument("--model_dir", type=str, default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", type=str, default=os.environ.get("SM_CHANNEL_TRAINING"))
    parser.add_argument("--validation", type=str, default=os.environ.get("SM_CHANNEL_TESTING"))
    args, _ = parser.parse_known_args()

    logging.basicConfig(level=logging.INFO)
    dtrain, dval = get_dmatrix(args.train), get_dmatrix(args.validation)
    params = {"max_depth": args.max_depth, "eta": args.eta, "objective": args.objective, "num_class": args.num_class}
    booster = xgb.train(params=params, dtrain=dtrain, evals=[(dtrain, "train"), (dval, "validation")],
                        num_boost_round=args.num_round)
    with open(os.path.join(args.model_dir, "xgboost-model"), "wb") as file:
        pkl.dump(booster, file)
    logging.info("Stored trained model at %s", args.model_dir)
