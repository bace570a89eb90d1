// The model file, and a model that answers requests.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms/common/dataset.h"
#include "algorithms/common/serving.h"
#include "algorithms/pca/components.h"
#include "base/result.h"

namespace millwright::algorithms::pca {

constexpr std::string_view kModelFile = "model_algo-1";

// NDArray dict {mean (1 x d), v (d x k), s (k)}, float32; s ascending, columns of v in the same order.
std::string encode_model(const Components& components);

class Model : public ServedModel {
  public:
    static Result<std::unique_ptr<Model>> load(const std::string& folder);
    static Result<Model> decode(std::string_view bytes);

    ServeReply invoke(const ServeRequest& request) const override;
    // rows x k, row-major. The answer for a row does not depend on the rows beside it. REQUIRES: data.columns is d.
    std::vector<float> project(const Dataset& data) const;

    size_t columns() const { return mean_.size(); }
    size_t components() const { return components_; }

  private:
    size_t components_ = 0;
    Doubles mean_;
    Doubles v_;          // d x k, row-major
    Doubles mean_in_v_;  // mean v, k
};

}  // namespace millwright::algorithms::pca
