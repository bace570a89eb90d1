// Scripts on the interpreter that stands ready in a warm pool's host (python/millwright_warm): its modules are loaded,
// so the script's first line comes in milliseconds.
#pragma once

#include <string>
#include <vector>

namespace millwright::script_mode {

// Set, to anything, in the environment of work that was given to a host with such an interpreter.
inline constexpr const char* kWarmVariable = "MILLWRIGHT_WARM";
inline constexpr const char* kWarmSocket = "/run/millwright/warm";

// `millwright-runner warm python train.py --epochs 2`: to its parent this process is that interpreter. Standard
// descriptors, folder and environment go along; signals are passed on; the end is the script's (exit code or signal).
// Where no interpreter stands ready, or it refuses, the command is executed in place of this process.
// Returns the exit code; does not return when the command was executed or the script ended by a signal.
int run_on_warm_interpreter(const std::vector<std::string>& command);

// No script will come: the interpreter, if there is one, ends and frees its memory.
void dismiss_warm_interpreter();

}  // namespace millwright::script_mode
