// A disk that keeps what was synced apart from what was not.
//
// Files are real files in a folder of memory; disk.cc defines open, write, fsync, rename and their kin and notes, for
// the parts of the folder that must be durable, how to undo what no fsync has covered yet. A power cut undoes a part of
// it that the seed chooses: blocks of files in any combination, changes of folders from some moment on.
#pragma once

#include <string>
#include <vector>

#include "simulation/scheduler.h"

namespace millwright::simulation {

struct DiskSettings {
    std::string root;                  // absolute
    std::vector<std::string> durable;  // below root: prefixes of the paths that are watched
    int64_t longest_sync = 20 * kMillisecond;
};

// One per process; `dice` is the scheduler's.
void mount_disk(const DiskSettings& settings);
// The process that had the files open is gone: its descriptors are closed. Locks that SQLite keeps per file are left
// behind with the old file; `databases` are the paths of those.
void close_all_files(const std::vector<std::string>& databases);
// After close_all_files(): what was not synced is lost, all, none or some of it.
void cut_power(Dice& dice);

}  // namespace millwright::simulation
