// Commands on another host of the same job, without ssh: what mpirun and the drivers of the SDK's ModelTrainer start
// there. Open MPI calls `millwright-runner helper rsh HOST COMMAND…`; the host's daemon runs the command with /bin/sh
// in its own environment, so nothing needs to be forwarded.
//
//   client → daemon   frame*   Start (the command) once, then Input*, Close (end of input)
//   daemon → client   frame*   Output*, Error*, then Exit (decimal code) once
//   frame             kind (1 byte) length (4 bytes, big endian) data
//
// When either side goes away the other ends, the daemon killing the command's process group first. The daemon serves
// only addresses of hosts of the job: in a run's own network nobody else can even connect.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millwright::script_mode {

inline constexpr uint16_t kRemoteShellPort = 7591;
inline constexpr uint16_t kAnnouncePort = 7593;

// The runner itself, as the helpers of plans are started.
std::string runner_program();

// ssh's command line: options before the host are skipped (those that take a value with it), "user@" is dropped, the
// rest is the command. Empty host: it cannot be read.
struct RemoteCommand {
    std::string host, command;
    bool no_input = false;  // -n
};
RemoteCommand read_remote_command(const std::vector<std::string>& arguments);

// Exit code of the command; 255 when the host cannot be reached within `limit_s`.
int run_remote_shell(const RemoteCommand& command, int limit_s);
// Serves until SIGTERM. 1: the port cannot be had.
int serve_remote_shell(uint16_t port);

}  // namespace millwright::script_mode
