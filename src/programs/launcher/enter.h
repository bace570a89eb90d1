// millwright-launcher --enter <folder> <algo-N> [command…]: see executors/process/enter.h.
#pragma once

#include <string>
#include <vector>

namespace millwright::launcher {

// The exit status of this program.
int enter(const std::string& folder, const std::string& host, const std::vector<std::string>& command);

}  // namespace millwright::launcher
