#include "programs/launcher/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <cerrno>
#include <cstring>

namespace millwright::launcher {

namespace {
constexpr size_t kMaxPayload = 4096;
}  // namespace

Moment now() {
    timespec wall{}, monotonic{};
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    return {wall.tv_sec * 1000 + wall.tv_nsec / 1000000, monotonic.tv_sec * 1000000000 + monotonic.tv_nsec};
}

Result<void> send_message(int socket, char kind, std::string_view payload, const std::vector<int>& files) {
    iovec parts[2] = {{&kind, 1}, {const_cast<char*>(payload.data()), std::min(payload.size(), kMaxPayload)}};
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxFiles * sizeof(int))] = {};
    msghdr header{};
    CHECK(files.size() <= kMaxFiles);
    header.msg_iov = parts;
    header.msg_iovlen = 2;
    if (!files.empty()) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(files.size() * sizeof(int));
        cmsghdr* first = CMSG_FIRSTHDR(&header);
        first->cmsg_level = SOL_SOCKET;
        first->cmsg_type = SCM_RIGHTS;
        first->cmsg_len = CMSG_LEN(files.size() * sizeof(int));
        std::memcpy(CMSG_DATA(first), files.data(), files.size() * sizeof(int));
    }
    while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) return error_from_errno("cannot send to the other side");
    return {};
}

Result<Message> receive_message(int socket, int timeout_ms) {
    pollfd wait{socket, POLLIN, 0};
    const int ready = poll(&wait, 1, timeout_ms);
    if (ready == 0) return Error{ErrorKind::Unavailable, "no message in time", ""};
    char kind = 0;
    char payload[kMaxPayload];
    iovec parts[2] = {{&kind, 1}, {payload, sizeof payload}};
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxFiles * sizeof(int))];
    msghdr header{};
    header.msg_iov = parts;
    header.msg_iovlen = 2;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Error{ErrorKind::Unavailable, "no message", ""};
    if (got <= 0) return not_found("the other side has ended");
    Message message{kind, std::string(payload, static_cast<size_t>(got - 1)), {}};
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
            message.files.emplace_back(fd);
        }
    }
    return message;
}

}  // namespace millwright::launcher
