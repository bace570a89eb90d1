// Preloaded into the server by the fault tests: a wall clock that can be moved while the server runs.
//
// MILLWRIGHT_CLOCK is a file of 16 bytes that is mapped: the nanoseconds by which the wall clock is off, which the test
// changes, and the number of waits that were made by the wall clock, which should stay 0: such a wait ends early or late
// when the clock is set. The monotonic clock is left alone, as it is when somebody sets the clock of a machine.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct Shared {
    _Atomic int64_t offset_ns;
    _Atomic int64_t waits;
};
static struct Shared nobody;
static struct Shared* shared = &nobody;

__attribute__((constructor)) static void start(void) {
    const char* path = getenv("MILLWRIGHT_CLOCK");
    if (!path) return;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    void* memory = mmap(NULL, sizeof(struct Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || memory == MAP_FAILED) abort();
    close(fd);
    shared = memory;
    unsetenv("LD_PRELOAD");
}

int clock_gettime(clockid_t clock, struct timespec* out) {
    static int (*real)(clockid_t, struct timespec*);
    if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
    const int done = real(clock, out);
    if (done != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE && clock != CLOCK_TAI)) return done;
    const int64_t second = 1000000000;
    const int64_t now = out->tv_sec * second + out->tv_nsec + atomic_load(&shared->offset_ns);
    out->tv_sec = now / second;
    out->tv_nsec = now % second;
    return 0;
}
int gettimeofday(struct timeval* out, void* zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t* out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
int timespec_get(struct timespec* out, int base) { return clock_gettime(CLOCK_REALTIME, out) == 0 ? base : 0; }

static void count(void) { atomic_fetch_add(&shared->waits, 1); }

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const struct timespec* until) {
    static __typeof__(pthread_cond_timedwait)* real;
    if (!real) real = (__typeof__(pthread_cond_timedwait)*)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    count();
    return real(condition, mutex, until);
}
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const struct timespec* until) {
    static __typeof__(pthread_cond_clockwait)* real;
    if (!real) real = (__typeof__(pthread_cond_clockwait)*)dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    if (clock == CLOCK_REALTIME) count();
    return real(condition, mutex, clock, until);
}
int pthread_mutex_timedlock(pthread_mutex_t* mutex, const struct timespec* until) {
    static __typeof__(pthread_mutex_timedlock)* real;
    if (!real) real = (__typeof__(pthread_mutex_timedlock)*)dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    count();
    return real(mutex, until);
}
int sem_timedwait(sem_t* semaphore, const struct timespec* until) {
    static __typeof__(sem_timedwait)* real;
    if (!real) real = (__typeof__(sem_timedwait)*)dlsym(RTLD_NEXT, "sem_timedwait");
    count();
    return real(semaphore, until);
}
int timerfd_settime(int fd, int flags, const struct itimerspec* value, struct itimerspec* before) {
    static __typeof__(timerfd_settime)* real;
    if (!real) real = (__typeof__(timerfd_settime)*)dlsym(RTLD_NEXT, "timerfd_settime");
    if (flags & TFD_TIMER_ABSTIME) count();
    return real(fd, flags, value, before);
}
