"""Predictions as bodies of answers."""
import io
import json

from sagemaker_inference import content_types, errors


def _array_to_json(array_like):

    def listed(part):
        if hasattr(part, "tolist"):
            return part.tolist()
        raise TypeError(f"Object of type {type(part).__name__} is not JSON serializable")

    return json.dumps(array_like, default=listed)


def _array_to_csv(array_like):
    import numpy as np
    stream = io.StringIO()
    np.savetxt(stream, np.atleast_1d(array_like), delimiter=",", fmt="%s")
    return stream.getvalue()


def _array_to_npy(array_like):
    import numpy as np
    stream = io.BytesIO()
    np.save(stream, array_like, allow_pickle=False)
    return stream.getvalue()


def _sparse_to_npz(matrix):
    import scipy.sparse
    stream = io.BytesIO()
    scipy.sparse.save_npz(stream, matrix if scipy.sparse.issparse(matrix) else scipy.sparse.csr_matrix(matrix))
    return stream.getvalue()


_ENCODERS = {content_types.NPY: _array_to_npy, content_types.CSV: _array_to_csv, content_types.JSON: _array_to_json,
             content_types.NPZ: _sparse_to_npz}
SUPPORTED_CONTENT_TYPES = set(_ENCODERS)


def encode(array_like, content_type):
    if content_type not in _ENCODERS:
        raise errors.UnsupportedFormatError(content_type)
    return _ENCODERS[content_type](array_like)
