// The network of a run: every host has a network namespace with `lo` and `eth0`; the eth0 of several hosts are joined
// by a bridge inside the namespace of algo-1. Nothing of it is in the namespace of the machine, so nothing can stay
// behind.
//
// The sockets are made by the init processes inside and used by the supervisor outside: a netlink socket acts on the
// namespace in which it was made.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millwright::launcher {

// Inside: rtnetlink socket of the own namespace.
Result<Fd> open_netlink();
// Brings lo up; with `forwarding` it also gets 169.254.170.2/32.
Result<void> set_up_loopback(int netlink, bool forwarding);
inline constexpr uint16_t kServerPort = 80;
inline constexpr uint16_t kEgressPort = 3128;
// Inside: listens on 169.254.170.2. REQUIRES: set_up_loopback with forwarding.
Result<Fd> listen_for_forwarding(uint16_t port);

// Outside: makes eth0 in each namespace, `netlink[k]` belonging to host k whose init process is `init[k]`.
Result<void> join_hosts(const std::vector<int>& netlink, const std::vector<pid_t>& init);
std::string host_address(int host);  // "10.254.0.1" for algo-1

}  // namespace millwright::launcher
