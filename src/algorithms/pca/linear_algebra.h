// The few matrix operations PCA needs, on OpenBLAS. Matrices are column-major double arrays unless they say otherwise;
// a row-major matrix of rows x columns is the column-major one of columns x rows.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms::pca {

using Doubles = std::vector<double>;

// Loads OpenBLAS. Everything below requires that this has succeeded. Call it before other threads start: it sets a
// variable of the environment.
Result<void> load_linear_algebra();

// Threads OpenBLAS uses inside one call, for the whole process.
void set_blas_threads(unsigned threads);

// gram (d x d, lower triangle) += tile' tile, for a row-major tile of rows x d.
void add_gram(const double* tile, size_t rows, size_t d, double* gram);

// c (m x n) = alpha a b + beta c; Transpose::Yes takes the factor transposed (it is stored k x m or n x k).
enum class Transpose { No, Yes };
void multiply(Transpose transpose_a, Transpose transpose_b, size_t m, size_t n, size_t k, double alpha, const double* a,
              const double* b, double beta, double* c);

struct Eigen {
    Doubles values;   // ascending
    Doubles vectors;  // d x count, column i belongs to values[i]
};
// The `count` largest eigenvalues of a symmetric d x d matrix (lower triangle is read; the matrix is overwritten).
Result<Eigen> largest_eigenvalues(Doubles& matrix, size_t d, size_t count);

// Replaces the columns (d x count, count <= d) by an orthonormal basis of their span, filled up if they are dependent.
Result<void> orthonormalize(Doubles& columns, size_t d, size_t count);

struct Svd {
    Doubles values;  // descending
    Doubles left;    // d x count
};
// Left half of the thin singular value decomposition of a d x count matrix, count <= d; the matrix is overwritten.
Result<Svd> thin_svd(Doubles& matrix, size_t d, size_t count);

}  // namespace millwright::algorithms::pca
