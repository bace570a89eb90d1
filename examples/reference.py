"""Independent references the examples check themselves against: libxgboost through its C interface, LAPACK through NumPy."""
import ctypes
import ctypes.util

import numpy as np


class LibXgboost:
    """The system's libxgboost, called directly: no server, no container, no Python package in between."""

    def __init__(self):
        self.library = ctypes.CDLL(ctypes.util.find_library("xgboost") or "libxgboost.so.0")
        self.library.XGBGetLastError.restype = ctypes.c_char_p

    def _call(self, name, *arguments):
        if getattr(self.library, name)(*arguments) != 0:
            raise RuntimeError(self.library.XGBGetLastError().decode())

    def _matrix(self, features, labels=None):
        data = np.ascontiguousarray(features, dtype=np.float32)
        handle = ctypes.c_void_p()
        self._call("XGDMatrixCreateFromMat", data.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
                   ctypes.c_uint64(data.shape[0]), ctypes.c_uint64(data.shape[1]), ctypes.c_float(np.nan),
                   ctypes.byref(handle))
        if labels is not None:
            values = np.ascontiguousarray(labels, dtype=np.float32)
            self._call("XGDMatrixSetFloatInfo", handle, b"label", values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
                       ctypes.c_uint64(len(values)))
        return handle

    def train(self, parameters, features, labels, rounds):
        matrix = self._matrix(features, labels)
        booster = ctypes.c_void_p()
        self._call("XGBoosterCreate", (ctypes.c_void_p * 1)(matrix), ctypes.c_uint64(1), ctypes.byref(booster))
        for key, value in parameters.items():
            self._call("XGBoosterSetParam", booster, key.encode(), str(value).encode())
        for iteration in range(rounds):
            self._call("XGBoosterUpdateOneIter", booster, ctypes.c_int(iteration), matrix)
        self._call("XGDMatrixFree", matrix)
        return booster

    def load(self, path):
        booster = ctypes.c_void_p()
        self._call("XGBoosterCreate", None, ctypes.c_uint64(0), ctypes.byref(booster))
        self._call("XGBoosterLoadModel", booster, str(path).encode())
        return booster

    def predict(self, booster, features):
        matrix = self._matrix(features)
        length, result = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()
        self._call("XGBoosterPredict", booster, matrix, ctypes.c_int(0), ctypes.c_uint(0), ctypes.c_int(0),
                   ctypes.byref(length), ctypes.byref(result))
        values = np.ctypeslib.as_array(result, shape=(length.value,)).copy()
        self._call("XGDMatrixFree", matrix)
        return values


def principal_directions(data, count):
    """The `count` top principal directions (columns) and singular values of centred data, by LAPACK in double precision."""
    centred = np.asarray(data, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    return rows[:count].T, singular[:count]


def subspace_sine(first, second):
    """Sine of the largest angle between the spans of the columns of two matrices."""
    a, _ = np.linalg.qr(np.asarray(first, dtype=np.float64))
    b, _ = np.linalg.qr(np.asarray(second, dtype=np.float64))
    return float(np.linalg.norm(b - a @ (a.T @ b), 2))
