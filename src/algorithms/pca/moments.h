// One streaming pass over the rows of this host: count, mean, and the scatter matrix.
//
// Everything is double. Rows are first shifted by the mean of the first rows: sums of squares of data far from the
// origin would lose all their digits otherwise.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "algorithms/common/collective.h"
#include "algorithms/common/dataset.h"
#include "algorithms/common/readers.h"
#include "algorithms/pca/linear_algebra.h"
#include "base/result.h"

namespace millwright::algorithms::pca {

// What a pass reads, and how.
struct Input {
    std::vector<std::string> files;
    ReaderOptions options;  // columns is set
    size_t first_rows = 1;  // rows that estimate the shift
    bool subtract_mean = true;
};

// Calls `visit` for row-major tiles of shifted doubles, at most kTileRows rows each; threads as in for_each_chunk.
constexpr size_t kTileRows = 256;
using TileVisitor = std::function<void(unsigned thread, const double* tile, size_t rows)>;
Result<void> for_each_tile(const Input& input, const Doubles& shift, const TileVisitor& visit);

// Mean of the first input.first_rows rows; zeros when there are none or the mean is not to be subtracted.
Result<Doubles> estimate_shift(const Input& input);

struct Mean {
    double count = 0;  // rows of all hosts
    Doubles mean;      // of all hosts; zeros when it is not to be subtracted
};
// From the sums of shifted rows of this host. Fails with InvalidInput on all hosts when there are no rows at all or a
// number is not finite.
Result<Mean> merge_means(double count, const Doubles& shifted_sum, const Doubles& shift, bool subtract_mean,
                         Collective& collective);

struct Moments {
    double count = 0;
    Doubles mean;
    Doubles scatter;  // d x d, lower triangle: sum of (x - mean)(x - mean)'
};
// Of the rows of all hosts. Every host gets the same bits.
Result<Moments> compute_moments(const Input& input, Collective& collective);

}  // namespace millwright::algorithms::pca
