// The filter of system calls for containers of Podman, whose default lets them make namespaces, mount, and reach the
// kernel's keyrings: root of a container has the same one as root of the machine.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millwright::executors {

// `profile`: the engine's own, as JSON. The result permits what that one permits, less what Docker's refuses.
Result<std::string> narrower_filter(std::string_view profile);

}  // namespace millwright::executors
