// The user's code: brought to <base>/code, installed where it is a package, and turned into a command.
#pragma once

#include <string>

#include "base/result.h"
#include "programs/runner/process.h"
#include "script_mode/distribution.h"
#include "script_mode/training_environment.h"

namespace millwright::runner {

// A step that failed, as the failure file tells it: "ClientError: …" or the toolkit's "InstallModuleError:\n…".
struct StepFailure {
    int exit_code = 1;
    std::string text;
};

// Fills <base>/code when it is empty, from the submit directory: a folder, an archive or a file inside of the run, or
// an s3:// URI that the server has not staged. Nothing to do in the usual case.
Result<void, StepFailure> bring_code(const script_mode::TrainingEnvironment& environment);

// How the script is called: a shell script, a package (setup.py), a Python file, any other executable. `variables` is
// what the script will see; installations run with it, too.
Result<script_mode::ScriptCommand, StepFailure> prepare_script(const script_mode::TrainingEnvironment& environment,
                                                               const std::vector<std::string>& arguments,
                                                               const Variables& variables);

}  // namespace millwright::runner
