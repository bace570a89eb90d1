// The way out of a run: an HTTP proxy on a unix socket, to which launchers forward 169.254.170.2:3128.
//
// CONNECT host:port makes a tunnel (HTTPS); GET and HEAD of an absolute http:// address are carried out with
// "Connection: close", for package indexes without TLS. Names are resolved here, and the connection goes to the address
// that was checked. What egress_rules.h does not permit is answered 403 with a text that names the setting. It keeps
// nothing and looks into nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "net/egress_rules.h"

namespace millwright::net {

struct EgressSettings {
    std::string socket_path;  // made with mode 0600; an old socket is replaced. Empty: connections are adopted only
    EgressRules::Settings rules;
    // Entries beyond `rules.allowed` that take a while to find; called once, on a thread of a connection, when the
    // first request comes. Where one cannot be read, all of them are left out.
    std::function<std::vector<std::string>()> more_allowed = {};
    // How a refusal ends; %s is the entry that would be needed.
    std::string advice =
        "Whoever runs the server opens hosts in config.toml: [network] allow = [\"%s\"], or egress = \"all\" for every "
        "public host";
    size_t max_connections = 64;           // one thread each; more wait in the kernel's queue
    size_t max_connections_per_peer = 32;  // of one launcher, that is of one run; more are answered 503
    size_t max_header_bytes = 8 * 1024;
    std::chrono::milliseconds header_deadline{10'000};
    std::chrono::milliseconds connect_deadline{15'000};  // resolving not included
    std::chrono::milliseconds idle_deadline{300'000};    // no byte in either direction
    // Addresses of a host name with port 0; empty: the resolver of the machine. Called from many threads.
    std::function<Result<std::vector<sockaddr_storage>>(const std::string& host)> resolve = {};
};

class EgressProxy {
  public:
    // InvalidInput: an entry of the list cannot be read. Unavailable: the socket cannot be made.
    static Result<std::unique_ptr<EgressProxy>> start(EgressSettings settings);
    // Cuts all connections and joins all threads; a name being resolved is waited for (the resolver's own patience).
    virtual ~EgressProxy() = default;
    // Serves a connection that came in elsewhere; `received`: its first bytes. Answered 503 when there are too many.
    // Thread-safe.
    virtual void adopt(Fd client, std::string received) = 0;
};

}  // namespace millwright::net
