// A shell in a run: `millwright-launcher --enter <folder> <host> [command…]`, executed in the caller's place.
//
// A run that lives is entered: the same processes, files, network, limits and user as its command. One that has ended
// is set up again around its folder as it was left (files, changes in overlays, environment, mounts; /dev/shm is empty
// and the other hosts are not there) and vanishes with the shell. A run whose folder is gone cannot be entered.
//
// On a terminal the shell gets a terminal of its own inside and ours is passed through; otherwise it reads and writes
// our standard descriptors. The exit status is that of the command, 128 + signal when it was killed, and 125 with a
// message on stderr when the run cannot be entered. The caller must be the user of the server.
#pragma once

#include <string>
#include <vector>

namespace millwright::executors {

inline constexpr int kCannotEnter = 125;

struct EnterRequest {
    std::string launcher;              // absolute path of millwright-launcher
    std::string folder;                // as it was given to Executor::start
    int host = 0;                      // 0: algo-1
    std::vector<std::string> command;  // empty: a login shell
};

// For execv(arguments[0], arguments), with the caller's environment (only TERM is looked at).
std::vector<std::string> enter_arguments(const EnterRequest& request);

}  // namespace millwright::executors
