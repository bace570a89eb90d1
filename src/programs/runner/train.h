// `millwright-runner train`: one host of a script job, from /opt/ml/input/config to its exit code.
#pragma once

namespace millwright::runner {

// The exit code of the script; when a signal killed the script, the same signal kills the runner.
int train();

}  // namespace millwright::runner
