// What a script job needs besides its data: the Python environment of its framework image with its own requirements,
// and its code.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "base/result.h"
#include "executors/executor.h"
#include "object_store/object_store.h"
#include "resources/environments/environments.h"
#include "resources/training_jobs/training_plan.h"

namespace millwright::resources {

inline constexpr const char* kCodeInside = "/opt/ml/code";

struct ScriptEnvironment {
    Environment environment;
    bool install_requirements = false;  // by the job itself, because they depend on what lies beside them
};

// Before the queue: reads the requirements of the code and builds what is missing, with a line of progress now and
// then. InvalidInput, NotFound: the user's fault, the message is for the client. Conflict: `stop` was set.
Result<ScriptEnvironment> provide_script_environment(object_store::ObjectStore& objects, Environments& environments,
                                                     const TrainingCommand& command, const std::atomic<bool>& stop,
                                                     const Environments::Progress& progress);

// The SDK's @remote runs a part of the SDK itself inside the job, and tells its version: the requirement that brings it
// into the environment. Empty: the command is none of @remote.
std::string remote_function_requirements(const TrainingCommand& command);

// Unpacks the submit directory into <folder>/shared/code and returns its mount at kCodeInside: each host sees a copy of
// its own that it may change. REQUIRES: the command has a submit directory.
Result<executors::Mount> stage_code(object_store::ObjectStore& objects, const TrainingCommand& command,
                                    const std::string& folder);

}  // namespace millwright::resources
