"""Arrays as JSON, CSV and NPY, and back. Needs numpy, when it is used."""
import csv
import io
import json

from sagemaker_training import content_types, errors


def array_to_npy(array_like):
    import numpy as np
    buffer = io.BytesIO()
    np.save(buffer, array_like)
    return buffer.getvalue()


def npy_to_numpy(npy_array):
    """Objects in the array are refused: reading them would run what the sender wrote."""
    import numpy as np
    return np.load(io.BytesIO(npy_array), allow_pickle=False)


def array_to_json(array_like):

    def listed(part):
        if hasattr(part, "tolist"):
            return part.tolist()
        raise TypeError(f"Object of type {type(part).__name__} is not JSON serializable")

    return json.dumps(array_like, default=listed)


def json_to_numpy(string_like, dtype=None):
    import numpy as np
    return np.array(json.loads(string_like), dtype=dtype)


def csv_to_numpy(string_like, dtype=None):
    """Numbers of `dtype`; without one, as numbers where all cells are, else texts."""
    import numpy as np
    try:
        rows = list(csv.reader(io.StringIO(string_like), strict=True))
    except csv.Error as problem:
        raise errors.ClientError(f"Error while decoding csv: {problem}")
    try:
        return np.array(rows).squeeze().astype(dtype)
    except ValueError as problem:
        if dtype is not None:
            raise errors.ClientError(f"Error while writing numpy array: {problem}. dtype is: {dtype}")
        return np.array(rows).squeeze()


def array_to_csv(array_like):
    import numpy as np
    array = np.array(array_like)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    buffer = io.StringIO()
    try:
        csv.writer(buffer, lineterminator="\n", strict=True).writerows(array)
    except csv.Error as problem:
        raise errors.ClientError(f"Error while encoding csv: {problem}")
    return buffer.getvalue()


_ENCODERS = {content_types.NPY: array_to_npy, content_types.CSV: array_to_csv, content_types.JSON: array_to_json}
_DECODERS = {content_types.NPY: npy_to_numpy, content_types.CSV: csv_to_numpy, content_types.JSON: json_to_numpy}


def decode(obj, content_type):
    if content_type not in _DECODERS:
        raise errors.UnsupportedFormatError(content_type)
    return _DECODERS[content_type](obj)


def encode(array_like, content_type):
    if content_type not in _ENCODERS:
        raise errors.UnsupportedFormatError(content_type)
    return _ENCODERS[content_type](array_like)
