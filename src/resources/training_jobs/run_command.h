// What the hosts of a training job execute: the command, where, and its environment variables.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "executors/executor.h"
#include "resources/training_jobs/script_environment.h"
#include "resources/training_jobs/training_plan.h"
#include "resources/training_jobs/training_run.h"

namespace millwright::resources {

inline constexpr const char* kPythonInside = "/opt/millwright/python";

// One attempt of one job.
struct CommandedRun {
    const TrainingJob& job;
    const TrainingPlan& plan;
    const jobs::Grant& grant;
    const std::string run_id;
    const std::string folder;
    const ScriptEnvironment* script;  // null: a built-in algorithm, or
    const executors::RunImage* image;
};

struct RunCommand {
    std::vector<std::string> command;
    std::map<std::string, std::string> environment;
    std::vector<executors::Mount> mounts;  // besides those of channels: code, Python environment
    std::string working_folder = "/";      // of an image: its own
    std::optional<executors::RunImage> image;
};

// GPUs of each host: what its instance type has, as far as this machine has them.
std::vector<int> given_gpus(const TrainingPlan& plan);

// What a Python interpreter of the job's environment is started with, but for what belongs to the job alone. REQUIRES:
// run.script.
std::map<std::string, std::string> interpreter_variables(const CommandedRun& run);

// Unpacks the code of a script job, and grants the run its credentials unless it is isolated.
Result<RunCommand> run_command(const TrainingRunContext& context, const CommandedRun& run);

}  // namespace millwright::resources
