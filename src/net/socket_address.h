// Listening and connecting: TCP addresses and unix socket paths of any length.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "base/files.h"
#include "base/result.h"

namespace millwright::net {

// `address` is an IPv4 or IPv6 address, or "localhost". The descriptors are non-blocking. Unavailable: the
// port is taken.
Result<Fd> listen_tcp(const std::string& address, uint16_t port);
// An old socket file is replaced; the new one is for the owner only.
Result<Fd> listen_unix(const std::string& path);
// The connection may still be under way when this returns: wait for "writable", then ask SO_ERROR.
Result<Fd> begin_connect_tcp(const std::string& address, uint16_t port);
Result<Fd> connect_unix(const std::string& path);

uint16_t local_port(int fd);
// "127.0.0.1:40112", "[::1]:40112", or "unix".
std::string to_text(const sockaddr_storage& address);

}  // namespace millwright::net
