// The calls by which the product, libstdc++ and SQLite reach threads, locks and time. Definitions of a program come
// before those of the C library. Without a simulation in progress there is one thread, so locks are free.
#include "simulation/threads.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>

#include "simulation/scheduler.h"

namespace {

using millwright::simulation::fail;
using millwright::simulation::kMillisecond;
using millwright::simulation::kNever;
using millwright::simulation::kSecond;
using millwright::simulation::Scheduler;

const char polls = 0;

template <typename F>
F* real(const char* name) {
    return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

int64_t nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }
timespec to_timespec(int64_t time) { return {time / kSecond, time % kSecond}; }

int64_t steady_deadline(clockid_t clock, const timespec& time) {
    if (time.tv_sec > INT64_MAX / (2 * kSecond)) return kNever;
    const auto at = nanoseconds(time);
    return clock == CLOCK_REALTIME ? at - Scheduler::current()->wall_ahead_ns() : at;
}

int wait(pthread_cond_t* condition, pthread_mutex_t* mutex, int64_t deadline) {
    auto* scheduler = Scheduler::current();
    if (!scheduler) fail("a wait without a simulation");
    const auto depth = mutex->__data.__count;
    mutex->__data.__lock = 0;
    mutex->__data.__owner = 0;
    scheduler->wake_one(mutex);
    bool woken = true;
    if (scheduler->wakes_for_nothing())
        scheduler->yield();
    else
        woken = scheduler->block(condition, deadline);
    pthread_mutex_lock(mutex);
    mutex->__data.__count = depth;
    return woken ? 0 : ETIMEDOUT;
}

int64_t clock_now(clockid_t clock) {
    auto* scheduler = Scheduler::current();
    scheduler->pass(50);
    const bool wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
    return wall ? scheduler->wall_ns() : scheduler->steady_ns();
}

long futex(uint32_t* word, int operation, uint32_t value, const timespec* timeout) {
    auto* scheduler = Scheduler::current();
    const int command = operation & FUTEX_CMD_MASK;
    if (command == FUTEX_WAKE || command == FUTEX_WAKE_BITSET) {
        scheduler->wake_all(word);
        scheduler->preempt();
        return 1;
    }
    if (command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET) fail("an unknown futex operation");
    if (*word != value) return errno = EAGAIN, -1;
    int64_t deadline = kNever;
    if (timeout && command == FUTEX_WAIT) deadline = scheduler->steady_ns() + nanoseconds(*timeout);
    if (timeout && command == FUTEX_WAIT_BITSET)
        deadline = steady_deadline(operation & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, *timeout);
    if (scheduler->block(word, deadline)) return 0;
    return errno = ETIMEDOUT, -1;
}

}  // namespace

namespace millwright::simulation {

void link_threads() {}
void something_may_be_readable() {
    if (auto* scheduler = Scheduler::current()) scheduler->wake_all(&polls);
}

}  // namespace millwright::simulation

extern "C" {

int pthread_create(pthread_t* thread, const pthread_attr_t*, void* (*routine)(void*), void* argument) {
    auto* scheduler = Scheduler::current();
    if (!scheduler) fail("a thread without a simulation");
    *thread = static_cast<pthread_t>(scheduler->spawn("thread", [routine, argument] { routine(argument); })) + 1;
    scheduler->preempt();
    return 0;
}

int pthread_join(pthread_t thread, void** result) {
    auto* scheduler = Scheduler::current();
    if (!scheduler) fail("a join without a simulation");
    scheduler->join(static_cast<int>(thread) - 1);
    if (result) *result = nullptr;
    return 0;
}

int pthread_detach(pthread_t) { return 0; }
int pthread_setname_np(pthread_t, const char*) { return 0; }

pthread_t pthread_self() noexcept {
    auto* scheduler = Scheduler::current();
    return scheduler ? static_cast<pthread_t>(scheduler->self()) + 1 : 1;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
    auto* scheduler = Scheduler::current();
    if (!scheduler || scheduler->self() < 0) return 0;
    scheduler->preempt();
    auto& data = mutex->__data;
    const int self = scheduler->self() + 1;
    if (data.__lock != 0 && data.__owner == self) {
        if ((data.__kind & 3) != PTHREAD_MUTEX_RECURSIVE) fail("a thread waits for a lock that it holds");
        ++data.__count;
        return 0;
    }
    while (data.__lock != 0) scheduler->block(mutex);
    data.__lock = 1;
    data.__owner = self;
    return 0;
}

int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
    auto* scheduler = Scheduler::current();
    if (!scheduler || scheduler->self() < 0) return 0;
    if (mutex->__data.__lock != 0 && mutex->__data.__owner != scheduler->self() + 1) return EBUSY;
    return pthread_mutex_lock(mutex);
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
    auto* scheduler = Scheduler::current();
    if (!scheduler || scheduler->self() < 0) return 0;
    auto& data = mutex->__data;
    if (data.__count > 0) return --data.__count, 0;
    data.__lock = 0;
    data.__owner = 0;
    scheduler->wake_one(mutex);
    scheduler->preempt();
    return 0;
}

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) { return wait(condition, mutex, kNever); }
int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until) {
    return wait(condition, mutex, steady_deadline(CLOCK_REALTIME, *until));
}
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* until) {
    return wait(condition, mutex, steady_deadline(clock, *until));
}
int pthread_cond_signal(pthread_cond_t* condition) noexcept {
    if (auto* scheduler = Scheduler::current(); scheduler && !scheduler->loses_this_notification()) {
        scheduler->wake_one(condition);
        scheduler->preempt();
    }
    return 0;
}
int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
    if (auto* scheduler = Scheduler::current(); scheduler && !scheduler->loses_this_notification()) {
        scheduler->wake_all(condition);
        scheduler->preempt();
    }
    return 0;
}
int pthread_cond_destroy(pthread_cond_t*) noexcept { return 0; }

int sched_yield() noexcept {
    if (auto* scheduler = Scheduler::current()) scheduler->yield();
    return 0;
}

int clock_gettime(clockid_t clock, timespec* time) noexcept {
    const bool virtual_clock = clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID;
    if (Scheduler::current() && virtual_clock) return *time = to_timespec(clock_now(clock)), 0;
    static auto* const beneath = real<int(clockid_t, timespec*)>("clock_gettime");
    return beneath(clock, time);
}

int gettimeofday(timeval* __restrict time, void* __restrict) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    *time = {now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t* result) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

int nanosleep(const timespec* duration, timespec*) {
    if (auto* scheduler = Scheduler::current()) scheduler->sleep(nanoseconds(*duration));
    return 0;
}
int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec*) {
    auto* scheduler = Scheduler::current();
    if (!scheduler) return 0;
    if (flags & TIMER_ABSTIME)
        scheduler->block(nullptr, steady_deadline(clock, *time));
    else
        scheduler->sleep(nanoseconds(*time));
    return 0;
}
int usleep(useconds_t duration) {
    if (auto* scheduler = Scheduler::current()) scheduler->sleep(int64_t{duration} * 1000);
    return 0;
}

int poll(pollfd* sources, nfds_t count, int timeout) {
    static auto* const beneath = real<int(pollfd*, nfds_t, int)>("poll");
    auto* scheduler = Scheduler::current();
    if (!scheduler) return beneath(sources, count, timeout);
    const auto deadline = timeout < 0 ? kNever : scheduler->steady_ns() + int64_t{timeout} * kMillisecond;
    for (;;) {
        const int found = beneath(sources, count, 0);
        if (found != 0 || timeout == 0) return found;
        if (!scheduler->block(&polls, deadline)) return 0;
    }
}

long syscall(long number, ...) noexcept {
    va_list list;
    va_start(list, number);
    long argument[6];
    for (auto& value : argument) value = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex && Scheduler::current())
        return futex(reinterpret_cast<uint32_t*>(argument[0]), static_cast<int>(argument[1]),
                     static_cast<uint32_t>(argument[2]), reinterpret_cast<const timespec*>(argument[3]));
    static auto* const beneath = real<long(long, ...)>("syscall");
    return beneath(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

}  // extern "C"
