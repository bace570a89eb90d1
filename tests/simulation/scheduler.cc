#include "simulation/scheduler.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>

#ifndef __x86_64__
#error "fibers are switched by hand; teach switch_stacks() this processor"
#endif

// Saves what a call must keep, leaves the stack pointer in *from, and goes on where `to` was left.
extern "C" void millwright_switch_stacks(void** from, void* to);
asm(R"(
.text
.globl millwright_switch_stacks
.type millwright_switch_stacks,@function
millwright_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

namespace millwright::simulation {
namespace {

constexpr size_t kStackBytes = size_t{1} << 19;
constexpr size_t kRegisters = 6;
constexpr int64_t kLongest = 3 * 24 * 3600 * kSecond;
Scheduler* active = nullptr;

}  // namespace

struct Fiber {
    int id = 0, group = 0;
    std::string name;
    std::function<void()> body;
    void* stack = nullptr;    // lowest address
    void* pointer = nullptr;  // while it does not run
    bool ready = true, over = false, woken = false;
    const void* waits_on = nullptr;
    int64_t deadline = kNever;
    uint64_t priority = 0;
    int error = 0;  // errno
};

uint64_t Dice::next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t Dice::spread(int64_t low, int64_t high) {
    const double from = std::log(static_cast<double>(low)), to = std::log(static_cast<double>(high));
    const double uniform = static_cast<double>(next() >> 11) * 0x1p-53;
    return static_cast<int64_t>(std::exp(from + (to - from) * uniform));
}

Scheduler::Scheduler(uint64_t seed) : dice_(seed) {
    constexpr double kPreemptions[] = {0, 0.01, 0.05, 0.3};
    by_priority_ = dice_.chance(0.5);
    preemption_ = kPreemptions[dice_.below(4)];
    wall_ahead_ = 1'700'000'000 * kSecond - now_;
}

Scheduler::~Scheduler() {
    for (const auto& fiber : fibers_)
        if (fiber->stack) munmap(fiber->stack, kStackBytes);
}

Scheduler* Scheduler::current() { return active; }

void Scheduler::run(std::function<void()> director) {
    active = this;
    spawn("director", 0, std::move(director));
    loop();
    active = nullptr;
}

int Scheduler::spawn(std::string name, std::function<void()> body) {
    return spawn(std::move(name), own_group(), std::move(body));
}

int Scheduler::spawn(std::string name, int group, std::function<void()> body) {
    auto fiber = std::make_unique<Fiber>();
    fiber->id = static_cast<int>(fibers_.size());
    fiber->group = group;
    fiber->name = std::move(name);
    fiber->body = std::move(body);
    fiber->priority = dice_.next();
    void* stack =
        mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) fail("no memory for a stack");
    mprotect(stack, 4096, PROT_NONE);
    fiber->stack = stack;
    auto** top = reinterpret_cast<void**>(static_cast<char*>(stack) + kStackBytes);
    *--top = nullptr;  // where begin_fiber() would return to; keeps the stack aligned as at any call
    *--top = reinterpret_cast<void*>(&Scheduler::begin_fiber);
    for (size_t i = 0; i < kRegisters; ++i) *--top = nullptr;
    fiber->pointer = top;
    alive_.push_back(fiber.get());
    fibers_.push_back(std::move(fiber));
    return fibers_.back()->id;
}

void Scheduler::begin_fiber() {
    auto* fiber = active->running_;
    fiber->body();
    fiber->over = true;
    fiber->ready = false;
    active->wake_all(fiber);
    active->leave();
    std::abort();
}

void Scheduler::leave() {
    auto* fiber = running_;
    fiber->error = errno;
    millwright_switch_stacks(&fiber->pointer, loop_stack_);
    errno = fiber->error;
}

void Scheduler::loop() {
    while (!fibers_.front()->over) {
        auto* next = choose();
        if (!next) {
            if (advance()) continue;
            fail("nothing can run and nothing ever will\n" + describe_fibers());
        }
        ++switches_;
        now_ += static_cast<int64_t>(dice_.below(20 * kMicrosecond));
        note(static_cast<uint64_t>(next->id));
        running_ = next;
        millwright_switch_stacks(&loop_stack_, next->pointer);
        running_ = nullptr;
        if (next->over) std::erase(alive_, next);
    }
}

Fiber* Scheduler::choose() {
    auto& director = *fibers_.front();
    if (switches_ >= director_at_) {
        director_at_ = UINT64_MAX;
        if (!director.ready) {
            director.ready = director.woken = true;
            return &director;
        }
    }
    size_t ready = 0;
    Fiber* best = nullptr;
    for (auto* fiber : alive_) {
        if (!fiber->ready && fiber->deadline <= now_) {
            fiber->ready = true;
            fiber->woken = false;
        }
        if (!fiber->ready) continue;
        ++ready;
        if (by_priority_ ? !best || fiber->priority > best->priority : dice_.below(ready) == 0) best = fiber;
    }
    return best;
}

// To the next deadline. False: there is none.
bool Scheduler::advance() {
    int64_t next = kNever;
    for (const auto* fiber : alive_) next = std::min(next, fiber->deadline);
    if (next == kNever) return false;
    now_ = std::max(now_, next);
    if (now_ > kLongest) fail("it does not come to an end\n" + describe_fibers());
    return true;
}

void Scheduler::yield() {
    running_->priority = dice_.next();
    leave();
}

void Scheduler::preempt() {
    if (running_ && preemption_ > 0 && dice_.chance(preemption_)) yield();
}

bool Scheduler::block(const void* on, int64_t deadline) {
    auto* fiber = running_;
    fiber->ready = false;
    fiber->woken = false;
    fiber->waits_on = on;
    fiber->deadline = deadline;
    leave();
    fiber->waits_on = nullptr;
    fiber->deadline = kNever;
    return fiber->woken;
}

void Scheduler::wake_one(const void* on) {
    size_t found = 0;
    Fiber* chosen = nullptr;
    for (auto* fiber : alive_)
        if (!fiber->ready && !fiber->over && fiber->waits_on == on && dice_.below(++found) == 0) chosen = fiber;
    if (chosen) chosen->ready = chosen->woken = true;
}

void Scheduler::wake_all(const void* on) {
    for (auto* fiber : alive_)
        if (!fiber->ready && !fiber->over && fiber->waits_on == on) fiber->ready = fiber->woken = true;
}

void Scheduler::end_group(int group) {
    for (auto* fiber : alive_) {
        if (fiber->group != group || fiber == running_) continue;
        fiber->over = true;
        fiber->ready = false;
        munmap(fiber->stack, kStackBytes);
        fiber->stack = nullptr;
    }
    std::erase_if(alive_, [](const Fiber* fiber) { return fiber->over; });
}

void Scheduler::join(int fiber) {
    const auto* joined = fibers_.at(static_cast<size_t>(fiber)).get();
    while (!joined->over) block(joined);
}
size_t Scheduler::count(int group) const {
    return static_cast<size_t>(
        std::count_if(alive_.begin(), alive_.end(), [&](const Fiber* fiber) { return fiber->group == group; }));
}
int Scheduler::self() const { return running_ ? running_->id : -1; }
int Scheduler::own_group() const { return running_ ? running_->group : 0; }

std::string Scheduler::describe_fibers() const {
    std::string text;
    for (const auto* fiber : alive_) {
        text += "  " + std::to_string(fiber->id) + " " + fiber->name + (fiber->ready ? " ready" : " waits");
        if (fiber->deadline != kNever)
            text += " for " + std::to_string((fiber->deadline - now_) / kMillisecond) + " ms";
        text += "\n";
    }
    return text;
}

}  // namespace millwright::simulation
