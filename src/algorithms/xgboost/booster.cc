#include "algorithms/xgboost/booster.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xgboost/c_api.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <limits>
#include <thread>

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

// Parts of library messages that say the user's data or hyperparameters are wrong.
constexpr std::array<std::string_view, 22> kUserMistakes = {"label must be in [0,1] for logistic regression",
                                                            "label must be in [0, num_class)",
                                                            "feature_names mismatch",
                                                            "Check failed: preds.size() == info.labels_.size()",
                                                            "the dataset only contains pos or neg samples",
                                                            "base_score must be in (0,1)",
                                                            "PoissonRegression: label must be nonnegative",
                                                            "TweedieRegression: label must be nonnegative",
                                                            "Parameter reg_lambda should be greater equal to 0",
                                                            "label must be",
                                                            "Label must be",
                                                            "label set cannot be empty",
                                                            "labels must be",
                                                            "should be greater equal to",
                                                            "exceed bound",
                                                            "Invalid Parameter format",
                                                            "Input data contains `inf`",
                                                            "Number of columns",
                                                            "monotone",
                                                            "max_bin",
                                                            "Invalid Input",
                                                            "Unknown metric"};

Error library_error() {
    std::string text = XGBGetLastError();
    // "[00:37:01] ./src/objective/regression_obj.cu:103: Check failed: …\nStack trace:\n…"
    text = text.substr(0, text.find("\nStack trace"));
    const std::string message(trim(text));
    for (const std::string_view mistake : kUserMistakes) {
        if (message.find(mistake) != std::string::npos) return invalid_input(message);
    }
    return internal_error("XGB train call failed with exception:\n" + message);
}

Result<void> check(int status) {
    if (status != 0) return library_error();
    return {};
}

template <typename T>
std::string_view type_code() {
    if constexpr (std::is_same_v<T, float>) return "<f4";
    if constexpr (std::is_same_v<T, uint32_t>) return "<u4";
    if constexpr (sizeof(T) == 8) return "<u8";
}

// numpy's __array_interface__ of memory that outlives the call.
template <typename T>
std::string array_interface(const T* data, std::initializer_list<size_t> shape) {
    std::string out = R"({"data":[)" + std::to_string(reinterpret_cast<uintptr_t>(data)) + R"(,true],"shape":[)";
    for (const size_t extent : shape) out += std::to_string(extent) + ",";
    out.back() = ']';
    return out + R"(,"typestr":")" + std::string(type_code<T>()) + R"(","version":3})";
}

constexpr const char* kServingConfig =
    R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":true,"missing":NaN,"cache_id":0})";

Predictions take(const bst_ulong* shape, bst_ulong dimensions, const float* values) {
    Predictions out;
    size_t total = dimensions == 0 ? 0 : 1;
    for (bst_ulong i = 0; i < dimensions; ++i) total *= shape[i];
    out.rows = dimensions == 0 ? 0 : shape[0];
    out.width = out.rows == 0 ? 1 : total / out.rows;
    out.values.assign(values, values + total);
    return out;
}

std::string matrix_config(int threads) { return R"({"missing":NaN,"nthread":)" + std::to_string(threads) + "}"; }

Result<DMatrixHandle> create_handle(const Dataset& data, int threads) {
    DMatrixHandle handle = nullptr;
    const std::string config = matrix_config(threads);
    if (data.sparse) {
        static_assert(sizeof(size_t) == 8);
        const std::string starts = array_interface(data.row_starts.data(), {data.row_starts.size()});
        const std::string indices = array_interface(data.indices.data(), {data.indices.size()});
        const std::string values = array_interface(data.values.data(), {data.values.size()});
        TRY(check(XGDMatrixCreateFromCSR(starts.c_str(), indices.c_str(), values.c_str(), data.columns, config.c_str(),
                                         &handle)));
        return handle;
    }
    const std::string values = array_interface(data.values.data(), {data.rows, data.columns});
    TRY(check(XGDMatrixCreateFromDense(values.c_str(), config.c_str(), &handle)));
    return handle;
}

}  // namespace

Matrix::Matrix(void* handle) : handle_(handle, [](void* matrix) { XGDMatrixFree(matrix); }) {}

Result<Matrix> Matrix::create(const Dataset& data, int threads) {
    Matrix out(TRY(create_handle(data, threads)));
    TRY(check(XGDMatrixSetFloatInfo(out.handle(), "label", data.labels.data(), data.labels.size())));
    if (!data.weights.empty())
        TRY(check(XGDMatrixSetFloatInfo(out.handle(), "weight", data.weights.data(), data.weights.size())));
    const std::vector<uint32_t> groups = query_groups(data);
    if (!groups.empty()) TRY(check(XGDMatrixSetUIntInfo(out.handle(), "group", groups.data(), groups.size())));
    return out;
}

Result<Matrix> Matrix::rows_of(std::span<const int> rows) const {
    DMatrixHandle handle = nullptr;
    TRY(check(XGDMatrixSliceDMatrixEx(handle_.get(), rows.data(), rows.size(), &handle, 0)));
    return Matrix(handle);
}

size_t Matrix::rows() const {
    bst_ulong count = 0;
    CHECK(XGDMatrixNumRow(handle_.get(), &count) == 0);
    return count;
}

size_t Matrix::columns() const {
    bst_ulong count = 0;
    CHECK(XGDMatrixNumCol(handle_.get(), &count) == 0);
    return count;
}

Result<std::vector<float>> Matrix::labels() const {
    bst_ulong count = 0;
    const float* values = nullptr;
    TRY(check(XGDMatrixGetFloatInfo(handle_.get(), "label", &count, &values)));
    return std::vector<float>(values, values + count);
}

Booster::Booster(void* handle) : handle_(handle, [](void* booster) { XGBoosterFree(booster); }) {}

Result<Booster> Booster::create(std::span<const Matrix> cache) {
    std::vector<DMatrixHandle> handles;
    for (const Matrix& matrix : cache) handles.push_back(matrix.handle());
    BoosterHandle handle = nullptr;
    TRY(check(XGBoosterCreate(handles.data(), handles.size(), &handle)));
    return Booster(handle);
}

Result<Booster> Booster::load(std::string_view bytes, std::span<const Matrix> cache) {
    Booster out = TRY(create(cache));
    if (XGBoosterLoadModelFromBuffer(out.handle_.get(), bytes.data(), bytes.size()) != 0) {
        return invalid_input(std::string("The model cannot be loaded: ") + library_error().message);
    }
    return out;
}

Result<void> Booster::set(const std::string& name, const std::string& value) {
    return check(XGBoosterSetParam(handle_.get(), name.c_str(), value.c_str()));
}

Result<void> Booster::update(int iteration, const Matrix& train) {
    return check(XGBoosterUpdateOneIter(handle_.get(), iteration, train.handle()));
}

Result<std::vector<Score>> Booster::evaluate(int iteration, std::span<const Matrix> matrices,
                                             std::span<const std::string> names) {
    std::vector<DMatrixHandle> handles;
    std::vector<const char*> texts;
    for (const Matrix& matrix : matrices) handles.push_back(matrix.handle());
    for (const std::string& name : names) texts.push_back(name.c_str());
    const char* line = nullptr;
    TRY(check(XGBoosterEvalOneIter(handle_.get(), iteration, handles.data(), texts.data(), handles.size(), &line)));
    // "[3]\ttrain-rmse:0.5\tvalidation-rmse:0.6": data names hold no '-', metric names may.
    std::vector<Score> scores;
    for (const std::string_view part : split(line, '\t')) {
        const size_t dash = part.find('-');
        const size_t colon = part.rfind(':');
        if (part.starts_with('[') || dash == std::string_view::npos || colon == std::string_view::npos) continue;
        const double value = strtod(std::string(part.substr(colon + 1)).c_str(), nullptr);
        scores.push_back(
            {std::string(part.substr(0, dash)), std::string(part.substr(dash + 1, colon - dash - 1)), value});
    }
    return scores;
}

Result<Predictions> Booster::predict(const Matrix& matrix, PredictionKind kind) const {
    const std::string config = std::string(R"({"type":)") + (kind == PredictionKind::Margin ? "1" : "0") +
                               R"(,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":true})";
    const bst_ulong* shape = nullptr;
    bst_ulong dimensions = 0;
    const float* values = nullptr;
    TRY(check(
        XGBoosterPredictFromDMatrix(handle_.get(), matrix.handle(), config.c_str(), &shape, &dimensions, &values)));
    return take(shape, dimensions, values);
}

Result<std::string> Booster::save(ModelForm form) const {
    const char* config = form == ModelForm::Binary ? R"({"format":"deprecated"})" : R"({"format":"ubj"})";
    bst_ulong size = 0;
    const char* bytes = nullptr;
    TRY(check(XGBoosterSaveModelToBuffer(handle_.get(), config, &size, &bytes)));
    return std::string(bytes, size);
}

Result<Booster> Booster::first_rounds(int count) const {
    BoosterHandle handle = nullptr;
    TRY(check(XGBoosterSlice(handle_.get(), 0, count, 1, &handle)));
    return Booster(handle);
}

Result<int> Booster::rounds() const {
    int count = 0;
    TRY(check(XGBoosterBoostedRounds(handle_.get(), &count)));
    return count;
}

Result<size_t> Booster::columns() const {
    bst_ulong count = 0;
    TRY(check(XGBoosterGetNumFeature(handle_.get(), &count)));
    return static_cast<size_t>(count);
}

Result<void> Booster::set_attribute(const std::string& name, const std::string& value) {
    return check(XGBoosterSetAttr(handle_.get(), name.c_str(), value.c_str()));
}

Result<std::string> Booster::attribute(const std::string& name) const {
    const char* value = nullptr;
    int found = 0;
    TRY(check(XGBoosterGetAttr(handle_.get(), name.c_str(), &value, &found)));
    return std::string(found != 0 ? value : "");
}

Result<std::string> Booster::configuration() const {
    bst_ulong size = 0;
    const char* text = nullptr;
    TRY(check(XGBoosterSaveJsonConfig(handle_.get(), &size, &text)));
    return std::string(text, size);
}

Result<void> Booster::prepare_for_serving() {
    TRY(set("nthread", "1"));
    serving_columns_ = TRY(columns());
    Dataset row;
    row.rows = 1;
    row.columns = std::max<size_t>(serving_columns_, 1);
    row.values.assign(row.columns, kMissing);
    // Configures what the library configures on first use, while only one thread is here.
    const Matrix matrix = TRY(Matrix::create(row, 1));
    TRY(predict(matrix, PredictionKind::Value));
    return {};
}

Result<Predictions> Booster::predict_in_place(const Dataset& data) const {
    const bst_ulong* shape = nullptr;
    bst_ulong dimensions = 0;
    const float* values = nullptr;
    if (data.columns > serving_columns_) {
        return invalid_input("Feature size of the data, " + std::to_string(data.columns) +
                             ", is larger than the feature size of the trained model, " +
                             std::to_string(serving_columns_));
    }
    if (data.sparse) {
        const std::string starts = array_interface(data.row_starts.data(), {data.row_starts.size()});
        const std::string indices = array_interface(data.indices.data(), {data.indices.size()});
        const std::string entries = array_interface(data.values.data(), {data.values.size()});
        TRY(check(XGBoosterPredictFromCSR(handle_.get(), starts.c_str(), indices.c_str(), entries.c_str(),
                                          serving_columns_, kServingConfig, nullptr, &shape, &dimensions, &values)));
        return take(shape, dimensions, values);
    }
    // The library wants every column; those that the request leaves out at the end are missing.
    std::vector<float> padded;
    const float* dense = data.values.data();
    if (data.columns < serving_columns_) {
        padded.assign(data.rows * serving_columns_, kMissing);
        for (size_t row = 0; row < data.rows; ++row) {
            std::copy_n(dense + row * data.columns, data.columns,
                        padded.begin() + static_cast<ptrdiff_t>(row * serving_columns_));
        }
        dense = padded.data();
    }
    const std::string interface = array_interface(dense, {data.rows, serving_columns_});
    TRY(check(XGBoosterPredictFromDense(handle_.get(), interface.c_str(), kServingConfig, nullptr, &shape, &dimensions,
                                        &values)));
    return take(shape, dimensions, values);
}

namespace {

// The threads of the parent's OpenMP pool do not live in a forked child; waiting for them would last for
// ever.
void use_one_thread() {
    using SetThreads = void (*)(int);
    if (const auto set_threads = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "omp_set_num_threads")))
        set_threads(1);
}

// Runs in the child: the reason on `report`, or nothing.
void probe(std::string_view bytes, int report) {
    use_one_thread();
    const rlimit memory{.rlim_cur = rlim_t{bytes.size()} * 64 + (rlim_t{8} << 30), .rlim_max = RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &memory);
    const rlimit core{.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &core);
    alarm(60);
    const auto tried = [&]() -> Result<void> {
        Booster booster = TRY(Booster::load(bytes));
        return booster.prepare_for_serving();
    }();
    if (tried) _exit(0);
    const auto written = write_all(report, tried.error().message);
    _exit(written ? 1 : 2);
}

}  // namespace

Result<void> check_model_bytes(std::string_view bytes) {
    if (bytes.empty()) return invalid_input("The model file is empty");
    if (bytes[0] == '\x80' || bytes.starts_with("ccopy_reg") || bytes.starts_with("(c")) {
        return invalid_input(
            "The model is a Python pickle, which only Python can read; save it with Booster.save_model");
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return error_from_errno("pipe");
    const Fd read_end(ends[0]);
    Fd write_end(ends[1]);
    const pid_t child = fork();
    if (child < 0) return error_from_errno("fork");
    if (child == 0) {
        std::freopen("/dev/null", "w", stderr);
        probe(bytes, write_end.get());
    }
    write_end.reset();
    std::string reason;
    char buffer[512];
    for (ssize_t got; (got = read(read_end.get(), buffer, sizeof buffer)) > 0 && reason.size() < 4096;)
        reason.append(buffer, static_cast<size_t>(got));
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    if (WIFSIGNALED(status))
        reason = std::string("The model cannot be loaded: the library was stopped by ") + strsignal(WTERMSIG(status));
    return invalid_input(reason.empty() ? "The model cannot be loaded" : reason);
}

void redirect_library_messages() {
    XGBRegisterLogCallback([](const char* message) { std::fprintf(stderr, "%s\n", message); });
}

}  // namespace millwright::algorithms::xgboost
