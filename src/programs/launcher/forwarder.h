// Carries connections made to a port of 169.254.170.2 inside a run to an address or a unix socket outside.
//
// Bytes go through pipes with splice(2). While the server restarts, new connections wait for it (bounded).
#pragma once

#include <netinet/in.h>

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
    // `address`: "127.0.0.1:9770", or the absolute path of a unix socket, which may be made anew at any time.
    static Result<std::unique_ptr<Forwarder>> make(EventLoop& loop, const std::string& address);
    ~Forwarder();

    // `listener` was made inside a run and does not block.
    void serve(Fd listener);
    // When poll() wants to be called again; -1: not.
    int next_timeout_ms() const;
    // Tries waiting connections again.
    void poll();

  private:
    struct Connection;
    Forwarder(EventLoop& loop, std::string path, sockaddr_in target);
    Result<Fd> begin_connect() const;
    void accept_from(int listener);
    void connect(Connection& connection);
    void handle_inside(Connection& connection);
    void handle_outside(Connection& connection);
    void pump(Connection& connection);
    void update_interest(Connection& connection);
    void finish(Connection& connection);
    void pause_listeners(bool paused);

    EventLoop& loop_;
    std::string path_;  // of the unix socket; empty: target_
    sockaddr_in target_;
    std::vector<Fd> listeners_;
    std::list<std::unique_ptr<Connection>> connections_;
    bool paused_ = false;
};

}  // namespace millwright::launcher
