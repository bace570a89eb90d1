// Principal component analysis: `pca:1`.
//
// Learns the num_components directions in which the (centred) rows of the `train` channel vary most, writes them as the
// NDArray dict model_algo-1 {mean (1 x d), v (d x k), s (k)}, and serves projections (x - mean) v.
#pragma once

#include "algorithms/common/algorithm.h"
#include "algorithms/common/hyperparameters.h"

namespace millwright::algorithms::pca {

extern const Algorithm kPca;

const HyperparameterTable& hyperparameters();

}  // namespace millwright::algorithms::pca
