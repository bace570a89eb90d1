"""Writes breast_cancer.csv and breast_cancer_svd.csv: 100 rows of scikit-learn's breast cancer data (columns differ by a
factor of 1e5 in scale), and numpy's singular values and right singular vectors of the centred rows, largest first:
one line per component, the value and then the vector. Needs numpy and scikit-learn."""
import pathlib

import numpy as np
from sklearn.datasets import load_breast_cancer

here = pathlib.Path(__file__).parent
rows = load_breast_cancer().data[:100].astype(np.float32)
np.savetxt(here / "breast_cancer.csv", rows, fmt="%.9g", delimiter=",")
exact = rows.astype(np.float64)
_, values, vectors = np.linalg.svd(exact - exact.mean(0), full_matrices=False)
np.savetxt(here / "breast_cancer_svd.csv", np.column_stack([values, vectors])[:10], fmt="%.12g", delimiter=",")
