import os
import sys

os.environ.update(SM_OUTPUT_DATA_DIR="", SM_MODEL_DIR="", SM_CHANNEL_TRAINING="", SM_CHANNEL_TESTING="")
from train import model_fn, read  # noqa: E402

print("accuracy", float(model_fn(sys.argv[1]).score(*read(sys.argv[2]))))
