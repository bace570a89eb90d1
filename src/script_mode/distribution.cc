#include "script_mode/distribution.h"

#include <cstdio>

namespace millwright::script_mode {

Result<LaunchPlan> plan_launch(const TrainingEnvironment&, const ScriptCommand& script) {
    LaunchPlan plan;
    plan.main.name = "script";
    plan.main.command = script.command;
    return plan;
}

int run_helper(const std::vector<std::string>& arguments) {
    std::fprintf(stderr, "millwright-runner: no helper \"%s\"\n", arguments.empty() ? "" : arguments[0].c_str());
    return 2;
}

}  // namespace millwright::script_mode
