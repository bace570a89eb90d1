#include "algorithms/pca/model.h"

#include "algorithms/common/ndarray.h"
#include "algorithms/common/requests.h"
#include "base/files.h"

namespace millwright::algorithms::pca {
namespace {

// The array `name` with the given dimensions; 0 stands for any length.
Result<std::vector<float>> take_array(const NdFile& file, std::string_view name, const std::vector<int64_t>& shape) {
    const NdArray* array = file.find(name);
    if (array == nullptr) return invalid_input("the model has no array '" + std::string(name) + "'");
    bool fits = array->shape.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] == 0 || array->shape[i] == shape[i];
    if (!fits) return invalid_input("the array '" + std::string(name) + "' of the model has the wrong shape");
    return array->to_floats();
}

}  // namespace

std::string encode_model(const Components& components) {
    const size_t d = components.mean.size();
    const size_t k = components.singular_values.size();
    std::vector<float> v(d * k);
    for (size_t column = 0; column < k; ++column)
        for (size_t row = 0; row < d; ++row)
            v[row * k + column] = static_cast<float>(components.vectors[column * d + row]);
    const std::vector<float> mean(components.mean.begin(), components.mean.end());
    const std::vector<float> s(components.singular_values.begin(), components.singular_values.end());
    const auto length = [](size_t count) { return static_cast<int64_t>(count); };
    return write_ndarrays({{NdArray::floats({1, length(d)}, mean), NdArray::floats({length(d), length(k)}, v),
                            NdArray::floats({length(k)}, s)},
                           {"mean", "v", "s"}});
}

Result<std::unique_ptr<Model>> Model::load(const std::string& folder) {
    const std::string bytes = TRY(read_file(folder + "/" + std::string(kModelFile), size_t{64} << 30));
    return std::make_unique<Model>(TRY(decode(bytes)));
}

Result<Model> Model::decode(std::string_view bytes) {
    const NdFile file = TRY(read_ndarrays(bytes));
    const std::vector<float> mean = TRY(take_array(file, "mean", {1, 0}));
    const std::vector<float> v = TRY(take_array(file, "v", {static_cast<int64_t>(mean.size()), 0}));
    if (mean.empty() || v.empty()) return invalid_input("the model is empty");
    Model model;
    model.components_ = v.size() / mean.size();
    model.mean_.assign(mean.begin(), mean.end());
    model.v_.assign(v.begin(), v.end());
    model.mean_in_v_.resize(model.components_);
    for (size_t row = 0; row < mean.size(); ++row)
        for (size_t i = 0; i < model.components_; ++i)
            model.mean_in_v_[i] += model.mean_[row] * model.v_[row * model.components_ + i];
    return model;
}

std::vector<float> Model::project(const Dataset& data) const {
    const size_t k = components_;
    std::vector<float> out(data.rows * k);
    Doubles sums(k);
    const auto add = [&](double value, size_t column) {
        const double* const direction = v_.data() + column * k;
        for (size_t i = 0; i < k; ++i) sums[i] += value * direction[i];
    };
    for (size_t row = 0; row < data.rows; ++row) {
        const auto values = data.row_values(row);
        if (data.sparse) {
            for (size_t i = 0; i < k; ++i) sums[i] = -mean_in_v_[i];
            const auto indices = data.row_indices(row);
            for (size_t i = 0; i < values.size(); ++i) add(static_cast<double>(values[i]), indices[i]);
        } else {
            std::fill(sums.begin(), sums.end(), 0.0);
            for (size_t i = 0; i < values.size(); ++i) add(static_cast<double>(values[i]) - mean_[i], i);
        }
        for (size_t i = 0; i < k; ++i) out[row * k + i] = static_cast<float>(sums[i]);
    }
    return out;
}

ServeReply Model::invoke(const ServeRequest& request) const {
    constexpr AnswerFormat kOffered[] = {AnswerFormat::Json, AnswerFormat::JsonLines, AnswerFormat::RecordIo};
    const auto format = choose_answer_format(request.accept, kOffered, AnswerFormat::Json);
    if (!format) return format.error();
    const auto data = decode_request(request, {.columns = columns()});
    if (!data) return data.error();
    const std::vector<float> projections = project(*data);
    const AnswerField fields[] = {{"projection", components_, false, projections}};
    return encode_answer(*format, "projections", data->rows, fields, data->record_infos);
}

}  // namespace millwright::algorithms::pca
