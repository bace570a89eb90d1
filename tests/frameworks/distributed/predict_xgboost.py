import os
import sys

import numpy
import xgboost

booster = xgboost.Booster()
booster.load_model(os.path.join(sys.argv[1], "model.json"))
test = numpy.loadtxt(os.path.join(sys.argv[2], "digits.csv"), delimiter=",", dtype="float32")
print("accuracy", float((booster.predict(xgboost.DMatrix(test[:, 1:])) == test[:, 0]).mean()))
