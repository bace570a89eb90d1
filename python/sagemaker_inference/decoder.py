"""Bodies of requests as arrays."""
import io
import json

from sagemaker_inference import content_types, errors


def _text(body):
    return body.decode() if isinstance(body, (bytes, bytearray)) else body


def _bytes(body):
    return io.BytesIO(body.encode("latin-1") if isinstance(body, str) else bytes(body))


def _json_to_numpy(body, dtype=None):
    import numpy as np
    return np.array(json.loads(_text(body)), dtype=dtype)


def _csv_to_numpy(body, dtype=None):
    import numpy as np
    return np.genfromtxt(io.StringIO(_text(body)), dtype=np.float32 if dtype is None else dtype, delimiter=",")


def _npy_to_numpy(body):
    """Objects in the array are refused: reading them would run what the sender wrote."""
    import numpy as np
    return np.load(_bytes(body), allow_pickle=False)


def _npz_to_sparse(body):
    import scipy.sparse
    return scipy.sparse.load_npz(_bytes(body))


_DECODERS = {content_types.NPY: _npy_to_numpy, content_types.CSV: _csv_to_numpy, content_types.JSON: _json_to_numpy,
             content_types.NPZ: _npz_to_sparse}


def decode(obj, content_type):
    if content_type not in _DECODERS:
        raise errors.UnsupportedFormatError(content_type)
    return _DECODERS[content_type](obj)
