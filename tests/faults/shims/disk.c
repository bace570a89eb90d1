// Preloaded into the server by the fault tests: watches, and if asked fails, what it does with files below one folder.
//
// Every change of a file or folder becomes one record of a trace that lies in shared memory, in the order in which the
// changes happened; tests/faults/disk_model.py builds from it what a disk could hold after a power cut. The same memory
// holds the counters by which the n-th call of a kind fails. Python loads this library too, for note() and begin().
//
// Environment: MILLWRIGHT_DISK_TRACE is the file of the shared memory, MILLWRIGHT_DISK_FOLDER the folder (no links in it).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum Record { Write = 1, Truncate, Create, MakeFolder, Unlink, RemoveFolder, Rename, Link, SyncBegin, SyncEnd, Note, Foreign, Alarm };
enum Call { CallWrite, CallSync, CallRename, CallOpen, CallLink, CallTruncate, CallUnlink, CallMkdir, kCalls };

// The beginning of the shared memory; disk_model.py knows this layout.
struct Shared {
    _Atomic uint64_t end;          // of the records, from the beginning of the memory
    uint64_t size;                 // of the memory
    _Atomic int64_t calls[kCalls];  // made so far
    _Atomic int64_t fail_at[kCalls];  // the call that fails, counted from 1; 0: none
    _Atomic int64_t last_failing[kCalls];  // the last one that does
    _Atomic int64_t failure;       // errno
    _Atomic int64_t failed;        // calls that did
};
struct Header {
    uint64_t length;  // of the whole record, a multiple of 8
    uint64_t kind;
    uint64_t inode, a, b;
    uint64_t text, data;  // lengths of what follows
};
static const size_t kFirstRecord = 4096;

static struct Shared* shared;
static char folder[PATH_MAX];
static size_t folder_length;
// A change and its record are one step, so that the order of the records is that of the changes.
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) \
    static __typeof__(name)* real; \
    if (!real) real = (__typeof__(name)*)dlsym(RTLD_NEXT, #name)

static void map(const char* path) {
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) abort();
    void* memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) abort();
    close(fd);
    shared = memory;
}

// For Python.
void begin(const char* path, uint64_t size) {
    map(path);
    shared->size = size;
    atomic_store(&shared->end, kFirstRecord);
}

__attribute__((constructor)) static void start(void) {
    const char* trace = getenv("MILLWRIGHT_DISK_TRACE");
    const char* watched = getenv("MILLWRIGHT_DISK_FOLDER");
    if (!trace || !watched) return;
    folder_length = strlen(watched);
    memcpy(folder, watched, folder_length + 1);
    map(trace);
    // What the server starts is not watched.
    unsetenv("LD_PRELOAD");
}

static void record(enum Record kind, uint64_t inode, uint64_t a, uint64_t b, const char* text, size_t text_length,
                   const void* data, size_t data_length) {
    const uint64_t length = (sizeof(struct Header) + text_length + data_length + 7) & ~(uint64_t)7;
    const uint64_t at = atomic_fetch_add(&shared->end, length);
    if (at + length > shared->size) {
        fprintf(stderr, "the trace of the disk is full\n");
        abort();
    }
    struct Header* header = (struct Header*)((char*)shared + at);
    char* bytes = (char*)(header + 1);
    *header = (struct Header){length, kind, inode, a, b, text_length, data_length};
    memcpy(bytes, text, text_length);
    if (data_length > 0) memcpy(bytes + text_length, data, data_length);
}

void note(const char* text) { record(Note, 0, 0, 0, text, strlen(text), NULL, 0); }

static int inside(const char* path) {
    return folder_length > 0 && strncmp(path, folder, folder_length) == 0 &&
           (path[folder_length] == '/' || path[folder_length] == 0);
}

// The absolute path, when it lies in the folder.
static int place(int directory, const char* path, char* out) {
    if (!shared || !folder_length) return 0;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
    } else {
        char link[64];
        snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
        const ssize_t length = readlink(link, out, PATH_MAX - 1);
        if (length < 0) return 0;
        snprintf(out + length, PATH_MAX - (size_t)length, "/%s", path);
    }
    return inside(out);
}

// Whether the descriptor is of a file or folder inside; fills in which.
static int watched(int fd, struct stat* status, char* path) {
    if (!shared || !folder_length) return 0;
    const int before = errno;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, PATH_MAX - 1);
    int result = 0;
    if (length > 0) {
        path[length] = 0;
        result = inside(path) && fstat(fd, status) == 0 && (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode));
    }
    errno = before;
    return result;
}

// Counts a call and says whether it is to fail; errno is set then.
static int fails(enum Call call) {
    const int64_t number = atomic_fetch_add(&shared->calls[call], 1) + 1;
    const int64_t first = atomic_load(&shared->fail_at[call]);
    if (first == 0 || number < first || number > atomic_load(&shared->last_failing[call])) return 0;
    atomic_fetch_add(&shared->failed, 1);
    errno = (int)atomic_load(&shared->failure);
    return 1;
}

static uint64_t inode_at(int directory, const char* path) {
    struct stat status;
    return fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_ino : 0;
}

// The bytes of a file that somebody else wrote.
static void record_foreign(int fd, uint64_t inode, const char* path, size_t size) {
    char* bytes = malloc(size + 1);
    REAL(pread64);
    const ssize_t got = bytes ? real(fd, bytes, size, 0) : -1;
    if (got >= 0) record(Foreign, inode, 0, 0, path, strlen(path), bytes, (size_t)got);
    free(bytes);
}

// ---- opening ----

static int ends_with(const char* text, const char* end) {
    const size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static int opened(int directory, const char* path, int flags, mode_t mode) {
    REAL(openat64);
    char absolute[PATH_MAX];
    if (!place(directory, path, absolute)) return real(directory, path, flags, mode);
    if (fails(CallOpen)) return -1;
    if ((flags & O_TMPFILE) == O_TMPFILE) record(Alarm, 0, 0, 0, "O_TMPFILE", 9, NULL, 0);
    pthread_mutex_lock(&order);
    const int changes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    const uint64_t before = changes ? inode_at(directory, path) : 1;
    const int fd = real(directory, path, flags, mode);
    const int failure = errno;
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        if (!before) record(Create, status.st_ino, 0, 0, absolute, strlen(absolute), NULL, 0);
        if (before && (flags & O_TRUNC)) record(Truncate, status.st_ino, 0, 0, "", 0, NULL, 0);
        if (!changes && ends_with(absolute, "/exit.json"))
            record_foreign(fd, status.st_ino, absolute, (size_t)status.st_size);
    }
    pthread_mutex_unlock(&order);
    errno = failure;
    return fd;
}

#define OPEN(name, declaration, directory) \
    int name declaration { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        return opened(directory, path, flags, mode); \
    }
OPEN(open, (const char* path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char* path, int flags, ...), AT_FDCWD)
OPEN(openat, (int directory, const char* path, int flags, ...), directory)
OPEN(openat64, (int directory, const char* path, int flags, ...), directory)
int __open_2(const char* path, int flags) { return opened(AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return opened(AT_FDCWD, path, flags, 0); }
int __openat_2(int directory, const char* path, int flags) { return opened(directory, path, flags, 0); }
int __openat64_2(int directory, const char* path, int flags) { return opened(directory, path, flags, 0); }
int creat(const char* path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char* path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static FILE* stream_opened(const char* path, const char* mode) {
    const int flags = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    const int making = mode[0] == 'r' ? 0 : mode[0] == 'w' ? O_CREAT | O_TRUNC : O_CREAT | O_APPEND;
    char absolute[PATH_MAX];
    // Writes through streams happen inside libc, where they cannot be seen.
    if (flags != O_RDONLY && place(AT_FDCWD, path, absolute))
        record(Alarm, 0, 0, 0, absolute, strlen(absolute), NULL, 0);
    const int fd = opened(AT_FDCWD, path, flags | making | O_CLOEXEC, 0666);
    return fd < 0 ? NULL : fdopen(fd, mode);
}
FILE* fopen(const char* path, const char* mode) { return stream_opened(path, mode); }
FILE* fopen64(const char* path, const char* mode) { return stream_opened(path, mode); }

// ---- contents ----

// `offset` < 0: where the descriptor stands.
static ssize_t written(int fd, const struct iovec* parts, int count, off64_t offset) {
    static ssize_t (*at_position)(int, const struct iovec*, int);
    static ssize_t (*at_offset)(int, const struct iovec*, int, off64_t);
    if (!at_position) at_position = (ssize_t(*)(int, const struct iovec*, int))dlsym(RTLD_NEXT, "writev");
    if (!at_offset) at_offset = (ssize_t(*)(int, const struct iovec*, int, off64_t))dlsym(RTLD_NEXT, "pwritev64");
    char path[PATH_MAX];
    struct stat status;
    if (!watched(fd, &status, path) || !S_ISREG(status.st_mode))
        return offset < 0 ? at_position(fd, parts, count) : at_offset(fd, parts, count, offset);
    if (fails(CallWrite)) return -1;
    pthread_mutex_lock(&order);
    const ssize_t done = offset < 0 ? at_position(fd, parts, count) : at_offset(fd, parts, count, offset);
    const int failure = errno;
    if (done > 0) {
        const off64_t begin = offset < 0 ? lseek64(fd, 0, SEEK_CUR) - done : offset;
        ssize_t left = done;
        off64_t where = begin;
        for (int i = 0; i < count && left > 0; ++i) {
            const size_t length = (size_t)left < parts[i].iov_len ? (size_t)left : parts[i].iov_len;
            record(Write, status.st_ino, (uint64_t)where, 0, "", 0, parts[i].iov_base, length);
            where += (off64_t)length;
            left -= (ssize_t)length;
        }
    }
    pthread_mutex_unlock(&order);
    errno = failure;
    return done;
}
ssize_t write(int fd, const void* bytes, size_t length) {
    REAL(write);
    if (!shared || !folder_length) return real(fd, bytes, length);
    const struct iovec part = {(void*)bytes, length};
    return written(fd, &part, 1, -1);
}
ssize_t pwrite64(int fd, const void* bytes, size_t length, off64_t offset) {
    const struct iovec part = {(void*)bytes, length};
    return written(fd, &part, 1, offset);
}
ssize_t pwrite(int fd, const void* bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }
ssize_t writev(int fd, const struct iovec* parts, int count) { return written(fd, parts, count, -1); }
ssize_t pwritev64(int fd, const struct iovec* parts, int count, off64_t offset) { return written(fd, parts, count, offset); }
ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) { return written(fd, parts, count, offset); }

// What the kernel wrote for us, read back.
static void record_range(int fd, uint64_t inode, off64_t begin, ssize_t length) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const int readable = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    char* bytes = malloc((size_t)length);
    REAL(pread64);
    if (readable < 0 || !bytes || real(readable, bytes, (size_t)length, begin) != length) abort();
    record(Write, inode, (uint64_t)begin, 0, "", 0, bytes, (size_t)length);
    free(bytes);
    close(readable);
}
ssize_t copy_file_range(int from, off64_t* from_at, int to, off64_t* to_at, size_t length, unsigned flags) {
    REAL(copy_file_range);
    char path[PATH_MAX];
    struct stat status;
    if (!watched(to, &status, path)) return real(from, from_at, to, to_at, length, flags);
    if (fails(CallWrite)) return -1;
    pthread_mutex_lock(&order);
    const ssize_t done = real(from, from_at, to, to_at, length, flags);
    const int failure = errno;
    if (done > 0) record_range(to, status.st_ino, (to_at ? *to_at : lseek64(to, 0, SEEK_CUR)) - done, done);
    pthread_mutex_unlock(&order);
    errno = failure;
    return done;
}
ssize_t sendfile64(int to, int from, off64_t* at, size_t length) {
    REAL(sendfile64);
    char path[PATH_MAX];
    struct stat status;
    if (!watched(to, &status, path)) return real(to, from, at, length);
    if (fails(CallWrite)) return -1;
    pthread_mutex_lock(&order);
    const ssize_t done = real(to, from, at, length);
    const int failure = errno;
    if (done > 0) record_range(to, status.st_ino, lseek64(to, 0, SEEK_CUR) - done, done);
    pthread_mutex_unlock(&order);
    errno = failure;
    return done;
}
ssize_t sendfile(int to, int from, off_t* at, size_t length) { return sendfile64(to, from, at, length); }

static int resized(int fd, off64_t size) {
    static int (*real)(int, off64_t);
    if (!real) real = (int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64");
    char path[PATH_MAX];
    struct stat status;
    if (!watched(fd, &status, path)) return real(fd, size);
    if (fails(CallTruncate)) return -1;
    pthread_mutex_lock(&order);
    const int done = real(fd, size);
    const int failure = errno;
    if (done == 0) record(Truncate, status.st_ino, (uint64_t)size, 0, "", 0, NULL, 0);
    pthread_mutex_unlock(&order);
    errno = failure;
    return done;
}
int ftruncate(int fd, off_t size) { return resized(fd, size); }
int ftruncate64(int fd, off64_t size) { return resized(fd, size); }
int truncate(const char* path, off_t size) {
    const int fd = opened(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    const int done = resized(fd, size);
    close(fd);
    return done;
}
int truncate64(const char* path, off64_t size) { return truncate(path, size); }

// Reserving room changes at most the size.
static int reserved(int fd, int mode, off64_t offset, off64_t length) {
    static int (*real)(int, int, off64_t, off64_t);
    if (!real) real = (int (*)(int, int, off64_t, off64_t))dlsym(RTLD_NEXT, "fallocate64");
    char path[PATH_MAX];
    struct stat status, after;
    if (!watched(fd, &status, path)) return real(fd, mode, offset, length);
    if (fails(CallWrite)) return -1;
    pthread_mutex_lock(&order);
    const int done = real(fd, mode, offset, length);
    const int failure = errno;
    if (done == 0 && (mode & ~FALLOC_FL_KEEP_SIZE) != 0) record(Alarm, status.st_ino, 0, 0, "fallocate", 9, NULL, 0);
    if (done == 0 && fstat(fd, &after) == 0 && after.st_size != status.st_size)
        record(Truncate, status.st_ino, (uint64_t)after.st_size, 0, "", 0, NULL, 0);
    pthread_mutex_unlock(&order);
    errno = failure;
    return done;
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return reserved(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return reserved(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return reserved(fd, 0, offset, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return reserved(fd, 0, offset, length) == 0 ? 0 : errno; }

int ioctl(int fd, unsigned long request, ...) {
    REAL(ioctl);
    va_list more;
    va_start(more, request);
    void* argument = va_arg(more, void*);
    va_end(more);
    char path[PATH_MAX];
    struct stat status;
    if (request != FICLONE || !watched(fd, &status, path)) return real(fd, request, argument);
    pthread_mutex_lock(&order);
    const int done = real(fd, request, argument);
    const int failure = errno;
    if (done == 0 && fstat(fd, &status) == 0) record_range(fd, status.st_ino, 0, (ssize_t)status.st_size);
    pthread_mutex_unlock(&order);
    errno = failure;
    return done;
}

static void* mapped(void* address, size_t length, int protection, int flags, int fd, off64_t offset) {
    static void* (*real)(void*, size_t, int, int, int, off64_t);
    if (!real) real = (void* (*)(void*, size_t, int, int, int, off64_t))dlsym(RTLD_NEXT, "mmap64");
    char path[PATH_MAX];
    struct stat status;
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED) && watched(fd, &status, path) &&
        !ends_with(path, "-shm"))  // SQLite makes that one anew after a crash
        record(Alarm, status.st_ino, 0, 0, path, strlen(path), NULL, 0);
    return real(address, length, protection, flags, fd, offset);
}
void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mapped(address, length, protection, flags, fd, offset);
}
void* mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mapped(address, length, protection, flags, fd, offset);
}

// ---- durability ----

enum Scope { ScopeFile, ScopeDisk };

static int synced(int fd, const char* name, enum Scope scope) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    char path[PATH_MAX];
    struct stat status;
    if (!watched(fd, &status, path)) return real(fd);
    static _Atomic uint64_t numbers;
    const uint64_t number = atomic_fetch_add(&numbers, 1);
    record(SyncBegin, status.st_ino, number, scope, path, strlen(path), NULL, 0);
    const int failed = fails(CallSync);
    const int done = failed ? -1 : real(fd);
    const int failure = errno;
    record(SyncEnd, status.st_ino, number, done == 0, "", 0, NULL, 0);
    errno = failure;
    return done;
}
int fsync(int fd) { return synced(fd, "fsync", ScopeFile); }
int fdatasync(int fd) { return synced(fd, "fdatasync", ScopeFile); }
int syncfs(int fd) { return synced(fd, "syncfs", ScopeDisk); }

// ---- names ----

// A path's change: done and recorded in one step.
#define CHANGE(call, action) \
    if (fails(call)) return -1; \
    pthread_mutex_lock(&order); \
    const int done = action; \
    const int failure = errno;
#define CHANGED \
    pthread_mutex_unlock(&order); \
    errno = failure; \
    return done;

static int renamed(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
    REAL(renameat2);
    char source[PATH_MAX], target[PATH_MAX];
    const int from_inside = place(from_directory, from, source), to_inside = place(to_directory, to, target);
    if (!from_inside && !to_inside) return real(from_directory, from, to_directory, to, flags);
    CHANGE(CallRename, real(from_directory, from, to_directory, to, flags))
    if (done == 0) {
        if (flags & ~(unsigned)RENAME_NOREPLACE) record(Alarm, 0, 0, 0, "renameat2", 9, NULL, 0);
        const uint64_t inode = inode_at(to_directory, to);
        record(Rename, inode, to_inside ? strlen(source) : 0, 0, source, strlen(source), target, strlen(target));
    }
    CHANGED
}
int rename(const char* from, const char* to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char* from, int b, const char* to) { return renamed(a, from, b, to, 0); }
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) { return renamed(a, from, b, to, flags); }

static int linked(int from_directory, const char* from, int to_directory, const char* to, int flags) {
    REAL(linkat);
    char target[PATH_MAX];
    if (!place(to_directory, to, target)) return real(from_directory, from, to_directory, to, flags);
    CHANGE(CallLink, real(from_directory, from, to_directory, to, flags))
    if (done == 0) {
        const uint64_t inode = inode_at(to_directory, to);
        const int fd = (int)syscall(SYS_openat, to_directory, to, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        struct stat status;
        if (fd >= 0 && fstat(fd, &status) == 0) record_foreign(fd, inode, target, (size_t)status.st_size);
        if (fd >= 0) close(fd);
        record(Link, inode, 0, 0, target, strlen(target), NULL, 0);
    }
    CHANGED
}
int link(const char* from, const char* to) { return linked(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int a, const char* from, int b, const char* to, int flags) { return linked(a, from, b, to, flags); }

static int unlinked(int directory, const char* name, int flags) {
    REAL(unlinkat);
    char path[PATH_MAX];
    if (!place(directory, name, path)) return real(directory, name, flags);
    CHANGE(CallUnlink, real(directory, name, flags))
    if (done == 0) record(flags & AT_REMOVEDIR ? RemoveFolder : Unlink, 0, 0, 0, path, strlen(path), NULL, 0);
    CHANGED
}
int unlink(const char* path) { return unlinked(AT_FDCWD, path, 0); }
int unlinkat(int directory, const char* path, int flags) { return unlinked(directory, path, flags); }
int rmdir(const char* path) { return unlinked(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) {
    if (unlinked(AT_FDCWD, path, 0) == 0) return 0;
    return errno == EISDIR || errno == EPERM ? unlinked(AT_FDCWD, path, AT_REMOVEDIR) : -1;
}

static int folder_made(int directory, const char* name, mode_t mode) {
    REAL(mkdirat);
    char path[PATH_MAX];
    if (!place(directory, name, path)) return real(directory, name, mode);
    CHANGE(CallMkdir, real(directory, name, mode))
    if (done == 0) record(MakeFolder, inode_at(directory, name), 0, 0, path, strlen(path), NULL, 0);
    CHANGED
}
int mkdir(const char* path, mode_t mode) { return folder_made(AT_FDCWD, path, mode); }
int mkdirat(int directory, const char* path, mode_t mode) { return folder_made(directory, path, mode); }
