// The program of our helper containers. A host of a run joins the network namespace of one of these:
//
//   millwright-gate hold <port> <gateway> [<api> [<egress>]]
//       readies the network of the namespace, writes "ready <address of eth0>" to the FIFO /gate/run/ready, and carries
//       connections until it is killed: 169.254.170.2:80 inside to the unix socket <api>, :3128 to <egress>, and what
//       arrives at the unix socket /gate/run/served to 127.0.0.1:<port> inside. <gateway>: this machine's address in
//       the network, which the run may not reach; "-": there is no network, and eth0 is made here.
//   millwright-gate own <user> <group> <folder>…
//       gives all that lies in the folders to the user, and makes folders that nobody may list removable.
//
// Static, and alone in its image. Connections are carried by a child each: a gate needs no threads and no limits of its
// own beside those of its container.
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "programs/launcher/network.h"

namespace millwright::gate {
namespace {

constexpr const char* kReady = "/gate/run/ready";
constexpr const char* kServed = "/gate/run/served";
constexpr size_t kBufferBytes = size_t{64} << 10;
constexpr int kRetryMs = 50;
constexpr int kServerAbsenceMs = 60000;

// One direction of a connection.
struct Flow {
    int from = -1, to = -1;
    std::vector<char> bytes = std::vector<char>(kBufferBytes);
    size_t begin = 0, end = 0;
    bool ended = false, finished = false;

    // False when the connection is broken.
    bool move() {
        for (;;) {
            if (begin == end && !ended) {
                const ssize_t got = recv(from, bytes.data(), bytes.size(), MSG_DONTWAIT);
                if (got == 0) ended = true;
                if (got < 0 && errno == EAGAIN) return true;
                if (got < 0 && errno != EINTR) return false;
                begin = 0;
                end = got > 0 ? static_cast<size_t>(got) : 0;
            }
            while (begin < end) {
                const ssize_t put = send(to, bytes.data() + begin, end - begin, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (put < 0 && errno == EAGAIN) return true;
                if (put < 0 && errno != EINTR) return false;
                if (put > 0) begin += static_cast<size_t>(put);
            }
            if (ended && !finished) {
                finished = true;
                shutdown(to, SHUT_WR);
            }
            if (ended) return true;
        }
    }
};

void carry(int a, int b) {
    Flow there, back;
    there.from = back.to = a;
    there.to = back.from = b;
    while (there.move() && back.move() && !(there.finished && back.finished)) {
        const auto interest = [](const Flow& read_by, const Flow& written_by) {
            short events = 0;
            if (!read_by.ended && read_by.begin == read_by.end) events = POLLIN;
            if (written_by.begin < written_by.end) events = static_cast<short>(events | POLLOUT);
            return events;
        };
        pollfd both[2] = {{a, interest(there, back), 0}, {b, interest(back, there), 0}};
        // Without interest only the hang-up would be reported, again and again.
        for (pollfd& one : both)
            if (one.events == 0) one.fd = -1;
        if (poll(both, 2, -1) < 0 && errno != EINTR) return;
    }
}

Fd connect_unix_socket(const std::string& path) {
    Fd to(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (connect(to.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) to.reset();
    return to;
}

Fd connect_inside(uint16_t port) {
    Fd to(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(to.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) to.reset();
    const int on = 1;
    if (to) setsockopt(to.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return to;
}

struct Door {
    Fd listener;
    std::string path;   // leads to this unix socket, which may be away for a while
    uint16_t port = 0;  // or to this port inside
};

// While the server restarts, whoever has connected waits for it.
[[noreturn]] void serve(const Door& door, int client) {
    const int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Fd other = door.path.empty() ? connect_inside(door.port) : connect_unix_socket(door.path);
    for (int waited = 0; !other && !door.path.empty() && waited < kServerAbsenceMs; waited += kRetryMs) {
        pollfd gone{client, POLLRDHUP, 0};
        if (poll(&gone, 1, kRetryMs) > 0) break;
        other = connect_unix_socket(door.path);
    }
    if (other) carry(client, other.get());
    _exit(0);
}

[[noreturn]] void serve_all(const std::vector<Door>& doors) {
    std::vector<pollfd> waiting;
    for (const Door& door : doors) waiting.push_back({door.listener.get(), POLLIN, 0});
    for (;;) {
        if (poll(waiting.data(), waiting.size(), -1) < 0) continue;
        for (size_t i = 0; i < doors.size(); ++i) {
            if (waiting[i].revents == 0) continue;
            const Fd client(accept4(doors[i].listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!client) continue;
            const pid_t child = fork();
            if (child == 0) serve(doors[i], client.get());
            // As many at once as the container may have processes: the next one waits for the end of another.
            if (child < 0) poll(nullptr, 0, kRetryMs);
        }
    }
}

Result<Fd> listen_served() {
    Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, kServed, sizeof address.sun_path - 1);
    unlink(kServed);
    if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        chmod(kServed, 0666) != 0 || listen(listener.get(), 256) != 0)
        return error_from_errno("cannot listen at /gate/run/served");
    return listener;
}

std::string address_of_eth0() {
    const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, "eth0", IFNAMSIZ - 1);
    if (ioctl(any.get(), SIOCGIFADDR, &request) != 0) return "";
    const auto* address = reinterpret_cast<const sockaddr_in*>(&request.ifr_addr);
    char text[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    return text;
}

// A route that leads nowhere. `prefix_bits` 0: everything that no other route knows.
Result<void> block(int netlink, const char* address, int prefix_bits) {
    struct {
        nlmsghdr header;
        rtmsg route;
        rtattr attribute;
        in_addr address;
    } request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = RTM_NEWROUTE;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    request.route.rtm_family = AF_INET;
    request.route.rtm_dst_len = static_cast<unsigned char>(prefix_bits);
    request.route.rtm_table = RT_TABLE_MAIN;
    request.route.rtm_protocol = RTPROT_STATIC;
    request.route.rtm_scope = RT_SCOPE_UNIVERSE;
    request.route.rtm_type = RTN_UNREACHABLE;
    request.attribute = {RTA_LENGTH(sizeof(in_addr)), RTA_DST};
    if (inet_pton(AF_INET, address, &request.address) != 1)
        return invalid_input("not an address: " + std::string(address));
    if (send(netlink, &request, sizeof request, 0) < 0) return error_from_errno("cannot close the way out");
    alignas(nlmsghdr) char reply[4096];
    const ssize_t got = recv(netlink, reply, sizeof reply, 0);
    nlmsgerr failure{};
    if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof failure))) return internal_error("unexpected netlink answer");
    std::memcpy(&failure, NLMSG_DATA(reinterpret_cast<nlmsghdr*>(reply)), sizeof failure);
    errno = -failure.error;
    if (failure.error != 0) return error_from_errno("cannot close the way out");
    return {};
}

// No network of an engine keeps its containers from this machine; and where it leads further, ours do not.
Result<void> close_ways_out(int netlink, const char* gateway) {
    TRY(block(netlink, gateway, 32));
    return block(netlink, "0.0.0.0", 0);
}

// What is left reaches the server's sockets, which belong to its user.
Result<void> drop_privileges() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct left[2] = {};
    left[0].effective = left[0].permitted = 1u << CAP_DAC_OVERRIDE;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &header, left) != 0)
        return error_from_errno("cannot give up privileges");
    return {};
}

Result<void> hold(uint16_t port, const std::string& gateway, const std::string& api, const std::string& egress) {
    const Fd netlink = TRY(launcher::open_netlink());
    TRY(launcher::set_up_loopback(netlink.get(), !api.empty()));
    if (gateway == "-") {
        TRY(launcher::join_hosts({netlink.get()}, {getpid()}));
    } else {
        TRY(close_ways_out(netlink.get(), gateway.c_str()));
    }
    std::vector<Door> doors;
    if (!api.empty()) doors.push_back({TRY(launcher::listen_for_forwarding(launcher::kServerPort)), api, 0});
    if (!egress.empty()) doors.push_back({TRY(launcher::listen_for_forwarding(launcher::kEgressPort)), egress, 0});
    auto served = TRY(listen_served());
    doors.push_back({std::move(served), "", port});
    TRY(drop_privileges());
    const Fd ready = TRY(open_file(kReady, O_WRONLY));
    TRY(write_all(ready.get(), "ready " + address_of_eth0() + "\n"));
    serve_all(doors);
}

uid_t g_user = 0;
gid_t g_group = 0;

int own_one(const char* path, const struct stat* status, int kind, struct FTW*) {
    if (kind == FTW_DNR || (kind == FTW_D && (status->st_mode & 0700) != 0700)) chmod(path, 0700);
    // A set-id bit would not survive the change of the owner; on folders it means something harmless.
    if (status->st_uid != g_user || status->st_gid != g_group) {
        if (lchown(path, g_user, g_group) != 0) std::fprintf(stderr, "%s: %s\n", path, std::strerror(errno));
    }
    return 0;
}

int own(uid_t user, gid_t group, char** folders) {
    g_user = user;
    g_group = group;
    for (; *folders != nullptr; ++folders)
        if (nftw(*folders, own_one, 64, FTW_PHYS | FTW_MOUNT) != 0) return 1;
    return 0;
}

}  // namespace
}  // namespace millwright::gate

int main(int count, char** arguments) {
    using namespace millwright;
    // The first process of a namespace has no default actions.
    signal(SIGTERM, [](int) { _exit(0); });
    signal(SIGCHLD, SIG_IGN);
    const std::string word = count > 1 ? arguments[1] : "";
    const auto number = [&](int index) { return static_cast<unsigned>(std::strtoul(arguments[index], nullptr, 10)); };
    if (word == "own" && count > 4) return gate::own(number(2), number(3), arguments + 4);
    if (word == "hold" && count > 3) {
        const auto held = gate::hold(static_cast<uint16_t>(number(2)), arguments[3], count > 4 ? arguments[4] : "",
                                     count > 5 ? arguments[5] : "");
        if (!held) std::fprintf(stderr, "%s (%s)\n", held.error().message.c_str(), held.error().detail.c_str());
    }
    if (word == "exit") return 0;  // a container that only has to start
    return 1;
}
