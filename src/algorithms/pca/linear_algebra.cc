#include "algorithms/pca/linear_algebra.h"

#include <cblas.h>

#include <string>

// LAPACK's Fortran entry points, which libopenblas holds; the lengths of character arguments stand last.
extern "C" {
void dsyevr_(const char* jobz, const char* range, const char* uplo, const int* n, double* a, const int* lda,
             const double* vl, const double* vu, const int* il, const int* iu, const double* abstol, int* m, double* w,
             double* z, const int* ldz, int* isuppz, double* work, const int* lwork, int* iwork, const int* liwork,
             int* info, size_t, size_t, size_t);
void dgeqrf_(const int* m, const int* n, double* a, const int* lda, double* tau, double* work, const int* lwork, int* info);
void dorgqr_(const int* m, const int* n, const int* k, double* a, const int* lda, const double* tau, double* work,
             const int* lwork, int* info);
void dgesdd_(const char* jobz, const int* m, const int* n, double* a, const int* lda, double* s, double* u, const int* ldu,
             double* vt, const int* ldvt, double* work, const int* lwork, int* iwork, int* info, size_t);
}

namespace millwright::algorithms::pca {
namespace {

int as_int(size_t number) { return static_cast<int>(number); }

Result<void> check(int info, const char* routine) {
    if (info == 0) return {};
    return internal_error("the matrix decomposition failed", std::string(routine) + " returned " + std::to_string(info));
}

}  // namespace

void set_blas_threads(unsigned threads) { openblas_set_num_threads(static_cast<int>(threads)); }

void add_gram(const double* tile, size_t rows, size_t d, double* gram) {
    cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, as_int(d), as_int(rows), 1.0, tile, as_int(d), 1.0, gram, as_int(d));
}

void multiply(Transpose transpose_a, Transpose transpose_b, size_t m, size_t n, size_t k, double alpha, const double* a,
              const double* b, double beta, double* c) {
    const bool turned_a = transpose_a == Transpose::Yes;
    const bool turned_b = transpose_b == Transpose::Yes;
    cblas_dgemm(CblasColMajor, turned_a ? CblasTrans : CblasNoTrans, turned_b ? CblasTrans : CblasNoTrans, as_int(m), as_int(n),
                as_int(k), alpha, a, as_int(turned_a ? k : m), b, as_int(turned_b ? n : k), beta, c, as_int(m));
}

Result<Eigen> largest_eigenvalues(Doubles& matrix, size_t d, size_t count) {
    const int n = as_int(d);
    const int first = as_int(d - count + 1);
    const double tolerance = 0;
    const double unused = 0;
    int found = 0;
    int info = 0;
    Eigen eigen{Doubles(d), Doubles(d * count)};
    std::vector<int> support(2 * count);
    double best_work = 0;
    int best_iwork = 0;
    const int query = -1;
    dsyevr_("V", "I", "L", &n, matrix.data(), &n, &unused, &unused, &first, &n, &tolerance, &found, eigen.values.data(),
            eigen.vectors.data(), &n, support.data(), &best_work, &query, &best_iwork, &query, &info, 1, 1, 1);
    TRY(check(info, "dsyevr"));
    const int work_size = static_cast<int>(best_work);
    Doubles work(static_cast<size_t>(work_size));
    std::vector<int> iwork(static_cast<size_t>(best_iwork));
    dsyevr_("V", "I", "L", &n, matrix.data(), &n, &unused, &unused, &first, &n, &tolerance, &found, eigen.values.data(),
            eigen.vectors.data(), &n, support.data(), work.data(), &work_size, iwork.data(), &best_iwork, &info, 1, 1, 1);
    TRY(check(info, "dsyevr"));
    if (found != as_int(count)) return internal_error("the matrix decomposition failed", "dsyevr found too few eigenvalues");
    eigen.values.resize(count);
    return eigen;
}

Result<void> orthonormalize(Doubles& columns, size_t d, size_t count) {
    const int m = as_int(d);
    const int n = as_int(count);
    const int work_size = n * 64;
    int info = 0;
    Doubles tau(count);
    Doubles work(static_cast<size_t>(work_size));
    dgeqrf_(&m, &n, columns.data(), &m, tau.data(), work.data(), &work_size, &info);
    TRY(check(info, "dgeqrf"));
    dorgqr_(&m, &n, &n, columns.data(), &m, tau.data(), work.data(), &work_size, &info);
    return check(info, "dorgqr");
}

Result<Svd> thin_svd(Doubles& matrix, size_t d, size_t count) {
    const int m = as_int(d);
    const int n = as_int(count);
    int info = 0;
    Svd svd{Doubles(count), Doubles(d * count)};
    Doubles right(count * count);
    std::vector<int> iwork(8 * count);
    double best_work = 0;
    const int query = -1;
    dgesdd_("S", &m, &n, matrix.data(), &m, svd.values.data(), svd.left.data(), &m, right.data(), &n, &best_work, &query,
            iwork.data(), &info, 1);
    TRY(check(info, "dgesdd"));
    const int work_size = static_cast<int>(best_work);
    Doubles work(static_cast<size_t>(work_size));
    dgesdd_("S", &m, &n, matrix.data(), &m, svd.values.data(), svd.left.data(), &m, right.data(), &n, work.data(), &work_size,
            iwork.data(), &info, 1);
    TRY(check(info, "dgesdd"));
    return svd;
}

}  // namespace millwright::algorithms::pca
