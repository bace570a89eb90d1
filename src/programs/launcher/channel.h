// Messages between the supervisor and the init process of a host: SOCK_SEQPACKET, one letter, then a payload, and
// descriptors beside it.
//
//   init -> supervisor                              supervisor -> init
//   'U' the user namespace is ready                 'G' go: control group files
//   'N' network: netlink socket [, listener for the server] [, listener for the way out]
//   'P' sockets of the host's network               'P' so many are wanted (int32): served_port.h
//   'R' the root is ready                           'Y' signal for the command (int)
//                                                   'W' work for a spare: the work file
//   'S' command executed: Moment
//   'X' command ended: ExitReport                   'H' a shell is wanted, 'K' no longer: session.h
//   'M' 'F' 'Q' a shell began, failed, ended: session.h
//   'E' failed: text
//   'T' trace: "ok step" or "no step: reason"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millwright::launcher {

inline constexpr size_t kMaxFiles = 32;  // beside one message

struct Moment {
    int64_t wall_ms = 0;
    int64_t monotonic_ns = 0;
};
Moment now();

struct ExitReport {
    int status = 0;            // as of waitpid
    bool over_memory = false;  // ended by the watchdog
    Moment moment;
};

struct Message {
    char kind = 0;
    std::string payload;
    std::vector<Fd> files;
};

Result<void> send_message(int socket, char kind, std::string_view payload, const std::vector<int>& files = {});
// Waits at most `timeout_ms` (-1: for ever). The other side's end is the error NotFound, time running out Unavailable.
Result<Message> receive_message(int socket, int timeout_ms);

template <typename Struct>
std::string_view bytes_of(const Struct& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}
template <typename Struct>
bool read_struct(const Message& message, Struct& value) {
    if (message.payload.size() != sizeof value) return false;
    __builtin_memcpy(&value, message.payload.data(), sizeof value);
    return true;
}

}  // namespace millwright::launcher
