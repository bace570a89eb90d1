// One row through a served model, from request text to answer text.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>

#include "algorithms/common/readers.h"
#include "algorithms/xgboost/booster.h"
#include "algorithms/xgboost/xgboost.h"
#include "base/files.h"

namespace millwright::algorithms::xgboost {
namespace {

std::unique_ptr<ServedModel> small_model() {
    const std::string csv = read_file(std::string(MILLWRIGHT_GOLDEN_DIR) + "/xgboost/cancer_train.csv").value();
    const Dataset data = parse_bytes(csv, "cancer_train.csv", {.format = Format::Csv, .label_size = 1}).value();
    const Matrix train = Matrix::create(data, 1).value();
    Booster booster = Booster::create({&train, 1}).value();
    CHECK(booster.set("objective", "binary:logistic").has_value());
    for (int round = 0; round < 50; ++round) CHECK(booster.update(round, train).has_value());
    std::string folder = (std::filesystem::temp_directory_path() / "millwright_bench_XXXXXX").string();
    CHECK(mkdtemp(folder.data()) != nullptr);
    CHECK(write_file(folder + "/xgboost-model", booster.save(ModelForm::Binary).value()).has_value());
    auto model = load(folder, "1.7-1").value();
    std::filesystem::remove_all(folder);
    return model;
}

void one_row(benchmark::State& state) {
    static const std::unique_ptr<ServedModel> model = small_model();
    const std::string row =
        "17.99,10.38,122.8,1001.0,0.1184,0.2776,0.3001,0.1471,0.2419,0.07871,1.095,0.9053,8.589,153.4,0."
        "006399,0.04904,0.05373,0.01587,"
        "0.03003,0.006193,25.38,17.33,184.6,2019.0,0.1622,0.6656,0.7119,0.2654,0.4601,0.1189";
    for (auto _ : state) {
        auto reply = model->invoke({.content_type = "text/csv", .accept = "", .custom_attributes = {}, .body = row});
        CHECK(reply.status == 200);
        benchmark::DoNotOptimize(reply);
    }
}
BENCHMARK(one_row);

}  // namespace
}  // namespace millwright::algorithms::xgboost
