"""Reads an MXNet NDArray file, written from the format and not from our writer.

As a program it checks a PCA model against numpy: ndarray_file.py model_algo-1 rows.csv
"""
import struct
import sys

import numpy as np

TYPES = {0: np.float32, 1: np.float64, 2: np.float16, 3: np.uint8, 4: np.int32, 5: np.int8, 6: np.int64}


def load(path):
    """A dict of arrays by name, or a list when the file has no names."""
    content = open(path, "rb").read()
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, content, at)
        at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    assert take("Q") == 0x112 and take("Q") == 0, "file header"
    arrays = []
    for _ in range(take("Q")):
        assert take("I") == 0xF993FAC9 and take("i") == 0, "array header"
        shape = [take("q") for _ in range(take("I"))]
        assert take("ii") == (1, 0), "device"
        kind = np.dtype(TYPES[take("i")])
        count = int(np.prod(shape))
        arrays.append(np.frombuffer(content, kind, count, at).reshape(shape))
        at += count * kind.itemsize
    names = []
    for _ in range(take("Q")):
        length = take("Q")
        names.append(content[at:at + length].decode())
        at += length
    assert at == len(content), "bytes behind the end"
    return dict(zip(names, arrays)) if names else arrays


def check_pca(model_path, rows_path):
    model = load(model_path)
    rows = np.loadtxt(rows_path, delimiter=",", dtype=np.float32, ndmin=2).astype(np.float64)
    _, values, vectors = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    count = len(model["s"])
    assert model["mean"].shape == (1, rows.shape[1]) and model["v"].shape == (rows.shape[1], count)
    np.testing.assert_allclose(model["s"][::-1], values[:count], rtol=1e-6)
    for i in range(count):
        ours = model["v"][:, count - 1 - i].astype(np.float64)
        sine = np.linalg.norm(ours - (ours @ vectors[i]) * vectors[i])
        assert sine <= 1e-6, f"component {i}: sin(angle) {sine}"
    print(f"{count} components equal numpy's")


if __name__ == "__main__":
    check_pca(sys.argv[1], sys.argv[2])
