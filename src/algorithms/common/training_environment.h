// What a training job sees: the files below /opt/ml, read once at the start, and how a job ends.
//
// The base folder is $SAGEMAKER_BASE_DIR, or /opt/ml:
//   input/config/{hyperparameters,inputdataconfig,resourceconfig,checkpointconfig}.json
//   input/data/<channel>/…    model/    output/data/    output/failure    checkpoints/
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms {

enum class Distribution { FullyReplicated, ShardedByS3Key };

struct Channel {
    std::string name;
    std::string path;           // folder of its files; exists or not (a host may get no data)
    std::string content_type;   // as given, with parameters; empty when the request had none
    std::string mode = "File";  // File, Pipe, FastFile
    Distribution distribution = Distribution::FullyReplicated;
    bool record_wrapped = false;  // RecordWrapperType is RecordIO
};

struct TrainingEnvironment {
    std::string base;  // "/opt/ml"
    std::string model_dir;
    std::string output_data_dir;
    std::string failure_path;
    std::string checkpoint_dir;  // empty: the job has no checkpoint configuration

    std::map<std::string, std::string> hyperparameters;
    std::vector<Channel> channels;   // by name; "training" reads as "train" when there is no "train"
    std::vector<std::string> hosts;  // sorted
    std::string current_host;
    std::string network_interface;

    std::string algorithm;          // $MILLWRIGHT_ALGORITHM: "pca", "xgboost"
    std::string algorithm_version;  // $MILLWRIGHT_ALGORITHM_VERSION: the image tag

    // From the process environment and the files.
    static Result<TrainingEnvironment> load();
    static Result<TrainingEnvironment> load_from(const std::string& base);

    const Channel* channel(std::string_view name) const;  // null when the job has none
    size_t host_index() const;                            // of current_host in hosts
    bool is_first_host() const { return host_index() == 0; }
};

// Who has to act: the user (bad input), the algorithm's author, the platform.
//
// The text goes to output/failure, where the platform takes it as FailureReason: text that starts with
// "ClientError: ", "AlgorithmError: " or "InternalServerError: " is used as it is. The exit code says the
// same.
enum class Fault { Client, Algorithm, Internal };
inline constexpr int kClientErrorExit = 2;
inline constexpr int kAlgorithmErrorExit = 1;
inline constexpr int kInternalErrorExit = 255;

// Writes the failure file and the log line; returns the exit code for main.
[[nodiscard]] int fail(const std::string& failure_path, Fault fault, std::string_view message);
// InvalidInput is the user's; everything else is the algorithm's.
[[nodiscard]] int fail(const std::string& failure_path, const Error& error);

// SIGTERM asks a job to end soon. Install first in main; the flag may be read from any thread.
void watch_for_termination();
bool termination_requested();

}  // namespace millwright::algorithms
