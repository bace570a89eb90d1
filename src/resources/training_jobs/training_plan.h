// What a CreateTrainingJob request means here, or why it is refused. Pure: looks at nothing but the request.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/contract/artifacts.h"
#include "executors/contract/training_contract.h"
#include "jobs/capacity.h"
#include "object_store/object_store.h"
#include "resources/images/images.h"

namespace millwright::resources {

// What runs: exactly one of a built-in algorithm, the user's script under our runner, a command of the request, or an
// image; also an algorithm in its image.
struct TrainingCommand {
    std::string image;  // what it is called where it is; empty: none
    std::optional<BuiltInImage> algorithm;
    std::optional<FrameworkImage> framework;  // the environment it runs in: script mode, or with an entry point
    // Script mode: the archive of hyperparameter sagemaker_submit_directory, staged at /opt/ml/code. Empty: the code is
    // elsewhere (a channel, a path), and the runner finds it.
    std::optional<object_store::S3Uri> submit_directory;
    // ContainerEntrypoint and ContainerArguments. The entry point replaces the runner, or the image's and its Cmd;
    // arguments alone replace "train".
    std::vector<std::string> entrypoint, arguments;
};

// Managed spot training, retries and warm pools.
struct TrainingLife {
    bool spot = false;
    std::optional<std::chrono::seconds> max_wait;     // spot: waiting and running together
    std::optional<std::chrono::seconds> max_pending;  // the longest in the queue
    int max_retries = 0;                              // RetryStrategy: for faults of the platform only
    std::chrono::seconds keep_alive{0};               // warm pool after the end; 0: none
};

struct TrainingPlan {
    TrainingCommand command;
    TrainingLife life;
    executors::TrainingDescription training;
    jobs::Demand wanted;                       // per host, by the instance type; of the largest where groups differ
    std::vector<jobs::Demand> wanted_by_host;  // empty: all as `wanted`
    int64_t volume_gib = 0;                    // VolumeSizeInGB of each host; 0: not given
    Json metric_definitions;
    object_store::S3Uri output;  // key ends with '/', or is empty
    executors::ArtifactForm artifact_form = executors::ArtifactForm::TarGzip;
    std::chrono::seconds max_runtime{86'400};
    bool network_isolation = false;
    std::map<std::string, std::string> environment;  // of the request
};

// InvalidInput: the request asks for something Millwright does not do; the message names it. docs/reference/training.md
// lists all of them. `image`: what ImageNames::meaning() says of its TrainingImage.
Result<TrainingPlan> plan_training(const Json& request, const std::string& image = "");
// Its metric_definitions alone, for a request that was planned before.
Json effective_metric_definitions(const Json& request, const std::string& image);

}  // namespace millwright::resources
