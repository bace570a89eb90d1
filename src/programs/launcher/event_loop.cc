#include "programs/launcher/event_loop.h"

#include <sys/epoll.h>

namespace millwright::launcher {

Result<EventLoop> EventLoop::make() {
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return error_from_errno("cannot make an epoll");
    return EventLoop(std::move(epoll));
}

void EventLoop::watch(int fd, uint32_t events, Ready ready) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = next_ticket_;
    CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
    tickets_[fd] = next_ticket_;
    watched_.emplace(next_ticket_++, std::move(ready));
}

void EventLoop::change(int fd, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tickets_.at(fd);
    CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0);
}

void EventLoop::forget(int fd) {
    const auto found = tickets_.find(fd);
    if (found == tickets_.end()) return;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    watched_.erase(found->second);
    tickets_.erase(found);
}

void EventLoop::run_once(int timeout_ms) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_.get(), events, 64, timeout_ms);
    for (int i = 0; i < count; ++i) {
        const auto found = watched_.find(events[i].data.u64);
        if (found == watched_.end()) continue;
        const Ready ready = found->second;  // a copy: handlers may forget themselves
        ready(events[i].events);
    }
}

}  // namespace millwright::launcher
