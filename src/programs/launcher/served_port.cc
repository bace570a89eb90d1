#include "programs/launcher/served_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "executors/process/launch_spec.h"

namespace millwright::launcher {
namespace {

constexpr size_t kReadySockets = 96;
constexpr size_t kFewSockets = 48;
constexpr size_t kMaxConnections = 1024;
constexpr int kBacklog = 4096;

// Each connection takes two sockets and two pipes.
void allow_many_files() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<ServedPort>> ServedPort::open(EventLoop& loop, const std::string& host_folder, uint16_t port,
                                                     int channel) {
    allow_many_files();
    std::unique_ptr<ServedPort> served(new ServedPort(port, channel));
    served->listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // Paths of sockets are short; that of a descriptor always fits.
    const Fd folder = TRY(open_file(host_folder, O_PATH | O_DIRECTORY));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder.get(),
                  executors::kServedSocket);
    unlink(address.sun_path);
    const mode_t before = umask(0177);
    const int bound = bind(served->listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    umask(before);
    if (bound != 0 || listen(served->listener_.get(), kBacklog) != 0)
        return error_from_errno("cannot open the socket of the served port");
    ServedPort* self = served.get();
    served->forwarder_ = std::make_unique<Forwarder>(
        loop, Forwarder::Settings{[self] { return self->connect_inside(); }, 0, kMaxConnections});
    return served;
}

void ServedPort::begin() {
    refill();
    if (listener_) forwarder_->serve(std::move(listener_));
}

void ServedPort::refill() {
    if (asked_ || ready_.size() > kFewSockets) return;
    const auto count = static_cast<int32_t>(std::min(kReadySockets - ready_.size(), kMaxFiles));
    asked_ = send_message(channel_, 'P', bytes_of(count)).has_value();
}

void ServedPort::take_sockets(Message message) {
    asked_ = false;
    for (Fd& socket : message.files) ready_.push_back(std::move(socket));
    if (!message.files.empty()) refill();
    forwarder_->retry();
}

Result<Fd> ServedPort::connect_inside() {
    if (ready_.empty()) {
        refill();
        return Error{ErrorKind::Unavailable, "no socket is ready", ""};
    }
    Fd inside = std::move(ready_.back());
    ready_.pop_back();
    refill();
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(inside.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)
        return not_found("nobody listens");
    return inside;
}

void hand_out_sockets(int channel, const Message& wanted) {
    int32_t count = 0;
    if (!read_struct(wanted, count)) return;
    std::vector<Fd> made;
    std::vector<int> files;
    while (files.size() < std::min(static_cast<size_t>(std::max(count, 0)), kMaxFiles)) {
        Fd inside(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!inside) break;
        const int on = 1;
        setsockopt(inside.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        files.push_back(inside.get());
        made.push_back(std::move(inside));
    }
    static_cast<void>(send_message(channel, 'P', "", files).has_value());
}

}  // namespace millwright::launcher
