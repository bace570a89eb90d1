// FIFOs in a folder that belongs to a job. The job may rename, remove and replace everything in it at any moment, and
// the feeder runs outside of the job's namespaces: nothing is opened by a path, no link is followed, and nothing but a
// FIFO is ever opened for writing.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/files.h"
#include "base/result.h"

namespace millwright::feeder {

// <run>/<host>/ml/input/data
Result<Fd> open_input_folder(const std::string& run_folder, const std::string& host);

// A FIFO that waits for its reader. The write end is held open, so an open(2) of the reader returns at once and its
// read(2) waits for data.
struct Fifo {
    std::string name;
    Fd write_end;  // non-blocking
    dev_t device = 0;
    ino_t inode = 0;
    int watch = -1;  // of the inotify descriptor: IN_OPEN and IN_CLOSE_NOWRITE tell of readers; -1: no watch to be had
};

// Makes the FIFO, or takes the one that is there. Conflict: there is something else of that name.
Result<Fifo> offer_fifo(int folder, const std::string& name, int inotify);
// Somebody has it open for reading at the moment.
bool has_reader(const Fifo& fifo);
// Removes the name, if it is still the FIFO's.
void remove_fifo(int folder, const Fifo& fifo);

}  // namespace millwright::feeder
