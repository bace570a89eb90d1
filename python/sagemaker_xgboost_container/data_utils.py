"""Data of a channel as a DMatrix."""
import contextlib
import os
import tempfile

CSV = "csv"
LIBSVM = "libsvm"
PARQUET = "parquet"
MAX_FOLDER_DEPTH = 3
_TYPES = {
    "csv": CSV, "text/csv": CSV, "libsvm": LIBSVM, "text/libsvm": LIBSVM, "text/x-libsvm": LIBSVM,
    "parquet": PARQUET, "application/x-parquet": PARQUET}


class UserError(Exception):
    """The data or the request for it is at fault."""


def get_content_type(content_type_cfg_val):
    """"text/csv; label_size=1" -> "csv"; nothing is libsvm."""
    if content_type_cfg_val is None:
        return LIBSVM
    kind, *parameters = [part.strip() for part in content_type_cfg_val.lower().split(";")]
    if kind not in _TYPES:
        raise UserError(f"{content_type_cfg_val} is not an accepted ContentType: {', '.join(_TYPES)}.")
    settings = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
    if _TYPES[kind] == CSV and settings.get("label_size", "1").strip() != "1":
        raise UserError(f"{content_type_cfg_val} is not an accepted csv ContentType. "
                        "Optional parameter label_size must be equal to 1")
    return _TYPES[kind]


def _files(data_path):
    """Files of a folder or a list of them, hidden ones left out, folders followed to a depth of 3."""
    paths = data_path if isinstance(data_path, list) else [data_path]
    found = []
    for path in paths:
        if os.path.isfile(path):
            found.append(path)
            continue
        for folder, folders, names in os.walk(path):
            depth = len(os.path.relpath(folder, path).split(os.sep)) if folder != path else 0
            if depth >= MAX_FOLDER_DEPTH - 1:
                folders.clear()
            folders.sort()
            found += [os.path.join(folder, name) for name in sorted(names) if not name.startswith((".", "_"))]
    return found


def _delimiter(path):
    with open(path) as file:
        first = file.readline()
    return max(",;\t ", key=first.count)


def _parquet(files):
    import numpy as np
    import pandas as pd
    table = np.concatenate([pd.read_parquet(path).to_numpy() for path in files])
    return table[:, 1:], table[:, 0]


@contextlib.contextmanager
def _in_one_place(files):
    """XGBoost reads one file, or one folder of files."""
    if len(files) == 1:
        yield files[0]
        return
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(files):
            os.symlink(os.path.abspath(path), os.path.join(folder, f"{number:06d}-{os.path.basename(path)}"))
        yield folder


def _load(files, kind, csv_weights):
    import xgboost as xgb
    if kind == PARQUET:
        features, labels = _parquet(files)
        return xgb.DMatrix(features, label=labels)
    with _in_one_place(files) as place:
        if kind == LIBSVM:
            return xgb.DMatrix(f"{place}?format=libsvm")
        weight = "&weight_column=1" if csv_weights == 1 else ""
        return xgb.DMatrix(f"{place}?format=csv&label_column=0&delimiter={_delimiter(files[0])}{weight}")


def get_dmatrix(data_path, content_type, csv_weights=0, is_pipe=False):
    """The files of a channel as one DMatrix; None when there are none. The label is in the first column."""
    if is_pipe:
        raise UserError("Pipe mode is not supported by get_dmatrix; use input mode File or FastFile")
    files = _files(data_path)
    if not files:
        return None
    kind = get_content_type(content_type)
    try:
        matrix = _load(files, kind, csv_weights)
    except Exception as problem:
        raise UserError(f"Failed to load {kind} data with exception:\n{problem}")
    if matrix.get_label().size == 0:
        raise UserError("Got input data without labels. Please check the input data set.")
    return matrix


def get_csv_dmatrix(path, csv_weights=0, is_pipe=False):
    return get_dmatrix(path, CSV, csv_weights, is_pipe)


def get_libsvm_dmatrix(path, is_pipe=False):
    return get_dmatrix(path, LIBSVM, 0, is_pipe)


def get_parquet_dmatrix(path, is_pipe=False):
    return get_dmatrix(path, PARQUET, 0, is_pipe)


def get_size(data_path, is_pipe=False):
    """Bytes of all files below a path; 0 when it does not exist."""
    if is_pipe and os.path.exists(f"{data_path}_0"):
        return 1
    if os.path.isfile(data_path):
        return os.path.getsize(data_path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(data_path) for name in names)


def validate_data_file_path(data_path, content_type):
    """Raises UserError when there is no file to read."""
    if not os.path.exists(data_path):
        raise UserError(f"{data_path} is not a valid path!")
    if not _files(data_path):
        raise UserError(f"No data file found in {data_path}")
    get_content_type(content_type)
