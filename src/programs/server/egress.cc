#include "programs/server/egress.h"

#include "base/log.h"
#include "resources/environments/environments.h"

namespace millwright::programs {

Result<std::unique_ptr<net::EgressProxy>> start_egress(const Config& config, const std::string& socket_path) {
    if (config.egress == Egress::None) return std::unique_ptr<net::EgressProxy>();
    net::EgressSettings settings;
    settings.socket_path = socket_path;
    settings.rules.allowed = config.egress_allow;
    settings.rules.allow_all = config.egress == Egress::All;
    settings.rules.own_port = config.port;
    if (auto hosts = resources::package_index_hosts())
        settings.rules.allowed.insert(settings.rules.allowed.end(), hosts->begin(), hosts->end());
    else
        log::warning("package indexes are not known", hosts.error());
    return net::EgressProxy::start(std::move(settings));
}

}  // namespace millwright::programs
