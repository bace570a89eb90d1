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
    settings.more_allowed = []() -> std::vector<std::string> {
        auto hosts = resources::package_index_hosts();
        if (hosts) return std::move(*hosts);
        log::warning("package indexes are not known", hosts.error());
        return {};
    };
    return net::EgressProxy::start(std::move(settings));
}

}  // namespace millwright::programs
