#include "programs/launcher/network.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

namespace millwright::launcher {
namespace {

constexpr const char* kForwardAddress = "169.254.170.2";
constexpr int kPrefixBits = 16;
constexpr const char* kBridge = "br0";

// A request with nested attributes, sent and acknowledged.
class Request {
  public:
    Request(uint16_t type, uint16_t flags) {
        auto* header = reinterpret_cast<nlmsghdr*>(buffer_);
        header->nlmsg_type = type;
        header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
        size_ = NLMSG_HDRLEN;
    }
    template <typename Struct>
    void body(const Struct& value) {
        raw(&value, sizeof value);
    }
    void attribute(uint16_t type, const void* data, size_t size) {
        const rtattr head{static_cast<uint16_t>(RTA_LENGTH(size)), type};
        raw(&head, sizeof head);
        raw(data, size);
    }
    void text(uint16_t type, const char* value) { attribute(type, value, std::strlen(value) + 1); }
    void number(uint16_t type, uint32_t value) { attribute(type, &value, sizeof value); }
    size_t open(uint16_t type) {
        const size_t at = size_;
        attribute(type, nullptr, 0);
        return at;
    }
    void close(size_t at) { reinterpret_cast<rtattr*>(buffer_ + at)->rta_len = static_cast<uint16_t>(size_ - at); }

    Result<void> run(int netlink, const char* what) {
        auto* header = reinterpret_cast<nlmsghdr*>(buffer_);
        header->nlmsg_len = static_cast<uint32_t>(size_);
        if (send(netlink, buffer_, size_, 0) < 0) return error_from_errno(what);
        alignas(nlmsghdr) char reply[8192];
        const ssize_t got = recv(netlink, reply, sizeof reply, 0);
        if (got < 0) return error_from_errno(what);
        const auto* answer = reinterpret_cast<const nlmsghdr*>(reply);
        if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr))) || answer->nlmsg_type != NLMSG_ERROR)
            return internal_error(what, "unexpected netlink answer");
        nlmsgerr failure{};
        std::memcpy(&failure, NLMSG_DATA(answer), sizeof failure);
        errno = -failure.error;
        if (failure.error != 0) return error_from_errno(what);
        return {};
    }

  private:
    void raw(const void* data, size_t size) {
        CHECK(size_ + NLMSG_ALIGN(size) <= sizeof buffer_);
        if (size > 0) std::memcpy(buffer_ + size_, data, size);
        size_ += NLMSG_ALIGN(size);
    }

    alignas(nlmsghdr) char buffer_[1024] = {};
    size_t size_ = 0;
};

Result<int> index_of(int netlink, const char* name) {
    ifreq request{};
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    // A netlink socket answers SIOCGIFINDEX for its own namespace.
    if (ioctl(netlink, SIOCGIFINDEX, &request) != 0) return error_from_errno(std::string("cannot find ") + name);
    return request.ifr_ifindex;
}

Result<void> set_up(int netlink, int index) {
    Request request(RTM_NEWLINK, 0);
    ifinfomsg link{};
    link.ifi_index = index;
    link.ifi_flags = link.ifi_change = IFF_UP;
    request.body(link);
    return request.run(netlink, "cannot bring an interface up");
}

Result<void> add_address(int netlink, int index, const char* address, int prefix_bits) {
    in_addr binary{};
    inet_pton(AF_INET, address, &binary);
    Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    ifaddrmsg message{};
    message.ifa_family = AF_INET;
    message.ifa_prefixlen = static_cast<uint8_t>(prefix_bits);
    message.ifa_index = static_cast<uint32_t>(index);
    request.body(message);
    request.attribute(IFA_LOCAL, &binary, sizeof binary);
    request.attribute(IFA_ADDRESS, &binary, sizeof binary);
    return request.run(netlink, "cannot add an address");
}

// `port` in the namespace of the socket, its other end "eth0" in that of `peer`. `bridge` 0: none.
Result<void> make_pair(int netlink, const char* port, pid_t peer, int bridge) {
    Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    ifinfomsg link{};
    link.ifi_flags = link.ifi_change = IFF_UP;
    request.body(link);
    request.text(IFLA_IFNAME, port);
    if (bridge != 0) request.number(IFLA_MASTER, static_cast<uint32_t>(bridge));
    const size_t info = request.open(IFLA_LINKINFO);
    request.text(IFLA_INFO_KIND, "veth");
    const size_t data = request.open(IFLA_INFO_DATA);
    const size_t other = request.open(VETH_INFO_PEER);
    request.body(ifinfomsg{});
    request.text(IFLA_IFNAME, "eth0");
    request.number(IFLA_NET_NS_PID, static_cast<uint32_t>(peer));
    request.close(other);
    request.close(data);
    request.close(info);
    return request.run(netlink, "cannot make the interface eth0");
}

Result<int> make_bridge(int netlink) {
    Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    ifinfomsg link{};
    link.ifi_flags = link.ifi_change = IFF_UP;
    request.body(link);
    request.text(IFLA_IFNAME, kBridge);
    const size_t info = request.open(IFLA_LINKINFO);
    request.text(IFLA_INFO_KIND, "bridge");
    request.close(info);
    TRY(request.run(netlink, "cannot make a bridge"));
    return index_of(netlink, kBridge);
}

}  // namespace

Result<Fd> open_netlink() {
    Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!netlink) return error_from_errno("cannot open netlink");
    const timeval limit{10, 0};
    setsockopt(netlink.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return netlink;
}

Result<void> set_up_loopback(int netlink, bool forwarding) {
    const int lo = 1;  // the kernel makes it first in every namespace
    TRY(set_up(netlink, lo));
    if (forwarding) TRY(add_address(netlink, lo, kForwardAddress, 32));
    return {};
}

Result<Fd> listen_for_forwarding(uint16_t port) {
    Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener) return error_from_errno("cannot make a socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, kForwardAddress, &address.sin_addr);
    if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener.get(), 256) != 0)
        return error_from_errno("cannot listen on 169.254.170.2:" + std::to_string(port));
    return listener;
}

Result<void> join_hosts(const std::vector<int>& netlink, const std::vector<pid_t>& init) {
    const int bridge = netlink.size() > 1 ? TRY(make_bridge(netlink[0])) : 0;
    for (size_t host = 0; host < netlink.size(); ++host) {
        const std::string port = "port" + std::to_string(host + 1);
        TRY(make_pair(netlink[0], port.c_str(), init[host], bridge));
        const int eth0 = TRY(index_of(netlink[host], "eth0"));
        TRY(set_up(netlink[host], eth0));
        TRY(add_address(netlink[host], eth0, host_address(static_cast<int>(host)).c_str(), kPrefixBits));
    }
    return {};
}

std::string host_address(int host) { return "10.254.0." + std::to_string(host + 1); }

}  // namespace millwright::launcher
