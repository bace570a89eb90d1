#include "algorithms/pca/linear_algebra.h"

#include <cblas.h>
#include <dlfcn.h>

#include <cstdlib>
#include <string>

namespace millwright::algorithms::pca {
namespace {

// LAPACK's Fortran entry points; the lengths of character arguments stand last.
using Dsyevr = void(const char* jobz, const char* range, const char* uplo, const int* n, double* a, const int* lda,
                    const double* vl, const double* vu, const int* il, const int* iu, const double* abstol, int* m,
                    double* w, double* z, const int* ldz, int* isuppz, double* work, const int* lwork, int* iwork,
                    const int* liwork, int* info, size_t, size_t, size_t);
using Dgeqrf = void(const int* m, const int* n, double* a, const int* lda, double* tau, double* work, const int* lwork,
                    int* info);
using Dorgqr = void(const int* m, const int* n, const int* k, double* a, const int* lda, const double* tau,
                    double* work, const int* lwork, int* info);
using Dgesdd = void(const char* jobz, const int* m, const int* n, double* a, const int* lda, double* s, double* u,
                    const int* ldu, double* vt, const int* ldvt, double* work, const int* lwork, int* iwork, int* info,
                    size_t);

struct Library {
    decltype(&openblas_set_num_threads) set_threads = nullptr;
    decltype(&cblas_dsyrk) dsyrk = nullptr;
    decltype(&cblas_dgemm) dgemm = nullptr;
    Dsyevr* dsyevr = nullptr;
    Dgeqrf* dgeqrf = nullptr;
    Dorgqr* dorgqr = nullptr;
    Dgesdd* dgesdd = nullptr;
};

// OpenBLAS 0.3.21 takes processors it does not know for a Prescott of 2004 and is then 20 times slower. The kernels are
// chosen when the library is loaded, so it is loaded here, after saying which ones this processor can run.
void choose_kernels() {
    if (getenv("OPENBLAS_CORETYPE") != nullptr) return;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
        setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        setenv("OPENBLAS_CORETYPE", "Haswell", 0);
    }
#endif
}

template <typename Function>
bool find(void* handle, const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(handle, name));
    return function != nullptr;
}

Result<Library> load_library() {
    choose_kernels();
    void* const handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return internal_error("cannot load OpenBLAS (libopenblas0-pthread)", dlerror());
    Library library;
    const bool complete = find(handle, "openblas_set_num_threads", library.set_threads) &&
                          find(handle, "cblas_dsyrk", library.dsyrk) && find(handle, "cblas_dgemm", library.dgemm) &&
                          find(handle, "dsyevr_", library.dsyevr) && find(handle, "dgeqrf_", library.dgeqrf) &&
                          find(handle, "dorgqr_", library.dorgqr) && find(handle, "dgesdd_", library.dgesdd);
    if (!complete) return internal_error("libopenblas.so.0 lacks LAPACK; install libopenblas0-pthread");
    return library;
}

const Result<Library>& loaded() {
    static const Result<Library> library = load_library();
    return library;
}
const Library& blas() { return loaded().value(); }

int as_int(size_t number) { return static_cast<int>(number); }

Result<void> check(int info, const char* routine) {
    if (info == 0) return {};
    return internal_error("the matrix decomposition failed",
                          std::string(routine) + " returned " + std::to_string(info));
}

}  // namespace

Result<void> load_linear_algebra() {
    if (!loaded()) return loaded().error();
    return {};
}

void set_blas_threads(unsigned threads) { blas().set_threads(static_cast<int>(threads)); }

void add_gram(const double* tile, size_t rows, size_t d, double* gram) {
    blas().dsyrk(CblasColMajor, CblasLower, CblasNoTrans, as_int(d), as_int(rows), 1.0, tile, as_int(d), 1.0, gram,
                 as_int(d));
}

void multiply(Transpose transpose_a, Transpose transpose_b, size_t m, size_t n, size_t k, double alpha, const double* a,
              const double* b, double beta, double* c) {
    const bool turned_a = transpose_a == Transpose::Yes;
    const bool turned_b = transpose_b == Transpose::Yes;
    blas().dgemm(CblasColMajor, turned_a ? CblasTrans : CblasNoTrans, turned_b ? CblasTrans : CblasNoTrans, as_int(m),
                 as_int(n), as_int(k), alpha, a, as_int(turned_a ? k : m), b, as_int(turned_b ? n : k), beta, c,
                 as_int(m));
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
    blas().dsyevr("V", "I", "L", &n, matrix.data(), &n, &unused, &unused, &first, &n, &tolerance, &found,
                  eigen.values.data(), eigen.vectors.data(), &n, support.data(), &best_work, &query, &best_iwork,
                  &query, &info, 1, 1, 1);
    TRY(check(info, "dsyevr"));
    const int work_size = static_cast<int>(best_work);
    Doubles work(static_cast<size_t>(work_size));
    std::vector<int> iwork(static_cast<size_t>(best_iwork));
    blas().dsyevr("V", "I", "L", &n, matrix.data(), &n, &unused, &unused, &first, &n, &tolerance, &found,
                  eigen.values.data(), eigen.vectors.data(), &n, support.data(), work.data(), &work_size, iwork.data(),
                  &best_iwork, &info, 1, 1, 1);
    TRY(check(info, "dsyevr"));
    if (found != as_int(count))
        return internal_error("the matrix decomposition failed", "dsyevr found too few eigenvalues");
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
    blas().dgeqrf(&m, &n, columns.data(), &m, tau.data(), work.data(), &work_size, &info);
    TRY(check(info, "dgeqrf"));
    blas().dorgqr(&m, &n, &n, columns.data(), &m, tau.data(), work.data(), &work_size, &info);
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
    blas().dgesdd("S", &m, &n, matrix.data(), &m, svd.values.data(), svd.left.data(), &m, right.data(), &n, &best_work,
                  &query, iwork.data(), &info, 1);
    TRY(check(info, "dgesdd"));
    const int work_size = static_cast<int>(best_work);
    Doubles work(static_cast<size_t>(work_size));
    blas().dgesdd("S", &m, &n, matrix.data(), &m, svd.values.data(), svd.left.data(), &m, right.data(), &n, work.data(),
                  &work_size, iwork.data(), &info, 1);
    TRY(check(info, "dgesdd"));
    return svd;
}

}  // namespace millwright::algorithms::pca
