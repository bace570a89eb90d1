#include "executors/process/enter.h"

#include "executors/process/launch_spec.h"

namespace millwright::executors {

std::vector<std::string> enter_arguments(const EnterRequest& request) {
    std::vector<std::string> arguments = {request.launcher, "--enter", request.folder, host_name(request.host)};
    arguments.insert(arguments.end(), request.command.begin(), request.command.end());
    return arguments;
}

}  // namespace millwright::executors
