"""ResNet-50 (He et al. 2015): four stages of bottleneck blocks, each with a short cut around it."""
import io

import numpy as np
import torch
from PIL import Image
from torch import nn

BLOCKS = [3, 4, 6, 3]
SIZE = 32  # of the pictures; the network takes any


class Bottleneck(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        out = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out))
        self.around = nn.Identity() if stride == 1 and channels == out else nn.Sequential(
            nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        # A block that begins as its short cut lets a deep network learn from few pictures.
        nn.init.zeros_(self.body[-1].weight)

    def forward(self, x):
        return torch.relu(self.body(x) + self.around(x))


def resnet50(classes):
    layers = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, count in enumerate(BLOCKS):
        for block in range(count):
            width = 64 << stage
            layers.append(Bottleneck(channels, width, 2 if stage > 0 and block == 0 else 1))
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def read_picture(body):
    """Bytes of a PNG or JPEG file -> a tensor 3 x SIZE x SIZE around zero."""
    picture = Image.open(io.BytesIO(body)).convert("RGB").resize((SIZE, SIZE))
    return torch.from_numpy(np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1)
