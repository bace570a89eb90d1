// A SQLite VFS for tests: the usual one, until the n-th call of a kind fails.
#pragma once

#include <string>

namespace millwright::metadata_store {

inline constexpr const char* kFailingDisk = "failing disk";  // Settings::vfs

enum class DiskCall { Write, Sync };
enum class DiskFile { Log, Database, Any };
struct DiskFailure {
    DiskCall call = DiskCall::Sync;
    DiskFile file = DiskFile::Log;
    int after = 0;      // so many calls succeed first
    int times = 1;      // so many fail, then all succeed again, as with a disk that lies
    bool full = false;  // for want of room, else an I/O error
};

// Registers the VFS on the first call. Not for two tests at a time.
void use_failing_disk();
void let_disk_fail(const DiskFailure& failure);
void heal_disk();
int failed_disk_calls();

}  // namespace millwright::metadata_store
