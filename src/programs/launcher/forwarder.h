// Carries connections made to a port of 169.254.170.2 inside a run to an address or a unix socket outside, or the other
// way round (served_port.h).
//
// Bytes go through pipes with splice(2). While the server restarts, new connections wait for it (bounded).
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "programs/launcher/event_loop.h"

namespace millwright::launcher {

class Forwarder {
  public:
    struct Settings {
        // Begins a connection to the other side, a socket that does not block. Unavailable: not at the moment;
        // NotFound: nobody listens.
        std::function<Result<Fd>()> connect;
        int64_t patience_ms = 0;  // how long a connection waits for somebody who listens
        size_t max_connections = 0;
    };
    // `address`: "127.0.0.1:9770", or the absolute path of a unix socket, which may be made anew at any time.
    static Result<std::unique_ptr<Forwarder>> make(EventLoop& loop, const std::string& address);
    Forwarder(EventLoop& loop, Settings settings);
    ~Forwarder();

    // `listener` does not block.
    void serve(Fd listener);
    // When poll() wants to be called again; -1: not.
    int next_timeout_ms() const;
    // Tries waiting connections again when it is time.
    void poll();
    // Tries them now.
    void retry();

  private:
    struct Connection;
    void accept_from(int listener);
    void connect(Connection& connection);
    void wait_for_listener(Connection& connection);
    void handle_inside(Connection& connection);
    void handle_outside(Connection& connection);
    void pump(Connection& connection);
    void update_interest(Connection& connection);
    void finish(Connection& connection);
    void pause_listeners(bool paused);

    EventLoop& loop_;
    Settings settings_;
    std::vector<Fd> listeners_;
    std::list<std::unique_ptr<Connection>> connections_;
    bool paused_ = false;
};

}  // namespace millwright::launcher
