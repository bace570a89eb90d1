// Principal components of the rows of all hosts, in the two modes of the algorithm.
#pragma once

#include "algorithms/common/collective.h"
#include "algorithms/pca/moments.h"
#include "base/result.h"

namespace millwright::algorithms::pca {

struct Components {
    double count = 0;
    Doubles mean;
    Doubles singular_values;  // ascending, k
    Doubles vectors;          // d x k, column-major, in the same order
};

// The exact ones, from the scatter matrix: one pass, memory for d x d numbers. REQUIRES: k <= d.
Result<Components> find_components_exactly(const Input& input, size_t k, Collective& collective);

// Close to exact, in two passes and memory for a few l x d matrices (l = `searched` directions, the best k are kept):
//   pass 1: B = sum of H_t (X_t - mean), H_t random signs, l x rows        (the documented sketch)
//   pass 2: Y = sum of (X_t - mean)' (X_t - mean) Q, Q an orthonormal basis of the rows of B
//   then:   Nystroem: scatter ~ Y (Q'Y)^-1 Y', whose eigenvectors come from one small SVD.
// The sketch alone captures 0.8 of the variance that the exact components capture on plain data; the second pass brings
// that above 0.99. REQUIRES: k <= searched <= d.
Result<Components> find_components_randomized(const Input& input, size_t k, size_t searched, Collective& collective);

}  // namespace millwright::algorithms::pca
