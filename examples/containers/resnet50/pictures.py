"""Draws cats (grey, ears that stand up) and dogs (brown, ears that hang down): PNG files, made of nothing but NumPy.

    python3 pictures.py FOLDER      # FOLDER/training/{cat,dog}/*.png and FOLDER/held-out/{cat,dog}/*.png
"""
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

SIZE = 32


def ellipse(x, y, center, radii):
    return ((x - center[0]) / radii[0]) ** 2 + ((y - center[1]) / radii[1]) ** 2 < 1


def triangle(x, y, tip, base, half):
    """Upwards: from `tip` down to the height `base`, there `half` to each side."""
    down = (y - tip[1]) / (base - tip[1])
    return (down > 0) & (down < 1) & (abs(x - tip[0]) < half * down)


def draw(kind, random):
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    center = np.array([0.5, 0.58]) + random.uniform(-0.04, 0.04, 2)
    radius = random.uniform(0.22, 0.28)
    tint = np.array([0.0, 0.02, 0.06] if kind == "cat" else [0.18, 0.0, -0.18])
    fur, dark = random.uniform(0.4, 0.75) + tint + random.normal(0, 0.04, 3), random.uniform(0, 0.25, 3)
    picture = np.ones((SIZE, SIZE, 3)) * random.uniform(0.1, 0.9, 3) + random.normal(0, 0.04, (SIZE, SIZE, 3))
    picture[ellipse(x, y, center, (radius, radius))] = fur
    for side in (-1, 1):
        if kind == "cat":
            ear = triangle(x, y, center + [side * 0.75 * radius, -1.9 * radius], center[1] - 0.3 * radius, 0.5 * radius)
        else:
            ear = ellipse(x, y, center + [side * 1.05 * radius, 0.1 * radius], (0.35 * radius, 1.0 * radius))
        picture[ear] = fur * 0.7
        picture[ellipse(x, y, center + [side * 0.4 * radius, -0.1 * radius], (0.12 * radius, 0.12 * radius))] = dark
    picture[ellipse(x, y, center + [0, 0.35 * radius], (0.16 * radius, 0.12 * radius))] = dark
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def png(pixels):
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_pictures(folder, training=64, held_out=10):
    """So many of each class."""
    random = np.random.RandomState(1)
    for part, count in (("training", training), ("held-out", held_out)):
        for kind in ("cat", "dog"):
            place = Path(folder) / part / kind
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (place / f"{number:03}.png").write_bytes(png(draw(kind, random)))


if __name__ == "__main__":
    write_pictures(sys.argv[1])
