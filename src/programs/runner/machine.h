// What the runner must ask the machine: processors, GPUs, the interpreter, the variables it was started with.
#pragma once

#include "script_mode/training_environment.h"

namespace millwright::runner {

// `variables` is the runner's own environment. MILLWRIGHT_CPUS is the share of the machine that the server has given.
script_mode::Machine look_at_machine();

}  // namespace millwright::runner
