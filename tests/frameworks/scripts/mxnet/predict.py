import os
import sys

import mxnet as mx
import numpy as np

net = mx.gluon.SymbolBlock.imports(os.path.join(sys.argv[1], "model-symbol.json"), ["data"],
                                   os.path.join(sys.argv[1], "model-0000.params"))
data = np.load(os.path.join(sys.argv[2], "digits.npz"))
found = net(mx.nd.array(data["x"])).argmax(axis=1).asnumpy()
print("accuracy", float((found == data["y"]).mean()))
