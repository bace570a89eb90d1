import os
import sys

import torch

os.environ.update(SM_HOSTS="[]", SM_CURRENT_HOST="", SM_MODEL_DIR="", SM_CHANNEL_TRAINING="", SM_CHANNEL_TESTING="",
                  SM_NUM_GPUS="0")
from train import Digits, Net  # noqa: E402

net = Net()
net.load_state_dict(torch.load(os.path.join(sys.argv[1], "model.pth")))
net.eval()
digits = Digits(sys.argv[2])
images = torch.stack([image for image, _ in digits])
print("accuracy", float((net(images).argmax(1).numpy() == digits.labels).mean()))
