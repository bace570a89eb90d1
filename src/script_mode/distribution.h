// How the processes of a job over several hosts find each other: what the runner of one host starts, and in which
// order, for torchrun, MPI, parameter servers and the rest. Pure planning; the runner executes.
//
//   write `files` -> start `before` -> wait for `peers` -> start `main` -> main ends -> end `before`
//
// The exit code of the host is that of `main`. A helper of `before` that ends early ends nothing, unless `essential`.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "script_mode/training_environment.h"

namespace millwright::script_mode {

struct Process {
    std::string name;                                // "scheduler"; for messages
    std::vector<std::string> command;                // argv[0] absolute, or found on PATH
    std::map<std::string, std::string> environment;  // on top of the plan's and the script's
    std::string folder;                              // working folder; empty: the code folder
    bool essential = false;                          // its failure is the host's failure
};

struct PlannedFile {
    std::string path, content;
    uint32_t mode = 0644;
};

// A port that must accept connections before `main` starts.
struct Peer {
    std::string host;
    uint16_t port = 0;
    std::chrono::seconds limit{900};
};

struct LaunchPlan {
    std::vector<PlannedFile> files;  // folders are made; an existing file is replaced
    std::vector<Process> before;     // started in order, all get SIGTERM (after 5 s SIGKILL) when `main` has ended
    std::vector<Peer> peers;
    Process main;
    // For all of the above. Wins over script_variables(), which win over what the runner was started with.
    std::map<std::string, std::string> environment;
    // `main` is not the script (mpirun, a worker that serves others): how to name it in a failure.
    std::string launcher;
};

// What the script itself is, as one process would run it: {"/…/bin/python", "train.py", "--epochs", "2"}, with the kind
// known, because launchers such as torchrun take scripts and modules differently.
struct ScriptCommand {
    enum class Kind { PythonScript, PythonModule, Shell };
    Kind kind = Kind::PythonScript;
    std::vector<std::string> command;    // complete
    std::string target;                  // "train.py", "package.module", "./run.sh"
    std::vector<std::string> arguments;  // of the script
};

// InvalidInput: the hyperparameters ask for a distribution that does not exist here; the message names it.
// Without a request for one: the script as one process per host, with the framework's variables for several hosts.
Result<LaunchPlan> plan_launch(const TrainingEnvironment& environment, const ScriptCommand& script);

// `millwright-runner helper <arguments>`: code of ours that a plan wants as a process of its own (an XGBoost tracker,
// an MPI worker's wait for its master). Returns the exit code.
int run_helper(const std::vector<std::string>& arguments);

}  // namespace millwright::script_mode
