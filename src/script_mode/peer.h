// Connections between the hosts of a job.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millwright::script_mode {

// The address of `name` in the text of a hosts file.
std::optional<in_addr> find_in_hosts_file(std::string_view text, std::string_view name);
// IPv4 addresses of a host: from /etc/hosts, where the process executor names all hosts of a job; else from the
// machine's resolver. The runner is a static program, for which the resolver's plug-ins are a gamble.
std::vector<in_addr> addresses_of(const std::string& host);

// Unavailable: nobody listens there, or the name is not known (yet). Waits up to 2 s.
Result<Fd> connect_to(const std::string& host, uint16_t port);
// Until `limit_s` have passed.
Result<Fd> connect_with_patience(const std::string& host, uint16_t port, int limit_s);
// On all addresses.
Result<Fd> listen_on(uint16_t port);

}  // namespace millwright::script_mode
