import os
import sys

import numpy
import torch
from torch import nn

model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
model.load_state_dict(torch.load(os.path.join(sys.argv[1], "model.pt")))
test = numpy.loadtxt(os.path.join(sys.argv[2], "digits.csv"), delimiter=",", dtype="float32")
with torch.no_grad():
    found = model(torch.from_numpy(test[:, 1:])).argmax(1).numpy()
print("accuracy", float((found == test[:, 0]).mean()))
