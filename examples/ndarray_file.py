"""Reads MXNet NDArray files (model_algo-1 of PCA) without MXNet. Written from the format, not from our writer."""
import struct

import numpy as np

TYPES = {0: np.float32, 1: np.float64, 4: np.int32, 6: np.int64}


def load(content):
    """The bytes of a file -> a dict name -> array, or a list when the file names nothing."""
    position = 0

    def take(form):
        nonlocal position
        values = struct.unpack_from("<" + form, content, position)
        position += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    if take("QQ") != (0x112, 0):
        raise ValueError("not an NDArray file")
    arrays = []
    for _ in range(take("Q")):
        if take("I") != 0xF993FAC9 or take("i") != 0:
            raise ValueError("not a dense array of version 2")
        dimensions = take("I")
        shape = [take("q") for _ in range(dimensions)]
        take("ii")  # device
        kind = np.dtype(TYPES[take("i")])
        count = int(np.prod(shape))
        arrays.append(np.frombuffer(content, dtype=kind, count=count, offset=position).reshape(shape))
        position += count * kind.itemsize
    names = []
    for _ in range(take("Q")):
        length = take("Q")
        names.append(content[position:position + length].decode())
        position += length
    if position != len(content):
        raise ValueError("bytes after the end")
    return dict(zip(names, arrays)) if names else arrays
