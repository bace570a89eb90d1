import os
import sys

import numpy as np
import tensorflow as tf

model = tf.keras.models.load_model(os.path.join(sys.argv[1], "000000001"))
data = np.load(os.path.join(sys.argv[2], "digits.npz"))
found = model.predict(data["x"].reshape(-1, 8, 8), verbose=0).argmax(1)
print("accuracy", float((found == data["y"]).mean()))
