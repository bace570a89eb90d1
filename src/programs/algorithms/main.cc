// millwright-algorithms: the built-in algorithms under the /opt/ml contract.
//
//   millwright-algorithms train                     trains with /opt/ml/input, leaves /opt/ml/model
//   millwright-algorithms serve                     serves the model of /opt/ml/model
//   millwright-algorithms hyperparameters NAME [--markdown]
//
// MILLWRIGHT_ALGORITHM names the algorithm, MILLWRIGHT_ALGORITHM_VERSION the image tag it stands for.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "algorithms/common/algorithm.h"
#include "algorithms/common/hyperparameters.h"
#include "algorithms/common/serving.h"
#include "algorithms/common/training_environment.h"
#include "algorithms/pca/pca.h"
#include "algorithms/xgboost/hyperparameters.h"
#include "algorithms/xgboost/xgboost.h"

namespace millwright::algorithms {
namespace {

struct Entry {
    const Algorithm& algorithm;
    const HyperparameterTable& (*hyperparameters)();
};

const std::array<Entry, 2> kAlgorithms = {Entry{pca::kPca, pca::hyperparameters},
                                          Entry{xgboost::kXgboost, xgboost::hyperparameter_table}};

const Entry* find_algorithm(std::string_view name) {
    for (const Entry& entry : kAlgorithms) {
        if (entry.algorithm.name == name) return &entry;
    }
    return nullptr;
}

std::string environment_or(const char* name, std::string_view otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : std::string(otherwise);
}

std::string base_folder() { return environment_or("SAGEMAKER_BASE_DIR", "/opt/ml"); }

std::string unknown_algorithm(std::string_view name) {
    std::string known;
    for (const Entry& entry : kAlgorithms) known += (known.empty() ? "" : ", ") + std::string(entry.algorithm.name);
    return "MILLWRIGHT_ALGORITHM is '" + std::string(name) + "'; known are: " + known;
}

int train() {
    watch_for_termination();
    const std::string failure_path = base_folder() + "/output/failure";
    auto environment = TrainingEnvironment::load();
    if (!environment) return fail(failure_path, Fault::Internal, environment.error().message);
    const Entry* entry = find_algorithm(environment->algorithm);
    if (entry == nullptr) return fail(failure_path, Fault::Internal, unknown_algorithm(environment->algorithm));
    try {
        const auto trained = entry->algorithm.train(*environment);
        return trained ? 0 : fail(failure_path, trained.error());
    } catch (const std::bad_alloc&) {
        return fail(failure_path, Fault::Client,
                    "Out of memory. Please use a larger instance or reduce the values of memory-intensive "
                    "hyperparameters.");
    } catch (const std::exception& surprise) {
        return fail(failure_path, Fault::Algorithm, surprise.what());
    }
}

int complain(const std::string& message) {
    std::fprintf(stderr, "millwright-algorithms: %s\n", message.c_str());
    return 1;
}

int serve() {
    const std::string name = environment_or("MILLWRIGHT_ALGORITHM", "");
    const Entry* entry = find_algorithm(name);
    if (entry == nullptr) return complain(unknown_algorithm(name));
    const auto options = ServeOptions::from_environment();
    if (!options) return complain(options.error().message);
    try {
        const auto model =
            entry->algorithm.load(base_folder() + "/model", environment_or("MILLWRIGHT_ALGORITHM_VERSION", ""));
        if (!model) return complain(model.error().message);
        const auto served = serve_until_signal(**model, *options);
        return served ? 0 : complain(served.error().message + ": " + served.error().detail);
    } catch (const std::exception& surprise) {
        return complain(surprise.what());
    }
}

int print_hyperparameters(std::string_view name, bool markdown) {
    const Entry* entry = find_algorithm(name);
    if (entry == nullptr) return complain(unknown_algorithm(name));
    if (markdown) {
        std::fputs(entry->hyperparameters().markdown().c_str(), stdout);
        return 0;
    }
    for (const Hyperparameter& hyperparameter : entry->hyperparameters().all())
        std::printf("%s\n", hyperparameter.name.c_str());
    return 0;
}

// OpenMP reads its variables when it is loaded, so this starts the program again. Waiting threads that spin
// take the processors from other jobs, and from this one where it has less than it sees (31 s instead of 4 s
// in a busy test).
void let_threads_wait_passively(char** argv) {
    if (std::getenv("OMP_WAIT_POLICY") != nullptr) return;
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execv("/proc/self/exe", argv);  // on failure: spinning is better than not training
}

int run(int argc, char** argv) {
    const std::string_view command = argc > 1 ? argv[1] : "";
    if (command == "train" && argc == 2) {
        let_threads_wait_passively(argv);
        return train();
    }
    if (command == "serve" && argc == 2) return serve();
    if (command == "hyperparameters" && argc >= 3)
        return print_hyperparameters(argv[2], argc > 3 && std::string_view(argv[3]) == "--markdown");
    return complain("usage: millwright-algorithms train | serve | hyperparameters NAME [--markdown]");
}

}  // namespace
}  // namespace millwright::algorithms

int main(int argc, char** argv) { return millwright::algorithms::run(argc, argv); }
