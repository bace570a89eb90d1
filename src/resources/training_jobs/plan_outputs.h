// What a job writes for TensorBoard, the debugger and the profiler, and where that goes while it runs.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "executors/contract/training_contract.h"

namespace millwright::resources {

// Adds configuration files and live outputs of DebugHookConfig, TensorBoardOutputConfig and ProfilerConfig:
//   <S3OutputPath>/<job>/debug-output/, …/tensorboard-output/, …/profiler-output/
// InvalidInput: no S3 URI, or a LocalPath that cannot be had.
Result<void> plan_live_outputs(const Json& request, executors::TrainingDescription& training);

}  // namespace millwright::resources
