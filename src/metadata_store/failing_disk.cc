#include "metadata_store/failing_disk.h"

#include <sqlite3.h>

#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/mutex.h"

namespace millwright::metadata_store {
namespace {

struct State {
    Mutex mutex;
    std::optional<DiskFailure> failure GUARDED_BY(mutex);
    int calls GUARDED_BY(mutex) = 0, failed GUARDED_BY(mutex) = 0;
};
State& state() {
    static State one;
    return one;
}

struct WrappedFile {
    sqlite3_file base;
    DiskFile kind;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
WrappedFile* wrapped(sqlite3_file* file) { return reinterpret_cast<WrappedFile*>(file); }
sqlite3_file* real(sqlite3_file* file) { return wrapped(file)->real(); }

bool fails(DiskCall call, DiskFile file) {
    const MutexLock lock(state().mutex);
    const auto& failure = state().failure;
    if (!failure || failure->call != call || (failure->file != DiskFile::Any && failure->file != file)) return false;
    const int number = state().calls++;
    if (number < failure->after || number >= failure->after + failure->times) return false;
    ++state().failed;
    return true;
}
bool is_full() {
    const MutexLock lock(state().mutex);
    return state().failure && state().failure->full;
}

int write_file(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
    if (fails(DiskCall::Write, wrapped(file)->kind)) return is_full() ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return real(file)->pMethods->xWrite(real(file), bytes, count, offset);
}
int sync_file(sqlite3_file* file, int flags) {
    if (fails(DiskCall::Sync, wrapped(file)->kind)) return SQLITE_IOERR_FSYNC;
    return real(file)->pMethods->xSync(real(file), flags);
}

const sqlite3_io_methods kMethods = {
    .iVersion = 2,  // without memory mapping, which would pass us by
    .xClose = [](sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); },
    .xRead = [](sqlite3_file* file, void* into, int count,
                sqlite3_int64 offset) { return real(file)->pMethods->xRead(real(file), into, count, offset); },
    .xWrite = write_file,
    .xTruncate = [](sqlite3_file* file,
                    sqlite3_int64 size) { return real(file)->pMethods->xTruncate(real(file), size); },
    .xSync = sync_file,
    .xFileSize = [](sqlite3_file* file,
                    sqlite3_int64* size) { return real(file)->pMethods->xFileSize(real(file), size); },
    .xLock = [](sqlite3_file* file, int kind) { return real(file)->pMethods->xLock(real(file), kind); },
    .xUnlock = [](sqlite3_file* file, int kind) { return real(file)->pMethods->xUnlock(real(file), kind); },
    .xCheckReservedLock = [](sqlite3_file* file,
                             int* held) { return real(file)->pMethods->xCheckReservedLock(real(file), held); },
    .xFileControl = [](sqlite3_file* file, int what,
                       void* value) { return real(file)->pMethods->xFileControl(real(file), what, value); },
    .xSectorSize = [](sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); },
    .xDeviceCharacteristics =
        [](sqlite3_file* file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); },
    .xShmMap =
        [](sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
            return real(file)->pMethods->xShmMap(real(file), page, size, extend, memory);
        },
    .xShmLock = [](sqlite3_file* file, int offset, int count,
                   int flags) { return real(file)->pMethods->xShmLock(real(file), offset, count, flags); },
    .xShmBarrier = [](sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); },
    .xShmUnmap = [](sqlite3_file* file, int remove) { return real(file)->pMethods->xShmUnmap(real(file), remove); },
};

sqlite3_vfs* usual() { return static_cast<sqlite3_vfs*>(sqlite3_vfs_find("unix")); }

int open_wrapped(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    auto* opened = wrapped(file);
    opened->base.pMethods = nullptr;
    opened->kind = (flags & SQLITE_OPEN_WAL) != 0 ? DiskFile::Log : DiskFile::Database;
    const int code = usual()->xOpen(usual(), name, opened->real(), flags, out_flags);
    if (opened->real()->pMethods != nullptr) opened->base.pMethods = &kMethods;
    return code;
}

}  // namespace

void use_failing_disk() {
    static sqlite3_vfs vfs = [] {
        sqlite3_vfs made = *usual();
        made.zName = kFailingDisk;
        made.szOsFile = static_cast<int>(sizeof(WrappedFile)) + usual()->szOsFile;
        made.pNext = nullptr;
        made.xOpen = open_wrapped;
        return made;
    }();
    CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

void let_disk_fail(const DiskFailure& failure) {
    const MutexLock lock(state().mutex);
    state().failure = failure;
    state().calls = state().failed = 0;
}

void heal_disk() {
    const MutexLock lock(state().mutex);
    state().failure.reset();
}

int failed_disk_calls() {
    const MutexLock lock(state().mutex);
    return state().failed;
}

}  // namespace millwright::metadata_store
