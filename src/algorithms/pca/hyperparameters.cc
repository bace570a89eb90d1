#include "algorithms/pca/pca.h"

namespace millwright::algorithms::pca {

const HyperparameterTable& hyperparameters() {
    static const HyperparameterTable table(
        ErrorStyle::FirstParty,
        {
            {.name = "feature_dim",
             .type = HyperparameterType::Integer,
             .required = true,
             .range = above(0),
             .description = "Number of features of a row."},
            {.name = "mini_batch_size",
             .type = HyperparameterType::Integer,
             .required = true,
             .range = above(0),
             .description =
                 "Rows per mini-batch. Sets how many rows estimate the first centre and what the log counts; the "
                 "result does not depend on it."},
            {.name = "num_components",
             .type = HyperparameterType::Integer,
             .required = true,
             .range = above(0),
             .description = "Number of principal components; at most feature_dim."},
            {.name = "algorithm_mode",
             .type = HyperparameterType::Enum,
             .default_value = "regular",
             .values = {"regular", "randomized"},
             .description =
                 "regular: exact, memory for feature_dim x feature_dim numbers. randomized: close to exact, for "
                 "many features."},
            {.name = "subtract_mean",
             .type = HyperparameterType::Boolean,
             .default_value = "true",
             .description = "Whether rows are centred, in training and in projections."},
            {.name = "extra_components",
             .type = HyperparameterType::Integer,
             .default_value = "-1",
             .range = at_least(-1),
             .description =
                 "randomized only: directions searched beyond num_components; -1 is max(10, num_components)."},
        });
    return table;
}

}  // namespace millwright::algorithms::pca
