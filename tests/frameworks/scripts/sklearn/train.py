"""A random forest on a CSV file, in the style of SageMaker's scikit-learn examples."""
import argparse
import os

import joblib
import pandas as pd
from sklearn.ensemble import RandomForestClassifier


def read(folder):
    files = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".csv")]
    if not files:
        raise ValueError(f"There are no files in {folder}.")
    data = pd.concat([pd.read_csv(name, header=None, engine="python") for name in files])
    return data.iloc[:, 1:], data.iloc[:, 0].astype(int)


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--n-estimators", type=int, default=100)
    parser.add_argument("--max-leaf-nodes", type=int, default=-1)
    parser.add_argument("--output-data-dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--test", type=str, default=os.environ["SM_CHANNEL_TESTING"])
    args = parser.parse_args()

    forest = RandomForestClassifier(n_estimators=args.n_estimators, random_state=1,
                                    max_leaf_nodes=args.max_leaf_nodes if args.max_leaf_nodes > 0 else None)
    forest.fit(*read(args.train))
    print(f"validation accuracy: {forest.score(*read(args.test)):.4f};")
    joblib.dump(forest, os.path.join(args.model_dir, "model.joblib"))
