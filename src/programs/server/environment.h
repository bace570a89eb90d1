// `millwright env`: what a shell needs so that unmodified AWS code finds this server.
#pragma once

#include <string>

#include "base/result.h"
#include "programs/server/config.h"

namespace millwright::programs {

// Lines of `export NAME='value'`. Also writes the SDK defaults file they point at. NotFound: no server was started with
// this data directory yet.
// Intercept: also those that send calls to fixed AWS hosts through the server's proxy.
enum class ProxyVariables { None, Intercept };
Result<std::string> shell_environment(const Config& config, ProxyVariables proxy = ProxyVariables::None);

}  // namespace millwright::programs
