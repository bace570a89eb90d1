// The folder of a run, and who owns it. Two locks on <folder>/launch tell, and the kernel drops both with the process
// that holds them, so neither reused process ids nor a restart of the machine can mislead anybody:
//
//   byte 0  open-file lock, taken by the server before it starts the launcher and passed on to it with the descriptor,
//   so
//           that there is no moment without an owner
//   byte 1  process lock, taken by the launcher as its first act: whoever asks for it learns the launcher's process id
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/files.h"
#include "base/result.h"

namespace millwright::executors {

// Takes byte 0; owned as long as a copy of the descriptor is open anywhere. Conflict: somebody else has it. NotFound:
// there is no run, or it was given up.
Result<Fd> lock_run(const std::string& folder);
// The launcher's: shows its process id. Closing any descriptor of the file in this process would hide it again.
Result<void> show_owner(int lock);

struct Owner {
    pid_t pid = 0;  // 0: not known yet, a launcher is at its first steps
};
std::optional<Owner> owner_of_run(const std::string& folder);

// After the end: overlayfs leaves folders that their owner may not list, and so may the run itself; nobody but root
// could remove them. Makes the folders of the run's hosts theirs again, where this is not root.
void unlock_folders(const std::string& folder, int hosts);

}  // namespace millwright::executors
