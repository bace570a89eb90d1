// The way out of runs, as the configuration permits it.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/egress_proxy.h"
#include "programs/server/config.h"

namespace millwright::programs {

// Listens on `socket_path`. Null where the configuration permits nothing. The first request asks pip for its indexes,
// which takes a second; where there is no pip only the hosts of the configuration can be reached.
Result<std::unique_ptr<net::EgressProxy>> start_egress(const Config& config, const std::string& socket_path);

}  // namespace millwright::programs
