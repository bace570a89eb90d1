// The XGBoost library behind value types and Result. Only booster.cc and cluster.cc include its header.
//
// Errors of the library come back with its own text. InvalidInput when the text is one that user data or
// hyperparameters cause (label ranges, negative labels, wrong base_score, …), Internal otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "algorithms/common/dataset.h"
#include "base/result.h"

namespace millwright::algorithms::xgboost {

// Training data inside the library. Creating one is a collective call when hosts are connected (see
// cluster.h).
class Matrix {
  public:
    // NaN is missing. The dataset is copied.
    static Result<Matrix> create(const Dataset& data, int threads);
    // Those rows, in that order.
    Result<Matrix> rows_of(std::span<const int> rows) const;

    size_t rows() const;
    size_t columns() const;
    Result<std::vector<float>> labels() const;
    void* handle() const { return handle_.get(); }

  private:
    explicit Matrix(void* handle);
    std::shared_ptr<void> handle_;
};

// Rows * width numbers.
struct Predictions {
    std::vector<float> values;
    size_t rows = 0;
    size_t width = 1;
};

enum class PredictionKind { Value, Margin };

// "rmse" of "train" is 0.5.
struct Score {
    std::string data;
    std::string metric;
    double value = 0;
};

enum class ModelForm { Binary, Ubj };

// A model. Movable. Training calls are for one thread; predict_row and predict_rows may be called from
// several threads once prepare_for_serving() has returned.
class Booster {
  public:
    // `cache`: the matrices that the booster will train on or evaluate; they decide the number of columns.
    static Result<Booster> create(std::span<const Matrix> cache);
    // From the bytes of a model file: binary, JSON or UBJSON. REQUIRES: the bytes come from a source that is
    // trusted not to crash the library; see check_model_bytes.
    static Result<Booster> load(std::string_view bytes, std::span<const Matrix> cache = {});

    Result<void> set(const std::string& name, const std::string& value);
    Result<void> update(int iteration, const Matrix& train);
    Result<std::vector<Score>> evaluate(int iteration, std::span<const Matrix> matrices,
                                        std::span<const std::string> names);
    Result<Predictions> predict(const Matrix& matrix, PredictionKind kind) const;
    Result<std::string> save(ModelForm form) const;
    // The first `rounds` rounds.
    Result<Booster> first_rounds(int rounds) const;
    Result<int> rounds() const;
    Result<size_t> columns() const;
    Result<void> set_attribute(const std::string& name, const std::string& value);
    Result<std::string> attribute(const std::string& name) const;  // empty when absent
    Result<std::string> configuration() const;                     // JSON

    // One thread per call, and everything lazily configured is configured.
    Result<void> prepare_for_serving();
    // Without building a matrix. `data` has at most columns() columns; absent ones are missing. Not for
    // gblinear.
    Result<Predictions> predict_in_place(const Dataset& data) const;

  private:
    explicit Booster(void* handle);
    std::shared_ptr<void> handle_;
    size_t serving_columns_ = 0;
};

// Loads the bytes in a child process and predicts one row, so that a damaged file cannot take this process
// with it. InvalidInput with the reason.
Result<void> check_model_bytes(std::string_view bytes);

// Library messages go to standard error as they are printed by the Python package.
void redirect_library_messages();

}  // namespace millwright::algorithms::xgboost
