// Where runs may connect to through the proxy of egress_proxy.h: hosts by name, addresses by range. Pure decisions.
//
// An entry of the list is "index.example" (exactly that host), ".example.org" (every host below it, not itself) or
// either with ":port"; without a port it stands for 80 and 443. Addresses of this machine and of networks nobody
// outside can reach are refused also for allowed names, so that no name server can lead a run to them; only an exact
// entry may lead to a private or loopback address (a package index in the LAN). Link-local ones are never reached:
// instances of clouds get their credentials there.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::net {

struct Destination {
    std::string host;  // lower case; an IPv6 address without brackets
    uint16_t port = 0;
    bool is_address = false;
};

// "index.example:443", "[2001:db8::1]:443", or without a port when `default_port` is not 0. InvalidInput for everything
// a resolver might read in more than one way: numbers that are not a plain dotted quad (0x7f.1, 2130706433,
// 0177.0.0.1), addresses in addresses ([::ffff:127.0.0.1]), zone ids, trailing dots, user names.
Result<Destination> parse_destination(std::string_view authority, uint16_t default_port = 0);

enum class Reach {
    Public,   // what everybody can reach
    Private,  // loopback, private use, shared (100.64/10), documentation (lab networks), unique local: this machine's
              // and its neighbours'
    Never,    // link-local, multicast, unspecified, reserved, addresses inside addresses
};
Reach reach_of(const sockaddr_storage& address);
// An address of an interface of this machine, whatever its range.
bool is_own_address(const sockaddr_storage& address);

class EgressRules {
  public:
    struct Settings {
        std::vector<std::string> allowed;  // see above; case does not matter
        bool allow_all = false;            // every public host and port
        uint16_t own_port = 0;             // of our API: refused at every address that is not public. 0: none
    };
    // InvalidInput names the entry that cannot be read.
    static Result<EgressRules> make(const Settings& settings);

    enum class Verdict { Denied, PublicOnly, Anywhere };
    Verdict judge(const Destination& destination) const;
    // Whether a connection to `address` (with its port) is in order, given the verdict about the host.
    bool permits(Verdict verdict, const sockaddr_storage& address) const;

  private:
    struct Entry {
        std::string host;   // with its leading dot where it is a suffix
        uint16_t port = 0;  // 0: 80 and 443
    };
    std::vector<Entry> entries_;
    bool allow_all_ = false;
    uint16_t own_port_ = 0;
};

}  // namespace millwright::net
