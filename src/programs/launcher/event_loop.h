// A single-threaded epoll loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millwright::launcher {

class EventLoop {
  public:
    static Result<EventLoop> make();

    // `ready` gets the events of epoll. REQUIRES: `fd` is not watched yet.
    using Ready = std::function<void(uint32_t events)>;
    void watch(int fd, uint32_t events, Ready ready);
    void change(int fd, uint32_t events);
    // Before `fd` is closed. Events already fetched for it are dropped.
    void forget(int fd);
    // Waits for events, at most `timeout_ms` (-1: for ever), and handles them.
    void run_once(int timeout_ms);

  private:
    explicit EventLoop(Fd epoll) : epoll_(std::move(epoll)) {}

    Fd epoll_;
    std::map<uint64_t, Ready> watched_;  // by ticket: descriptor numbers are used again, tickets are not
    std::map<int, uint64_t> tickets_;
    uint64_t next_ticket_ = 1;
};

}  // namespace millwright::launcher
