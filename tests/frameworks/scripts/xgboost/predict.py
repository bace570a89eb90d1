import sys

from train import get_dmatrix, model_fn

data = get_dmatrix(sys.argv[2])
print("accuracy", float((model_fn(sys.argv[1]).predict(data) == data.get_label()).mean()))
